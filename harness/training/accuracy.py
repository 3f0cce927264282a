"""mAP under a small budget: Ultralytics' trainer and validator, made repeatable, quiet and cheap.

What differs from `yolo train`, and why:

- The learning rate is annealed by the iteration (Ultralytics lowers it once an epoch, so a two-epoch
  run ends hot and noisy).
- The weights of the last part of the run are averaged uniformly. Ultralytics' moving average has a
  time constant of 2,000 steps and does nothing in a short run.
- New blocks learn with a higher rate than the trained base: they have everything to learn in
  few steps, while the base's random walk is noise that hides what they learn. So do the new elements of a
  widened base.
- One validation at the end; no plots, no checkpoints of half precision, no integrations. Its detections are
  judged twice, by Ultralytics and by COCOeval (docs/accuracy.md).
- A NaN loss or too little memory ends the run with its reason. (Ultralytics would go back to an older
  checkpoint or halve the batch, and the comparison would no longer be like with like.)

Everything random follows the seed: the new blocks' initialisation, the order of the images, the
augmentation. Two runs of one seed see the same batches, so that their difference is paired.

A training that goes on from the weights of a shorter one (`Training.start`) begins its schedule anew, warm-up
and AdamW's moments included: what is annealed has to be warmed up again [1]. It sees batches of its own.

References:
    1. Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.
"""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import DEFAULT_CFG_DICT
from ultralytics.utils.torch_utils import ModelEMA, unwrap_model

from harness.common.atomic import scratch_folder, write_whole
from harness.common.errors import UserError
from harness.detectors import Transfer, build, import_block_files, read_checkpoint, transfer, transfer_widened
from harness.record.own_files import MADE_BY
from harness.training.coco import require_cocoeval
from harness.training.curve import curve_of_steps
from harness.training.element_rate import scale_steps
from harness.training.quiet import make_ultralytics_quiet, use_threads
from harness.training.torchvision_compat import ensure_torchvision
from harness.training.training import Accuracy, NotANumberError, OutOfMemoryError, Progress, Schedule, Training
from harness.training.validation import Validator, require_finite, require_number

# Of the embedded data: milder than Ultralytics' own, and no mirroring, since they are digits. `Schedule.augmentation`
# overrides them.
_AUGMENTATION: Mapping[str, float] = {
    "mosaic": 0.0,
    "hsv_h": 0.015,
    "hsv_s": 0.4,
    "hsv_v": 0.3,
    "degrees": 0.0,
    "translate": 0.1,
    "scale": 0.2,
    "fliplr": 0.0,
    "erasing": 0.0,
}
# Of photographs: the installed Ultralytics' own, by which the bases were trained.
PUBLISHED_AUGMENTATION: Mapping[str, float] = {name: DEFAULT_CFG_DICT[name] for name in _AUGMENTATION}
# Share of a training, at its end, that Ultralytics' defaults leave without mosaic.
_WITHOUT_MOSAIC = DEFAULT_CFG_DICT["close_mosaic"] / DEFAULT_CFG_DICT["epochs"]


def train(training: Training, progress: Progress | None = None) -> Accuracy:
    """Train and validate one detector in this process, on one device.

    Raises:
        NotANumberError: The loss became NaN or infinite, or the accuracy or a weight is not finite.
        OutOfMemoryError: The device's memory did not suffice.
        UserError: The device does not exist, faster-coco-eval is not installed, or the validation set has no
            labels or an annotation file that does not fit it.
    """
    started = time.perf_counter()
    require_cocoeval()
    use_threads(training.threads)
    ensure_torchvision()
    make_ultralytics_quiet()
    model, moved = initial_model(training)
    with scratch_folder() as folder:
        try:
            trainer = Trainer(model, training, moved, folder, progress)
        except ValueError as error:
            if "CUDA" in str(error):
                raise UserError(f"--device {training.device}: no such CUDA device here; use cpu or auto") from error
            raise
        trainer.train()
    result = Accuracy(
        **trainer.validator.figures(),
        train_seconds=time.perf_counter() - started,
        transferred=str(moved) if training.base_weights else "trained from scratch",
        matches=trainer.validator.matches if training.keep_matches else None,
    )
    require_number(result.map50_95)
    require_finite(trainer.ema.ema)
    if training.save_to is not None:
        save_checkpoint(trainer.ema.ema, training.save_to)
    return replace(result, curve=trainer.curve(result.ultralytics_map50_95))


def initial_model(training: Training) -> tuple[nn.Module, Transfer]:
    """Build the detector as it is before its first step.

    Base weights are in place and new blocks drawn from the seed, or all are those of `Training.start`; the
    transfer is the base's either way.
    """
    torch.manual_seed(training.seed)
    if training.base_weights is None:
        base = build(training.base_config, training.classes)
    else:
        import_block_files(training.base_config)  # the checkpoint may hold a user's own
        base, _ = read_checkpoint(training.base_weights)
    torch.manual_seed(training.seed)
    model = build(training.config, training.classes)
    moved = transfer_widened(base, model) if training.widened else transfer(base, model, training.layers)
    if training.start is not None:
        earlier, _ = read_checkpoint(training.start)
        model.load_state_dict(earlier.state_dict())
    return model, moved


def _seed_of_draws(training: Training) -> int:
    """Derive the seed of order and augmentation: another for a training that goes on, or its batches would recur."""
    if not training.trained_epochs:
        return training.seed
    return int(np.random.SeedSequence([training.seed, training.trained_epochs]).generate_state(1)[0] >> 1)


def save_checkpoint(model: nn.Module, path: Path) -> None:
    """Write a checkpoint that plain Ultralytics loads, whole or not at all."""
    if hasattr(model, "criterion"):
        del model.criterion  # it may hold buffers of the training; Ultralytics makes another when it needs one
    model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # Ultralytics fuses with `.view()`
    content = io.BytesIO()  # torch's own writer says no more of a full disk than that writing failed
    about = {"epoch": -1, "train_args": {"task": "detect"}, "about": MADE_BY}
    torch.save({"model": model, "ema": None, **about}, content)
    write_whole(path, content.getbuffer())


class _TailAverage(ModelEMA):
    """Uniform average of the weights over the last share of a run; before it, the weights themselves."""

    def __init__(self, model: nn.Module, first: int) -> None:
        super().__init__(model)
        self.decay = lambda step: 0.0 if step < first else 1 - 1 / (step - first + 1)


def _epochs_without_mosaic(epochs: int) -> int:
    """Return Ultralytics' share of a training, one epoch at least where there are several."""
    return max(1, round(_WITHOUT_MOSAIC * epochs)) if epochs > 1 else 0


def _for_the_device(device: str) -> dict[str, object]:
    """Return what makes a GPU wait for nothing: mixed precision, and images that are read once (`UserDataset`).

    bfloat16 needs no scaling of the loss, whose steps are lost now and then; Ultralytics' float16 where there is none.
    """
    if device == "cpu":
        return {"amp": False, "cache": False}
    return {"amp": "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else True, "cache": "ram"}


class Trainer(DetectionTrainer):
    """Ultralytics' trainer with the departures listed at the top of this file."""

    def __init__(
        self, model: nn.Module, training: Training, moved: Transfer, folder: Path, progress: Progress | None
    ) -> None:
        self._training = training
        self._moved = moved
        self._progress = progress
        schedule = training.schedule
        augmentation = {**_AUGMENTATION, **schedule.augmentation}
        options = {
            "data": training.data,
            "imgsz": schedule.imgsz,
            "epochs": schedule.epochs,
            "batch": schedule.batch,
            "nbs": schedule.batch,
            "seed": _seed_of_draws(training),
            "device": training.device,
            "workers": training.loader_workers,
            "project": str(folder),
            "name": "run",
            "exist_ok": True,
            "plots": False,
            "save": False,
            "val": False,
            "warmup_epochs": 0,
            "patience": schedule.epochs + 1,
            "close_mosaic": _epochs_without_mosaic(schedule.epochs) if augmentation["mosaic"] else 0,
            **_for_the_device(training.device),
            **augmentation,
        }
        super().__init__(overrides={"model": "yolov8n.yaml", **options})
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a third faster on one CPU thread
        self.model = model
        self.add_callback("on_train_batch_start", Trainer._anneal)
        self.add_callback("on_train_batch_end", Trainer._report)
        self.add_callback("on_train_epoch_end", Trainer._read_losses)
        self._unread: list[tuple[Mapping[str, torch.Tensor], Mapping[str, float]]] = []
        self._steps: list[Mapping[str, float]] = []

    def setup_model(self) -> None:
        """Do nothing: the model is built already, with its weights."""

    def get_validator(self) -> Validator:
        """Build a validator that keeps detections; what it lacks is said before the training, not after it."""
        validator = Validator(self.test_loader, save_dir=self.save_dir, args=copy(self.args), _callbacks=self.callbacks)
        validator.read_truth(self.data, self._training.data)
        return validator

    def build_optimizer(self, model: nn.Module, **_: Any) -> torch.optim.Optimizer:
        """Build AdamW; no decay for vectors, a rate of their own for new blocks and new elements."""
        schedule = self._training.schedule
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        named = [*unwrap_model(model).named_parameters()]
        for name, parameter in named:
            if parameter.requires_grad:
                groups.setdefault((name in self._moved.new, parameter.ndim > 1), []).append(parameter)
        optimizer = torch.optim.AdamW(
            [
                {
                    "params": parameters,
                    "lr": schedule.learning_rate * (schedule.block_rate_factor if is_new else 1.0),
                    "weight_decay": schedule.weight_decay if is_matrix else 0.0,
                    "rate_name": "learning_rate_blocks" if is_new else "learning_rate",  # the curve's name for it
                }
                for (is_new, is_matrix), parameters in groups.items()
            ],
            betas=(0.9, 0.999),
            fused=True,  # one pass over memory a step; on a CPU it takes a fifth of the loop's time
        )
        grown = {p: self._moved.grown[name] for name, p in named if name in self._moved.grown}
        scale_steps(optimizer, grown, schedule.block_rate_factor)
        return optimizer

    def _setup_scheduler(self) -> None:
        self.lf = lambda _epoch: 1.0
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self.lf)
        self._iteration = 0
        self._iterations = len(self.train_loader) * self.epochs

    def _setup_train(self) -> None:
        super()._setup_train()
        first = round(self._iterations * (1 - self._training.schedule.averaged_tail))
        self.ema = _TailAverage(self.model, first=max(1, first))

    def _build_train_pipeline(self) -> None:
        if self.optimizer is not None:  # Ultralytics comes here again only to halve the batch
            raise OutOfMemoryError(f"out of memory with batch {self._training.schedule.batch} on {self.device}")
        super()._build_train_pipeline()

    def _anneal(self) -> None:
        factor = self._training.schedule.rate((self._iteration + 1) / self._iterations)
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor

    def _report(self) -> None:
        self._iteration += 1
        self._unread.append((self.loss_items, {each["rate_name"]: each["lr"] for each in self.optimizer.param_groups}))
        if self._progress:
            self._progress(self._iteration, self._iterations)

    def _read_losses(self) -> None:
        """Take an epoch's losses from the device in one go: step by step, each would wait for it."""
        losses = torch.stack([torch.stack([*items.values()]) for items, _ in self._unread]).tolist()
        for (items, rates), values in zip(self._unread, losses, strict=True):
            self._steps.append({**dict(zip(items, values, strict=True)), **rates})
        self._unread.clear()

    def curve(self, map50_95: float) -> pd.DataFrame:
        """Return the losses and rates of all steps, with the mAP that they ended at."""
        an_epoch = self._iterations // self.epochs
        earlier = self._training.trained_epochs * an_epoch
        return curve_of_steps(self._steps, earlier=earlier, steps_an_epoch=an_epoch, map50_95=map50_95)

    def optimizer_step(self) -> None:
        """Go on from a loss that is a number; nothing else is fit to go on from."""
        if not self.loss_is_finite():
            raise NotANumberError(f"loss is {self.loss.item()} at iteration {self._iteration + 1}")
        super().optimizer_step()

    def loss_is_finite(self) -> bool:
        """Return whether the batch's loss is a number."""
        return bool(torch.isfinite(self.loss))

    def save_metrics(self, metrics: Mapping[str, float]) -> None:
        """Do nothing: the harness keeps its own record."""

    def save_model(self) -> bool:
        """Do nothing: the harness saves the averaged weights, unrounded, where they are wanted."""
        return False

    def final_eval(self) -> None:
        """Do nothing: the last epoch was validated already."""


__all__ = [
    "Accuracy",
    "NotANumberError",
    "OutOfMemoryError",
    "Schedule",
    "Training",
    "initial_model",
    "save_checkpoint",
    "train",
]
