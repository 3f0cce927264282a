"""What a study has still to train: from the plan and from what is there."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from harness.search.outcome import State
from harness.search.plan import Plan
from harness.settings import SearchSettings


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
    """What a plan asks for and a study lacks. What failed is not tried again; longer trainings of it are still counted.

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
