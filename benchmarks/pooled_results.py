"""Do pooled results of presets hold the truth, and how often are they called a gain or none? One table.

Machines are simulated whose true gains scatter between them, and whose trainings scatter between seeds (standard
deviation of a gain 0.004), and are judged by the function that judges real files. The true gain over the baseline is
0, +0.01 (exactly what is claimed, so that any verdict is a false one) or +0.02; the placebos stand far below, so that
the comparison with the baseline decides. Coverage is of that comparison, by the corrected interval.

    python benchmarks/pooled_results.py
    python benchmarks/pooled_results.py --draws 2000
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import Annotated, NamedTuple
from unittest.mock import patch

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from harness.analysis.power import sample_size
from harness.claims.pooled import judge_results
from tests.claims.results import BOUNDARY, SD, machine

TRUTHS = (0.0, 0.01, 0.02)


class Case(NamedTuple):
    """One row of the table; 0 seeds are drawn from 2 to 5, `between` is in standard deviations of a seed."""

    machines: int
    seeds: int
    between: float


class Share(NamedTuple):
    """What came of the draws under one truth, each 0 to 1."""

    covered: float
    reproduced: float
    refuted: float
    half_width: float


def cases() -> Iterator[Case]:
    """One machine as it is, and two to five of different kinds."""
    yield from (Case(1, seeds, 0.0) for seeds in (2, 3, 5))
    yield from (Case(count, *kind) for count, kind in product((2, 3, 4, 5), ((2, 0.0), (0, 1.0), (0, 3.0))))


def simulate(case: Case, truth: float, draws: int) -> Share:
    """Judge so many sets of files; both models of each count."""
    rng = np.random.default_rng([case.machines, case.seeds, int(case.between * 10)])
    gains = BOUNDARY | {"head": truth, "last": truth}
    covered, verdicts, widths = 0, [], []
    sizes = sample_size(SD, 4.0, 0.01, lambda _: 4.0)  # how many it would take is not asked here, and takes longest
    for _ in range(draws):
        several = [
            machine(rng, gains, seeds=case.seeds or int(rng.integers(2, 6)), between=case.between * SD)
            for _ in range(case.machines)
        ]
        with patch("harness.claims.required.sample_size", lambda *_: sizes):
            found = judge_results(several)
        for finding in found.values():
            low, high = (float(str(finding.rows[0][end])) for end in ("low", "high"))
            covered += low <= truth <= high
            verdicts.append(str(finding.verdict))
            widths.append((high - low) / 2)
    reproduced, refuted = (verdicts.count(word) / len(verdicts) for word in ("reproduced", "refuted"))
    return Share(covered / len(verdicts), reproduced, refuted, float(np.median(widths)))


def main(draws: Annotated[int, typer.Option(help="Sets of files of a row and truth.")] = 400) -> None:
    """Print the table."""
    table = Table("machines", "seeds", "between", "coverage", "half", "0: refuted", "0.01: false", "0.02: reproduced")
    rows = list(cases())
    with multiprocessing.Pool() as pool:
        shares = pool.starmap(partial(simulate, draws=draws), product(rows, TRUTHS))
    for place, case in enumerate(rows):
        none, edge, gain = shares[3 * place : 3 * place + 3]
        table.add_row(
            str(case.machines),
            str(case.seeds or "2 to 5"),
            f"{case.between:g}",
            f"{min(each.covered for each in (none, edge, gain)):.3f}",
            f"{edge.half_width:.4f}",
            f"{none.refuted:.2f}",
            f"{edge.reproduced:.3f}",
            f"{gain.reproduced:.2f}",
        )
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
