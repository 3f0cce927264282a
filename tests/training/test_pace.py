"""Seconds a training takes an image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch

from harness.detectors import resolve_base
from harness.training.pace import PaceRequest, _step, measure_pace, seconds_a_step

REQUEST = PaceRequest(config=resolve_base("yolov5n").config, classes=3, imgsz=64, batch=64, device="0,1,2,3", threads=1)


def test_the_first_steps_are_not_timed_and_the_device_is_waited_for() -> None:
    happened: list[str] = []
    now = iter([10.0, 25.0])

    def clock() -> float:
        happened.append("clock")
        return next(now)

    taken = seconds_a_step(lambda: happened.append("step"), wait=lambda: happened.append("wait"), clock=clock)
    assert taken == (25.0 - 10.0) / 5
    assert happened == ["step"] * 2 + ["wait", "clock"] + ["step"] * 5 + ["wait", "clock"]


def test_a_gpu_takes_its_share_of_the_batch_and_a_cpu_few_images() -> None:
    assert REQUEST.images == 16
    assert replace(REQUEST, device="0").images == 64
    assert replace(REQUEST, device="cpu").images == 2


def test_a_step_is_one_of_training() -> None:
    torch.manual_seed(0)
    step = _step(replace(REQUEST, device="cpu"), torch.device("cpu"))
    model = next(
        cell.cell_contents for cell in step.__closure__ or () if isinstance(cell.cell_contents, torch.nn.Module)
    )
    before = [parameter.detach().clone() for parameter in model.parameters()]
    step()
    moved = [not torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True)]
    assert sum(moved) > 0.9 * len(moved)  # the smallest of the steps drown in rounding


def test_the_time_of_an_image_is_that_of_a_step_over_its_images(monkeypatch: pytest.MonkeyPatch) -> None:
    times: Iterator[float] = iter([3.0])

    def pretend(step: Callable[[], None], **_: object) -> float:
        return next(times)

    monkeypatch.setattr("harness.training.pace.seconds_a_step", pretend)
    assert measure_pace(replace(REQUEST, device="cpu")) == 1.5


def test_it_is_measured_here() -> None:
    assert 1e-4 < measure_pace(replace(REQUEST, device="cpu")) < 10.0
