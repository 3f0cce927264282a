"""Consoles that keep what is printed, and what the watchers are told."""

from __future__ import annotations

import io

from rich.console import Console, RenderableType

from harness.jobs.progress import Step, Work
from harness.record.surroundings import SpaceSummary

SPACE = SpaceSummary(
    name="tiny", size=1234, macs_min=101e6, macs_median=120e6, macs_max=190e6, macs_base=100e6,
    params_min=1.81e6, params_median=2e6, params_max=2.6e6, params_base=1.8e6,
)  # fmt: skip


def plain(width: int = 160, height: int = 60) -> Console:
    return Console(file=io.StringIO(), width=width, height=height, color_system=None)


def text(renderable: RenderableType, width: int = 160, height: int = 60) -> str:
    console = plain(width, height)
    console.print(renderable)
    return written(console)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def step(done: int, total: int, epochs: int = 0, trained_epochs: int = 0) -> Step:
    return Step("training", done, total, epochs, trained_epochs)


def work(trainings: int, epochs: int, timed: int = 0, workers: int = 1, deadline: float = float("inf")) -> Work:
    return Work(trainings=trainings, epochs=epochs, timed=timed, workers=workers, deadline=deadline)
