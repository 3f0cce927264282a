"""How often does a latency ratio's 95 % interval hold the true ratio, on a machine that is disturbed periodically?

Each run is a whole measurement by `harness.latency.turns` under a clock of its own: passes take fixed times with 2 %
of noise, and longer while the disturbance is on, whose phase is random. A period of about one round is the hardest:
whatever the order of the passes, it meets the same places of every round.

    python benchmarks/latency_coverage.py
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from harness.latency.intervals import ratio_with_interval
from harness.latency.turns import Turns, times_of

TRUE_RATIO = 1.1
MAX_SECONDS, MIN_ROUNDS, TARGET = 5.0, 25, 0.01
_WARM_UP_SECONDS = 0.75
_NOISE = 0.02
"""Standard deviation of a pass' log time."""


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """What comes and goes in a fixed rhythm.

    Attributes:
        period_ms: From one beginning to the next.
        round_ms: Mean time of a round of two passes of each model, disturbed as it is.
        duty: Share of the time that it is on.
        slowness: Factor on the time that work takes meanwhile.
    """

    period_ms: float
    round_ms: float = 16.4
    duty: float = 0.3
    slowness: float = 1.3

    @property
    def pass_ms(self) -> float:
        """Time of an undisturbed pass of the baseline."""
        speed = 1 - self.duty + self.duty / self.slowness
        return self.round_ms * speed / (2 + 2 * TRUE_RATIO)


class Coverage(NamedTuple):
    """What many runs came to.

    Attributes:
        covered: Share of intervals that hold the true ratio.
        half_width: Median of half the interval's width over the ratio.
        bias: Mean of ratio over true ratio, less 1.
    """

    covered: float
    half_width: float
    bias: float


@dataclass
class _Clock:
    disturbance: Disturbance
    rng: np.random.Generator
    now: float = field(init=False)

    def __post_init__(self) -> None:
        self.now = float(self.rng.uniform(0, self.disturbance.period_ms))

    def seconds(self) -> float:
        return self.now / 1000

    def milliseconds(self, work: Callable[[], object]) -> float:
        before = self.now
        work()
        return self.now - before

    def pause(self, seconds: float) -> None:
        self.now += 1000 * seconds

    def _advance(self, work: float) -> float:
        """Go on until the work is done or the disturbance begins or ends; give how much was done, in undisturbed ms."""
        period, on_ms = self.disturbance.period_ms, self.disturbance.duty * self.disturbance.period_ms
        phase = self.now % period
        slowness, change = (self.disturbance.slowness, on_ms) if phase < on_ms else (1.0, period)
        done = min(work, (change - phase) / slowness + 1e-9)  # past the change, whatever is rounded
        self.now += done * slowness
        return done

    def passes(self, ms: float) -> Callable[[], None]:
        """A model whose pass takes so long."""

        def run() -> None:
            work = ms * math.exp(self.rng.normal(0, _NOISE))
            while work > 0:
                work -= self._advance(work)

        return run


def periodic_coverage(disturbance: Disturbance, *, renews: bool, runs: int, seed: int = 0) -> Coverage:
    """Measure many times.

    Args:
        disturbance: What happens meanwhile.
        renews: Whether models are copied anew between rounds, as eager ones are; others are not.
        runs: Measurements.
        seed: Of phases, noise and the order of passes.
    """
    found = np.array([_measured(disturbance, renews, np.random.default_rng([seed, run])) for run in range(runs)])
    low, ratio, high = found.T
    return Coverage(
        covered=float(np.mean((low <= TRUE_RATIO) & (high >= TRUE_RATIO))),
        half_width=float(np.median((high - low) / 2 / ratio)),
        bias=float(np.mean(ratio / TRUE_RATIO) - 1),
    )


def _measured(disturbance: Disturbance, renews: bool, rng: np.random.Generator) -> tuple[float, float, float]:
    clock, ms = _Clock(disturbance, rng), disturbance.pass_ms
    turns = Turns(clock.passes(TRUE_RATIO * ms), clock.passes(ms), clock, rng, renews=renews)
    deadline = clock.seconds() + MAX_SECONDS
    turns.warm_up(clock.seconds() + _WARM_UP_SECONDS)
    group = turns.rounds_a_group(MAX_SECONDS)
    rounds, _ = turns.measure(deadline, MIN_ROUNDS, TARGET, 0, group)
    return ratio_with_interval(times_of(rounds), 0, group)


def main(
    runs: Annotated[int, typer.Option(help="Measurements a line.", min=20)] = 400,
    seed: Annotated[int, typer.Option(help="Of phases, noise and order.")] = 0,
) -> None:
    """Print the coverage by period, for models that are copied anew and models that are not."""
    shown = Table("period over round", "copies", "interval holds the true ratio", "half width", "bias")
    for share in track((0.25, 0.5, 0.85, 1.0, 2.0, 2.26), "measuring", transient=True):
        for renews in (True, False):
            found = periodic_coverage(Disturbance(period_ms=share * 16.4), renews=renews, runs=runs, seed=seed)
            shown.add_row(
                f"{share:g}", "renewed" if renews else "kept", f"{found.covered:.1%}", f"{found.half_width:.2%}",
                f"{found.bias:+.2%}",
            )  # fmt: skip
    Console().print(shown)
    print(f"{runs} measurements a line; standard error of 95 % {math.sqrt(0.95 * 0.05 / runs):.1%}")


if __name__ == "__main__":
    typer.run(main)
