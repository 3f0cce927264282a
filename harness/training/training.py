"""A training as data: its schedule, all that determines it, and what it yields. `accuracy` runs it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from harness.architecture.choices import Recipe
from harness.detectors.model_yaml import Description
from harness.training.image_matches import ImageMatches

# Called with finished and total iterations.
Progress = Callable[[int, int], None]


class NotANumberError(RuntimeError):
    """The loss stopped being a number."""


class OutOfMemoryError(RuntimeError):
    """The device had too little memory for the batch asked for."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How one short training runs.

    Attributes:
        epochs: Passes over the training images.
        batch: Images a step.
        imgsz: Side of the square input, in pixels.
        learning_rate: Peak rate of AdamW for the base's weights.
        block_rate_factor: Rate of the new blocks, or of a widened base's new elements, over `learning_rate`.
        warmup: Share of the iterations in which the rate rises from 0.
        final_rate: Rate in the last iteration over the peak; cosine between.
        averaged_tail: Share of the iterations, at the end, whose weights are averaged.
        weight_decay: AdamW's decay of weights; norms, biases and layer scales have none.
        augmentation: Ultralytics' augmentation options that differ from those of `accuracy`.
    """

    epochs: int
    batch: int
    imgsz: int
    learning_rate: float
    block_rate_factor: float = 1.0
    warmup: float = 0.05
    final_rate: float = 0.01
    averaged_tail: float = 0.3
    weight_decay: float = 5e-4
    augmentation: Mapping[str, float] = field(default_factory=dict)

    def rate(self, progress: float) -> float:
        """Return the rate over its peak after a share of the iterations, `progress` in 0 … 1."""
        if progress < self.warmup:
            return progress / self.warmup
        cosine = 0.5 * (1 + math.cos(math.pi * (progress - self.warmup) / (1 - self.warmup)))
        return self.final_rate + (1 - self.final_rate) * cosine


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training to run: all that determines its result.

    Attributes:
        config: Ultralytics model description.
        data: Path of the dataset YAML.
        data_fingerprint: Of the data that are meant (`harness.data.check`); empty where any are taken.
        classes: Number of classes of the data.
        schedule: Budget and optimiser.
        seed: Seed of everything random.
        device: `cpu` or a CUDA device's number; several, comma-separated, train together by the published recipe.
        threads: CPU threads of torch.
        loader_workers: Processes that load images; 0 loads in the training process (always so on CPU).
        base_config: The base's model description where weights are taken over from the base.
        base_weights: Checkpoint of the base; None starts the base's layers at random.
        layers: Base layer to layer in `config` (`harness.detectors.index_map`).
        widened: Whether `config` is the base itself with wider layers (`harness.detectors.widened`), whose new
            elements learn as new blocks do; its layers have the base's numbers, whatever `layers` says.
        start: Checkpoint of this very detector, trained under this seed, to go on from; None begins with the base's
            weights.
        trained_epochs: How many epochs `start` has behind it; `schedule` is of those that follow.
        save_to: Where the trained weights go; None keeps none.
        recipe: Which trainer runs it: `accuracy`'s, or `recipe`'s, which takes of `schedule` epochs, batch and size.
        folder: Where the published recipe keeps its checkpoints, so that a killed training goes on; None keeps none.
        keep_matches: Whether the result brings each image's matches along.
    """

    config: Description
    data: str
    classes: int
    schedule: Schedule
    seed: int
    device: str
    threads: int
    loader_workers: int = 0
    base_config: Description
    base_weights: Path | None
    layers: Mapping[int, int]
    widened: bool = False
    start: Path | None = None
    trained_epochs: int = 0
    save_to: Path | None = None
    recipe: Recipe = Recipe.SHORT
    folder: Path | None = None
    keep_matches: bool = False
    data_fingerprint: str = ""


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """What a training yields. Every mAP is 0 … 1, and NaN where it was not measured.

    Ground truth is the data set's labels in YOLO format, which know no crowds. On COCO data, that is where the
    validation set has COCO's annotation file, it is that file, crowds included.

    Attributes:
        map50_95: Mean average precision over IoU 0.50 to 0.95, by `evaluator`: COCOeval on COCO data, else
            Ultralytics' validator.
        map50: The same at IoU 0.50.
        evaluator: What judged `map50_95`, `map50` and `per_class`, with its version.
        ultralytics_map50_95: By Ultralytics' validator, whatever the headline.
        coco_map50_95: By COCOeval, from the same detections.
        coco_map50: The same at IoU 0.50.
        coco_map_small: `coco_map50_95` of objects below 32² pixels of the image; NaN where there are none.
        coco_map_medium: From 32² to 96².
        coco_map_large: Above.
        per_class: Class name to AP50-95, for classes that have objects.
        train_seconds: Wall time of training and validation.
        transferred: What became of the base's tensors.
        image_influence: How much each validation image, or block of images, moves `ultralytics_map50_95`; see
            `harness.training.image_matches`.
        matches: Each image's matches by Ultralytics' rule, where `Training.keep_matches` asked for them.
        curve: Losses and learning rates by step or epoch; see `harness.training.curve`.
    """

    map50_95: float
    map50: float
    evaluator: str
    ultralytics_map50_95: float = math.nan
    coco_map50_95: float = math.nan
    coco_map50: float = math.nan
    coco_map_small: float = math.nan
    coco_map_medium: float = math.nan
    coco_map_large: float = math.nan
    per_class: Mapping[str, float] = field(default_factory=dict)
    train_seconds: float
    transferred: str
    image_influence: tuple[float, ...] = field(default=(), repr=False)
    matches: ImageMatches | None = field(default=None, repr=False, compare=False)
    curve: pd.DataFrame | None = field(default=None, repr=False, compare=False)

    def figures(self) -> dict[str, Any]:
        """Return plain data for storage and JSON; not what is by image or step, nor NaN, which JSON does not know."""
        left_out = {"matches", "curve", "image_influence"}
        values = {name: value for name, value in vars(self).items() if name not in left_out}
        return {name: value for name, value in values.items() if not (isinstance(value, float) and math.isnan(value))}
