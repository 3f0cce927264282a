"""Short trainings, watched: every batch, every step, and what they leave."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from harness.architecture import Architecture, Kind, LocalGroup, Placement
from harness.blocks import CloBlock
from harness.training import accuracy
from harness.training.accuracy import Accuracy, Schedule, Training, train

SCHEDULE = Schedule(
    epochs=2, batch=8, imgsz=64, learning_rate=1e-3, block_rate_factor=5.0, warmup=0.25, averaged_tail=0.3
)
IMAGES, ITERATIONS = 16, 4  # two epochs of two batches
BASELINE = Architecture(base="yolov5n")
BLOCKS = Architecture(
    base="yolov5n",
    placements=(
        Placement(site="neck.P4", groups=(LocalGroup(3, 2),), global_heads=2, kv_pool=2, ffn_ratio=2),
        Placement(site="neck.P5", kind=Kind.ATTENTION, global_heads=2),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one step of a training saw and left."""

    files: list[str]
    images: list[str]  # hashes, one an image
    rates: list[float]
    weights: dict[str, torch.Tensor]


@dataclass(kw_only=True)
class Run:
    """A training, watched."""

    result: Accuracy | None = None
    steps: list[Step] = field(default_factory=list)
    progress: list[tuple[int, int]] = field(default_factory=list)
    averaged: nn.Module | None = None
    saved: Path

    @property
    def order(self) -> list[str]:
        return [Path(file).name for step in self.steps for file in step.files]

    @property
    def batches(self) -> list[list[str]]:
        return [step.images for step in self.steps]

    @property
    def images(self) -> set[str]:
        return {image for batch in self.batches for image in batch}

    def final(self) -> dict[str, torch.Tensor]:
        state: dict[str, torch.Tensor] = torch.load(self.saved, weights_only=False)["model"].state_dict()
        return state


def watch(training: Training, saved: Path) -> Run:
    """Train with an eye on every batch and step."""
    run = Run(saved=saved)
    batch: dict[str, list[str]] = {}
    trainer = accuracy.Trainer
    preprocess, step, end = trainer.preprocess_batch, trainer.optimizer_step, trainer.final_eval

    def keep_batch(self: Any, given: dict[str, Any]) -> dict[str, Any]:
        batch.update(files=list(given["im_file"]), images=[_hash(image) for image in given["img"]])
        return preprocess(self, given)  # type: ignore[no-any-return]

    def keep_step(self: Any) -> None:
        rates = [group["lr"] for group in self.optimizer.param_groups]
        step(self)
        after = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        run.steps.append(Step(**batch, rates=rates, weights=after))

    def keep_average(self: Any) -> None:
        run.averaged = copy.deepcopy(self.ema.ema)
        end(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "preprocess_batch", keep_batch)
        patch.setattr(trainer, "optimizer_step", keep_step)
        patch.setattr(trainer, "final_eval", keep_average)
        run.result = train(
            replace(training, save_to=saved, keep_matches=True), lambda done, total: run.progress.append((done, total))
        )
    return run


def _hash(image: torch.Tensor) -> str:
    return hashlib.sha256(image.contiguous().numpy().tobytes()).hexdigest()


def new_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """What the new blocks add."""
    return {
        f"{name}.{key}": tensor
        for name, module in model.named_modules()
        if isinstance(module, CloBlock)
        for key, tensor in module.state_dict().items()
    }


def base_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    new = new_tensors(model)
    return {name: tensor for name, tensor in model.state_dict().items() if name not in new}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
