"""How far a training is, what a study has still to train, and whoever is told of it.

A training's process tells the search how far it is, and the search whoever watches: the terminal is one watcher,
tests are another. What is left follows from the plan and from what is there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import pandas as pd

from harness.jobs.plan import Plan
from harness.record.settings import SearchSettings
from harness.record.state import State
from harness.record.study import StudyRecord
from harness.record.surroundings import SpaceSummary


class Step(NamedTuple):
    """Steps of one kind, done and in all.

    Attributes:
        doing: What kind: `training`, `latency`, or what else takes a while.
        done: Iterations that are done.
        total: Of so many.
        epochs: Epochs that these iterations make up; 0 where they are no training.
        trained_epochs: Epochs that the weights had behind them.
    """

    doing: str
    done: int
    total: int
    epochs: int = 0
    trained_epochs: int = 0

    @property
    def epoch(self) -> str:
        """`epoch 2 of 3`, the one under way; empty where there are none."""
        if not self.epochs:
            return ""
        under_way = max(0, self.done - 1) * self.epochs // max(1, self.total) + 1
        return f"epoch {self.trained_epochs + under_way} of {self.trained_epochs + self.epochs}"


class Throttle:
    """Let only some of a training's words through, where each is a message to another machine.

    Args:
        pause_s: Least seconds between two steps of one kind; the first step of another kind passes at once.
    """

    def __init__(self, pause_s: float) -> None:
        self._pause_s = pause_s
        self._told_at = float("-inf")
        self._told: Any = None

    def lets_through(self, content: Any, now: float) -> bool:
        """Decide whether a word is passed on at this moment, in seconds."""
        doing = content.doing if isinstance(content, Step) else content
        if doing == self._told and now < self._told_at + self._pause_s:
            return False
        self._told_at, self._told = now, doing
        return True


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is left, the trainings that run included.

    Attributes:
        trainings: How many.
        epochs: Of all of these.
        timed: How many of them have their latency measured first, alone.
        workers: Trainings at once.
        deadline: No training starts after this time (`time.monotonic`, seconds); infinite where there is none.
    """

    trainings: int
    epochs: int
    timed: int
    workers: int
    deadline: float = math.inf


def work_left(settings: SearchSettings, planned: Plan, rows: pd.DataFrame, *, workers: int, deadline: float) -> Work:
    """Count what a plan asks for and a study lacks. What failed is not tried again; longer trainings of it still count.

    Args:
        settings: The ladder, and which trainings are the first.
        planned: The whole study.
        rows: `StudyRecord.trials`.
        workers: Trainings at once.
        deadline: As in `Work`.
    """
    ladder = settings.ladder
    settled = rows[rows["state"].isin([state for state in State if state.settled])]
    settled = settled[settled["epochs"].isin(ladder.levels)].drop_duplicates(["architecture", "epochs", "seed"])
    first = (settled["epochs"] == settings.epochs) & (settled["seed"] == settings.seed)
    trained = sum(int(epochs) - ladder.below(int(epochs)) for epochs in settled["epochs"])
    return Work(
        trainings=max(0, planned.trainings - len(settled)),
        epochs=max(0, planned.epochs - trained),
        timed=max(0, planned.candidates + 1 - int(first.sum())),
        workers=workers,
        deadline=deadline,
    )


class Observer(Protocol):
    """Receives what happens, in order."""

    def phase(self, text: str) -> None:
        """Take note that something new begins; `text` is a short line."""

    def begin(self, trial: int, text: str) -> None:
        """Take note that a training begins, perhaps beside others; `text` is a short line."""

    def progress(self, step: Step, trial: int | None = None) -> None:
        """Take note of a step of a training that runs, or of the current phase."""

    def plan(self, work: Work) -> None:
        """Take note of the remaining work, from now on."""

    def space(self, summary: SpaceSummary) -> None:
        """Take note of the cost of the whole search space, now that it is known."""

    def finished(self, record: StudyRecord, trial: int) -> None:
        """Take note that this training ended, and of the whole study as it is now."""

    def note(self, text: str) -> None:
        """Take note of something a person should know."""
