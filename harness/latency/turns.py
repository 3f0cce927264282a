"""Two models' passes in turns, copied to other places in memory, until their ratio is known.

A round is A B B A or B A A B, drawn at random: a disturbance whose period is about that of a round would fall on the
same model every time if the order never changed. And after each group of rounds there is a pause of random length, up
to that of a round: else a disturbance in step with the passes stays in step with them, and a model whose passes are
longer meets more of it, or less, from the first round to the last. Groups are what the interval takes for independent.
(`benchmarks/latency_coverage.py` simulates both.)
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor

from harness.common.errors import UserError
from harness.latency.clocks import Clock
from harness.latency.intervals import LONGER, Samples, ratio_with_interval
from harness.latency.runtimes import Pass

# Rounds that are measured even beyond the time limit; fewer have no interval.
_FEWEST_ROUNDS = 5
# Rounds whose median time is compared with that of as many rounds before.
_WARM_UP_ROUNDS = 4
# The models warm up while a group of rounds takes less than this much of the group before.
_STILL_WARMING = 0.97
# Rounds between two pauses and copies of the models, where there is time for enough groups.
_MOST_ROUNDS_A_GROUP = 5
# Groups of rounds that the time limit should allow.
_GROUPS = 12
# Factor between the numbers of rounds at which the interval is looked at.
_GROWTH = 1.2


class Stop(StrEnum):
    """Why measuring ended."""

    # The interval of the ratio is as narrow as asked.
    PRECISE = "precise"
    # The time was over before.
    TIME_LIMIT = "time limit"


@dataclass(frozen=True, kw_only=True)
class Round:
    """Two passes of each model.

    Attributes:
        times: A, B, B, A in ms, each model's first pass before its second, in whichever order they ran.
        candidate_first: Whether they ran A B B A; else B A A B.
    """

    times: tuple[float, float, float, float]
    candidate_first: bool


@dataclass
class Turns:
    """Passes of two models, to be run in turns.

    Attributes:
        a: The candidate's.
        b: The baseline's.
        clock: How they are timed.
        rng: Of orders, pauses and places in memory.
        renews: Whether both may be copied to another place; an engine's own copy may not.
    """

    a: Pass
    b: Pass
    clock: Clock
    rng: np.random.Generator
    renews: bool = True
    _padding: list[Tensor] = field(default_factory=list)
    _round_ms: float = float("nan")

    def round(self) -> Round:
        """Run one round, A B B A or B A A B with equal probability."""
        candidate_first = bool(self.rng.random() < 0.5)
        outer, inner = (self.a, self.b) if candidate_first else (self.b, self.a)
        outer_name, inner_name = ("candidate", "baseline") if candidate_first else ("baseline", "candidate")
        first = self._milliseconds(outer, outer_name)
        between = self._milliseconds(inner, inner_name), self._milliseconds(inner, inner_name)
        around = first, self._milliseconds(outer, outer_name)
        a, b = (around, between) if candidate_first else (between, around)
        return Round(times=(a[0], *b, a[1]), candidate_first=candidate_first)

    def _milliseconds(self, work: Pass, name: str) -> float:
        elapsed = self.clock.milliseconds(work)
        if not (math.isfinite(elapsed) and elapsed > 0):
            raise UserError(f"latency: a pass of the {name} took {elapsed} ms by the clock; it is above 0")
        return elapsed

    def part(self) -> None:
        """Part two groups of rounds: pause, copy both models to another place in memory, and run each twice there."""
        self.clock.pause(float(self.rng.random()) * self._round_ms / 1000)
        if self.renews:
            self._renew()
        for work in (self.a, self.b, self.b, self.a):
            work()

    def _renew(self) -> None:
        self._padding = [torch.empty(int(size)) for size in self.rng.integers(1, 2**16, size=8)]
        if self.rng.random() < 0.5:  # which is copied first makes a difference, too
            self.a, self.b = copy.deepcopy(self.a), copy.deepcopy(self.b)
        else:
            self.b, self.a = copy.deepcopy(self.b), copy.deepcopy(self.a)

    def rounds_a_group(self, max_seconds: float) -> int:
        """Return as many as let there be a few groups within the time limit; known once the models are warm."""
        return max(1, min(_MOST_ROUNDS_A_GROUP, int(1000 * max_seconds / (_GROUPS * self._round_ms))))

    def warm_up(self, deadline: float) -> int:
        """Run rounds until they no longer get faster; at most to the deadline. Gives their number."""
        times: list[float] = []
        while not times or self.clock.seconds() < deadline:
            times.append(sum(self.round().times))
            before, last = times[-2 * _WARM_UP_ROUNDS : -_WARM_UP_ROUNDS], times[-_WARM_UP_ROUNDS:]
            if len(before) == _WARM_UP_ROUNDS and np.median(last) > _STILL_WARMING * np.median(before):
                break
        self._round_ms = float(np.median(times[-_WARM_UP_ROUNDS:]))
        return len(times)

    def measure(
        self, deadline: float, min_rounds: int, target_half_width: float, seed: int, group: int
    ) -> tuple[list[Round], Stop]:
        """Run rounds until the ratio is precise or the deadline is over, in groups of so many."""
        rounds: list[Round] = []
        fewest = max(_FEWEST_ROUNDS, 2 * group)
        look_at = max(min_rounds, fewest)
        while len(rounds) < fewest or self.clock.seconds() < deadline:
            if rounds:
                self.part()
            rounds.extend(self.round() for _ in range(group))
            if len(rounds) >= look_at:
                low, ratio, high = ratio_with_interval(times_of(rounds), seed, group)
                if high - low <= 2 * LONGER * target_half_width * ratio:
                    return rounds, Stop.PRECISE
                look_at = math.ceil(_GROWTH * len(rounds))
        return rounds, Stop.TIME_LIMIT


def times_of(rounds: Sequence[Round]) -> Samples:
    """Return the times as `ratio_with_interval` takes them, (rounds, 4), in ms."""
    return np.array([each.times for each in rounds])
