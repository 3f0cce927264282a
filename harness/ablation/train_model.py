"""Train one detector from the command line: the trainer of a search, without a search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from harness.common.errors import UserError
from harness.detectors import Detector, find_detector, resolve_base, transfer
from harness.detectors.model_yaml import Description
from harness.jobs.place import find_place
from harness.jobs.setting import data_notes, prepare
from harness.jobs.trial import train_base
from harness.record.rates import default_rates
from harness.record.state import Failure
from harness.training.accuracy import Accuracy, Schedule, Training
from harness.training.trainable import check_trainable


class TrainOptions(BaseModel):
    """What `clo train` was asked to do.

    Attributes:
        model: Whatever `find_detector` knows.
        data: Dataset YAML, or the embedded data set's name.
        weights: Checkpoint of the base to start from; None starts at random, or from a model that is one.
        epochs: Passes over the training images.
        imgsz: Side of the square input, in pixels.
        batch: Images a step.
        learning_rate: Peak rate of AdamW for the base's weights; None is a search's.
        block_rate_factor: Learning-rate multiplier for inserted blocks; None is a search's.
        seed: Seed of everything random.
        device: `auto`, `cpu` or a CUDA device's number.
        threads: CPU threads; None takes all cores.
        loader_workers: Image-loading processes of a CUDA training.
        out: Where the weights go.
        allow_unusable: Whether more than a few images or rows of labels may be left out.
        allow_val_in_train: Whether more than a few validation images may be training images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: str
    data: str
    epochs: int = Field(ge=1)
    imgsz: int
    batch: int = Field(ge=1)
    seed: int = Field(ge=0)
    device: str
    loader_workers: int = Field(ge=0)
    out: Path
    weights: Path | None = None
    learning_rate: float | None = Field(default=None, gt=0)
    block_rate_factor: float | None = Field(default=None, gt=0)
    threads: int | None = Field(default=None, ge=1)
    allow_unusable: bool = False
    allow_val_in_train: bool = False


def train_model(
    options: TrainOptions, on_progress: Callable[[Any], None], on_note: Callable[[str], None] = lambda _: None
) -> Accuracy:
    """Train and validate a detector; its weights are one Ultralytics checkpoint.

    Raises:
        UserError: Something named does not exist or does not fit, or the training failed.
    """
    detector = find_detector(options.model)
    stride = int(detector.base.build().stride.max())
    if options.imgsz < stride or options.imgsz % stride:
        raise UserError(f"--imgsz {options.imgsz}: a multiple of the detector's stride, {stride}, is wanted")
    if options.out.exists() and options.out.resolve() == Path(options.model).resolve():
        raise UserError(f"--out {options.out}: this is the model that is trained from; name another file")
    weights = options.weights or detector.base.checkpoint
    if options.weights is not None:
        detector = _for_weights(options.weights, detector)
    place = find_place(device=options.device, workers=1, threads=options.threads)
    prepared = prepare(options, detector.base, detector.sites, place)
    data, classes = prepared.data, prepared.classes
    augmentation = prepared.augmentation_for({})
    for note in data_notes(data, options.imgsz, options.batch, augmentation):
        on_note(note)
    check_trainable(
        detector.architecture.placements,
        detector.sites,
        imgsz=options.imgsz,
        batch=options.batch,
        images=data.train_images,
    )
    result = prepared.run_alone(
        train_base,
        Training(
            config=detector.config(classes),
            base_config=detector.base.config,
            base_weights=weights,
            layers=detector.layers,
            data=str(data.path),
            data_fingerprint=data.fingerprint,
            classes=classes,
            schedule=replace(_schedule(options, from_scratch=weights is None), augmentation=augmentation),
            seed=options.seed,
            device=prepared.device,
            threads=prepared.threads,
            loader_workers=options.loader_workers,
            save_to=options.out,
        ),
        on_progress,
    )
    if isinstance(result, Failure):
        raise UserError(f"{options.model} cannot be trained: {result.reason}")
    return result


def _schedule(options: TrainOptions, *, from_scratch: bool) -> Schedule:
    """Return the schedule of a search's candidate which starts likewise."""
    rates = default_rates(from_scratch=from_scratch)
    return Schedule(
        epochs=options.epochs,
        batch=options.batch,
        imgsz=options.imgsz,
        learning_rate=options.learning_rate or rates.learning_rate,
        block_rate_factor=options.block_rate_factor or rates.block_rate_factor,
    )


def _for_weights(path: Path, detector: Detector) -> Detector:
    """Refuse a checkpoint of another model; of one with other classes the class branches stay as wide as they are."""
    base, given = detector.base.build(), resolve_base(str(path))
    layers = {index: index for index in range(len(base.model))}
    moved = transfer(given.load(), base, layers)
    head = f"model.{len(base.model) - 1}."
    if not all(name.startswith(head) for name in moved.left_behind):
        raise UserError(
            f"--weights {path}: {moved.arrived} of its {moved.total} tensors fit {detector.base.name}; "
            "give a checkpoint of that model"
        )
    if "class_width" not in given.config:
        return detector
    config = Description(**{**detector.base.config, "class_width": given.config["class_width"]})
    return replace(detector, base=replace(detector.base, config=config))
