"""What a person's hours hold: steps × seeds × candidates, and the gain that each would detect."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from harness.analysis.planning import LEAST_SEEDS, SeedNoise, detectable_gain, seeds_to_detect
from harness.jobs.plan import Pace, plan
from harness.record.ladder import Ladder, Rung

CANDIDATES = (1, 3, 5, 10, 20, 40)
# Of a search: beyond them more candidates are worth more than narrower intervals.
_MOST_SEEDS = 20
# Gains, in mAP50-95, of which is said what they would take.
_WANTED = (0.05, 0.02, 0.01, 0.005, 0.002)


@dataclass(frozen=True, kw_only=True)
class Option:
    """A search that fits.

    Attributes:
        steps: Optimiser steps of each training.
        epochs: The same in epochs.
        seeds: Of the baseline and of each finalist.
        candidates: Tried under one seed.
        finalists: Of these, tried under all.
        trainings: In all, the baseline's included.
        hours: By the clock.
        detectable_gain: Smallest true gain, in mAP50-95, that four of five such searches would call one.
    """

    steps: int
    epochs: int
    seeds: int
    candidates: int
    finalists: int
    trainings: int
    hours: float
    detectable_gain: float

    def to_options(self) -> dict[str, int]:
        """Return it as settings of a search."""
        return {"epochs": self.epochs, "trials": self.candidates, "finalists": self.finalists, "seeds": self.seeds}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a gain would take that the recommended search does not detect.

    Attributes:
        gain: In mAP50-95.
        hours: Of a search of as many candidates; None where no number of seeds tells it on so few validation images,
            or none that anyone trains.
    """

    gain: float
    hours: float | None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What fits.

    Attributes:
        options: The most seeds for each length and number of candidates that fits.
        recommended: The one to take; see `recommend`.
        beyond: What the time cannot answer, the largest gain first.
    """

    options: tuple[Option, ...]
    recommended: Option
    beyond: tuple[Wanted, ...]

    def to_dict(self) -> dict[str, object]:
        """Return plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Room:
    """What a search has to fit into, and how fast things go.

    Attributes:
        hours: That are left for it.
        steps_an_epoch: Optimiser steps.
        pace: How long things take.
        noise: Epochs of a training to how one seed's gain scatters after so many.
        most: Candidates that there can be.
        already: Candidates that are judged whatever a search chooses: those of a pilot.
    """

    hours: float
    steps_an_epoch: int
    pace: Pace
    noise: Mapping[int, SeedNoise]
    most: int
    already: int = 0


def plan_for(room: Room, min_gain: float) -> Plan | None:
    """Return what fits; None where not even one candidate under three seeds does.

    Args:
        room: What it has to fit into.
        min_gain: The smallest difference in mAP50-95 that matters.
    """
    options = tuple(_options(room))
    if not options:
        return None
    best = recommend(options, min_gain)
    return Plan(options=options, recommended=best, beyond=tuple(_beyond(room, best)))


def recommend(options: Sequence[Option], min_gain: float) -> Option:
    """Return the search to run: of the shortest trainings, since they have the steps that a planted effect needs.

    Of those that detect a gain that matters, the one with the most candidates; where none does, that of three
    candidates or more which detects the smallest, as far as three fit.
    """
    shortest = [each for each in options if each.steps == min(option.steps for option in options)]
    if enough := [each for each in shortest if each.detectable_gain <= min_gain]:
        return max(enough, key=lambda each: (each.candidates, each.seeds))
    several = [each for each in shortest if each.candidates >= CANDIDATES[1]] or shortest
    return min(several, key=lambda each: (each.detectable_gain, -each.candidates))


def _options(room: Room) -> Iterator[Option]:
    for epochs in sorted(room.noise):
        for candidates in (each for each in CANDIDATES if each == 1 or each <= room.most):
            fit = [
                seeds
                for seeds in range(LEAST_SEEDS, _MOST_SEEDS + 1)
                if _search(room, epochs, candidates, seeds)[1] <= room.hours
            ]
            if fit:
                yield _option(room, epochs, candidates, fit[-1])


def _search(room: Room, epochs: int, candidates: int, seeds: int) -> tuple[int, float]:
    """Compute how many trainings a search takes, and hours."""
    ladder = Ladder(rungs=(Rung(epochs, 1), Rung(epochs, seeds)))
    planned = plan(ladder, candidates=candidates, finalists=_finalists(candidates), budget=None, pace=room.pace)
    assert planned is not None, "with a pace there is a plan"
    assert planned.seconds is not None, "likewise"
    return planned.trainings, planned.seconds / 3600


def _finalists(candidates: int) -> int:
    return min(candidates, 2 if candidates <= CANDIDATES[2] else 3)


def _option(room: Room, epochs: int, candidates: int, seeds: int) -> Option:
    trainings, hours = _search(room, epochs, candidates, seeds)
    return Option(
        steps=epochs * room.steps_an_epoch,
        epochs=epochs,
        seeds=seeds,
        candidates=candidates,
        finalists=_finalists(candidates),
        trainings=trainings,
        hours=hours,
        detectable_gain=detectable_gain(seeds=seeds, judged=_judged(room, candidates), noise=room.noise[epochs]),
    )


def _judged(room: Room, candidates: int) -> int:
    return min(candidates, _finalists(candidates) + room.already)


def _beyond(room: Room, best: Option) -> Iterator[Wanted]:
    """Yield what the time cannot answer, with as many candidates as are recommended."""
    judged = _judged(room, best.candidates)
    for gain in (each for each in _WANTED if each < best.detectable_gain):
        seeds = seeds_to_detect(gain, judged=judged, noise=room.noise[best.epochs])
        hours = None if seeds is None else _search(room, best.epochs, best.candidates, seeds)[1]
        yield Wanted(gain=gain, hours=hours)


def steps_an_epoch(images: int, batch: int) -> int:
    """Return the optimiser steps of one pass over the training images."""
    return math.ceil(images / batch)
