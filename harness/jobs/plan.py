"""What a ladder and a budget come to: how many candidates start, how many climb, what that takes."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass

from harness.record.ladder import Budget, Ladder, Rung, Unit

# Optimiser steps of 8 images after which a planted effect shows under 28 seeds of 30; after 320 it does under 23
# (docs/decisions/0004).
STEPS_TO_SHOW = 480
# Images of such a step: after 320 steps of 4 it shows under none of 10. Smaller batches are given as many images, which
# is a guess.
LEAST_BATCH = 8

# Epochs of a search that names none, where that many have steps enough.
LEAST_EPOCHS = 3


def enough_epochs(*, images: int, batch: int) -> int:
    """Return the epochs of a search that names none: as many as a planted effect needs to show, three at least.

    Args:
        images: Training images.
        batch: Images a step.
    """
    return max(LEAST_EPOCHS, math.ceil(_steps_to_show(batch) / math.ceil(images / batch)))


def _steps_to_show(batch: int) -> int:
    return max(STEPS_TO_SHOW, math.ceil(STEPS_TO_SHOW * LEAST_BATCH / batch))


def too_few_steps(*, epochs: int, images: int, batch: int) -> str:
    """Return a sentence about trainings that end before a block has learnt; empty where they have steps enough.

    Args:
        epochs: Of the longest training that is planned.
        images: Training images.
        batch: Images a step.
    """
    steps = epochs * math.ceil(images / batch)
    needed = _steps_to_show(batch)
    if steps >= needed:
        return ""
    return (
        f"{steps} steps an architecture; planted effects need {needed} to show under 9 seeds of 10: a block "
        f"that pays may read as none. --epochs {math.ceil(needed / math.ceil(images / batch))} has as many"
    )


@dataclass(frozen=True, kw_only=True)
class RungPlan:
    """One rung's share.

    Attributes:
        rung: Epochs and seeds.
        candidates: Architectures on it, the baseline not counted.
        trainings: Trainings that it adds, the baseline's included.
        epochs: Epochs that these add: what a rung below has trained is not trained again.
    """

    rung: Rung
    candidates: int
    trainings: int
    epochs: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A whole search in numbers. What fails costs less, what is cut short and run again costs more.

    Attributes:
        rungs: From the bottom.
        seconds: What it takes by the clock, as far as the baseline's control tells; None before that.
    """

    rungs: tuple[RungPlan, ...]
    seconds: float | None

    @property
    def candidates(self) -> int:
        """On the first rung."""
        return self.rungs[0].candidates

    @property
    def trainings(self) -> int:
        """In all."""
        return sum(rung.trainings for rung in self.rungs)

    @property
    def epochs(self) -> int:
        """In all."""
        return sum(rung.epochs for rung in self.rungs)

    def __str__(self) -> str:
        candidates = ", ".join(f"{each.candidates} on {each.rung}" for each in self.rungs)
        seconds = "" if self.seconds is None else f", about {self.seconds / 60:.0f} min"
        return (
            f"candidates on each rung (epochs × seeds): {candidates}; "
            f"with the baseline {self.trainings} trainings, {self.epochs} epochs{seconds}"
        )

    def to_dict(self) -> dict[str, str]:
        """Return it for the record, a line a rung."""
        return {
            f"rung {each.rung}": f"{each.candidates} candidates, {each.trainings} trainings, {each.epochs} epochs"
            for each in self.rungs
        }


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long things take.

    Attributes:
        epoch_seconds: One epoch of the baseline's control, its share of the validation included.
        latency_seconds: Most seconds to measure one architecture's latency; nothing runs beside that.
        workers: Trainings at once.
    """

    epoch_seconds: float
    latency_seconds: float
    workers: int


def plan(
    ladder: Ladder, *, candidates: int, finalists: int | None, budget: Budget | None, pace: Pace | None
) -> Plan | None:
    """Plan the largest search that the budget pays for; every candidate that starts may be promoted to the last rung.

    Args:
        ladder: The rungs.
        candidates: Most on the first rung.
        finalists: Most on the second; None promotes one in three, as on the rungs above.
        budget: Most that may be spent; None plans for all candidates.
        pace: None where it is not known yet.

    Returns:
        The plan; None where the budget is a time and the pace is not known.

    Raises:
        ValueError: The budget does not pay for a single candidate.
    """
    if budget is not None and budget.unit is Unit.SECONDS and pace is None:
        return None

    def planned(first: int) -> Plan:
        return _planned(ladder, ladder.candidates(first, finalists), pace)

    if budget is None or candidates == 0:
        return planned(candidates)
    affordable = bisect.bisect_right(
        range(1, candidates + 1), budget.amount, key=lambda first: _cost(planned(first), budget.unit)
    )
    if not affordable:
        raise ValueError(f"too little for one candidate: {_price(planned(1), budget.unit)} at least")
    return planned(affordable)


def _planned(ladder: Ladder, candidates: list[int], pace: Pace | None) -> Plan:
    rungs = []
    for number, on_rung in enumerate(candidates):
        steps = ladder.new_steps(number)
        architectures = on_rung + 1 if on_rung or number == 0 else 0
        rungs.append(
            RungPlan(
                rung=ladder.rungs[number],
                candidates=on_rung,
                trainings=architectures * len(steps),
                epochs=architectures * sum(step.epochs - ladder.below(step.epochs) for step in steps),
            )
        )
    epochs = sum(rung.epochs for rung in rungs)
    seconds = None
    if pace is not None:
        seconds = epochs * pace.epoch_seconds / pace.workers + (candidates[0] + 1) * pace.latency_seconds
    return Plan(rungs=tuple(rungs), seconds=seconds)


def _cost(planned: Plan, unit: Unit) -> float:
    """Return what a plan spends of a budget."""
    if unit is Unit.SECONDS:
        return planned.seconds or 0.0
    return float(planned.trainings if unit is Unit.TRAININGS else planned.epochs)


def _price(planned: Plan, unit: Unit) -> str:
    """Format what a plan takes, in the words of a budget."""
    if unit is Unit.SECONDS:
        return f"{_cost(planned, unit) / 60:.1f} m"
    return f"{_cost(planned, unit):.0f} {unit}"
