"""Seconds that training takes an image, measured on a few steps of random images: forward, loss, backward, optimiser.

An estimate of a long training rests on it, so it is measured on the device and at the batch and size asked for, never
taken from a table. Left out are loading and augmenting images, which go on beside the steps and add to them only where
processors are the slower side, and the validation after each epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from ultralytics.cfg import get_cfg

from harness.detectors import build
from harness.detectors.model_yaml import Description
from harness.training.torchvision_compat import ensure_torchvision

_WARMING, _STEPS = 2, 5
_OBJECTS = 7  # of an image; COCO train2017 has 860,001 boxes in 118,287 images
_MOST_ON_CPU = 2  # images a step: on a CPU more at once take as long an image, and memory


@dataclass(frozen=True, kw_only=True)
class PaceRequest:
    """What is to be timed.

    Attributes:
        config: Ultralytics model description.
        classes: Number of classes of the data.
        imgsz: Side of the square input, in pixels.
        batch: Images a step, on all devices together.
        device: `cpu` or numbers of CUDA devices; the first one is measured, with its share of the batch.
        threads: CPU threads of torch.
    """

    config: Description
    classes: int
    imgsz: int
    batch: int
    device: str
    threads: int

    @property
    def images(self) -> int:
        """Images a step on one device."""
        if self.device == "cpu":
            return min(self.batch, _MOST_ON_CPU)
        return max(1, self.batch // len(self.device.split(",")))


def measure_pace(request: PaceRequest, _report: object = None) -> float:
    """Measure seconds an image on one device, with mixed precision on a GPU as the published recipe has it."""
    ensure_torchvision()
    torch.set_num_threads(request.threads)
    device = torch.device("cpu" if request.device == "cpu" else f"cuda:{request.device.split(',')[0]}")
    step = _step(request, device)
    wait = torch.cuda.synchronize if device.type == "cuda" else None
    return seconds_a_step(step, wait=wait) / request.images


def seconds_a_step(
    step: Callable[[], None],
    *,
    wait: Callable[[], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Measure the mean time of a step after the first ones, which also reserve memory and choose algorithms.

    Args:
        step: Does one.
        wait: Returns when the device has done all that it was given; None where it always has.
        clock: Seconds.
    """
    for _ in range(_WARMING):
        step()
    if wait:
        wait()
    started = clock()
    for _ in range(_STEPS):
        step()
    if wait:
        wait()
    return (clock() - started) / _STEPS


def _step(request: PaceRequest, device: torch.device) -> Callable[[], None]:
    cuda = device.type == "cuda"
    model = build(request.config, request.classes).to(device).train()
    if cuda:
        model = model.to(memory_format=torch.channels_last)
    model.args = get_cfg()  # the gains of the losses
    batch = _images(request, device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, nesterov=True)
    scaler = torch.amp.GradScaler("cuda", enabled=cuda)

    def step() -> None:
        with torch.autocast(device.type, dtype=torch.float16, enabled=cuda):
            loss = model(batch)[0].sum()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=10.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()

    return step


def _images(request: PaceRequest, device: torch.device) -> dict[str, torch.Tensor]:
    """Draw noise with as many objects as COCO has, in the form of Ultralytics' batches."""
    draw = torch.Generator().manual_seed(0)
    count, objects = request.images, request.images * _OBJECTS
    boxes = torch.rand(objects, 4, generator=draw) * 0.2 + 0.1  # width and height: 0.1 to 0.3 of the image
    boxes[:, :2] = boxes[:, :2] * 2 + 0.1  # centres: 0.3 to 0.7
    batch = {
        "img": torch.rand(count, 3, request.imgsz, request.imgsz, generator=draw),
        "cls": torch.randint(request.classes, (objects, 1), generator=draw).float(),
        "bboxes": boxes,
        "batch_idx": torch.arange(count).repeat_interleave(_OBJECTS).float(),
    }
    return {name: tensor.to(device) for name, tensor in batch.items()}
