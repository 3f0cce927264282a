"""How often does a 95 % interval of a gain hold the truth, by how many seeds there are? One table.

Studies are simulated: every reading of an architecture is its true mAP plus noise, and a few candidates share the
baseline's readings, as in a search. `t` and `BCa` see one candidate's paired differences alone; `pooled t` is from
the scatter of all candidates: with the nominal degrees of freedom, and with those that a shared baseline leaves
(Satterthwaite: differences of one seed correlate by one half, their squares by a quarter), as in the report.
A share below 95 % is an interval that claims too much; the table's own standard error is in its last line.

    python benchmarks/coverage.py
    python benchmarks/coverage.py --studies 20000 --noise heavy
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy import stats

from harness.analysis.intervals import Interval, bca_interval, t_interval
from harness.analysis.noise import ALPHA, SHARED_BASELINE

SEEDS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20)
Samples = NDArray[np.float64]


class Noise(StrEnum):
    """Shape of one reading's noise; of mean 0."""

    NORMAL = "normal"
    HEAVY = "heavy"
    """Exponential downwards: now and then a training goes badly. Differences have heavy tails (Laplace)."""


def main(
    studies: Annotated[int, typer.Option(help="Simulated studies for each number of seeds.", min=100)] = 4000,
    candidates: Annotated[int, typer.Option(help="Candidates with repeated seeds in a study.", min=1)] = 3,
    noise: Annotated[Noise, typer.Option(help="Shape of the noise.")] = Noise.NORMAL,
    resamples: Annotated[int, typer.Option(help="Of each bootstrap.", min=100)] = 999,
) -> None:
    """Print the coverage of each interval."""
    table = Table("seeds", "t", "pooled t, nominal df", "pooled t, Satterthwaite df", "BCa")
    for seeds in track(SEEDS, "simulating", transient=True):
        gains = differences(studies, candidates, seeds, noise, np.random.default_rng(seeds))
        shares = (
            coverage_alone(gains[:, 0], t_interval),
            t_coverage(gains),
            t_coverage(gains, SHARED_BASELINE),
            coverage_alone(gains[:, 0], partial(bca_interval, resamples=resamples)),
        )
        table.add_row(str(seeds), *(f"{share:.1%}" for share in shares))
    Console().print(table)
    error = math.sqrt(ALPHA * (1 - ALPHA) / studies)
    print(f"{noise} noise, {candidates} candidates, {studies} studies a row; standard error {error:.1%}")


def differences(studies: int, candidates: int, seeds: int, noise: Noise, rng: np.random.Generator) -> Samples:
    """Paired differences of candidates that do nothing; shape (studies, candidates, seeds)."""
    size = (studies, candidates + 1, seeds)
    readings = rng.standard_normal(size) if noise is Noise.NORMAL else 1 - rng.standard_exponential(size)
    return readings[:, 1:] - readings[:, :1]


def t_coverage(gains: Samples, correlation: float = 0.0) -> float:
    """Share of studies whose first candidate's t interval, from the scatter of all of them, holds zero."""
    _, candidates, seeds = gains.shape
    df = candidates * (seeds - 1) / (1 + (candidates - 1) * correlation**2)
    sd = np.sqrt(gains.var(axis=2, ddof=1).mean(axis=1))
    half = stats.t.ppf(1 - ALPHA / 2, df) * sd / math.sqrt(seeds)
    return float((np.abs(gains[:, 0].mean(axis=1)) <= half).mean())


def coverage_alone(gains: Samples, interval: Callable[..., Interval]) -> float:
    """Share of studies whose interval from one candidate's seeds holds zero; one without ends holds nothing."""
    intervals = [interval(study) for study in gains]
    return float(np.mean([low <= 0 <= high for low, high in intervals]))


if __name__ == "__main__":
    typer.run(main)
