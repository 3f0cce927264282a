"""How often does the interval of the highest judged gain hold the truth, and those of the winners? One table.

Studies are simulated as trainings of F candidates and a baseline under n seeds, of which the first has picked; all are
equally noisy. Everything after the readings is the product's own: `summarise`, then `corrected_for_choice`.

    python benchmarks/coverage_of_the_chosen.py --studies 300
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from harness.analysis.chosen import corrected_for_choice
from harness.analysis.statistics import Verdict, summarise
from harness.architecture import BASELINE

OWN_SD, SEED_SD = 0.001, 0.003
"""Of one training's mAP50-95: its own noise, and what all trainings under a seed share."""
CELLS = tuple((judged, size, seeds) for judged in (3, 10) for size in (0.0, 1.0, 2.0) for seeds in (3,))


def main(studies: Annotated[int, typer.Option(help="Simulated studies for each cell.", min=20)] = 300) -> None:
    """Print the coverage of each cell."""
    names = ("highest, plain", "highest, corrected", "winners, plain", "winners, corrected", "width")
    table = Table("judged", "true gain of half of them, sd", "seeds", *names)
    for judged, size, seeds in track(CELLS, "simulating", transient=True):
        truth = np.repeat([0.0, size], [judged - judged // 2, judged // 2])
        found = coverage(truth, seeds, studies, np.random.default_rng(7))
        table.add_row(str(judged), f"{size:g}", str(seeds), *(f"{found[name]:.3f}" for name in names))
    Console().print(table)


def coverage(truth: NDArray[np.float64], seeds: int, studies: int, rng: np.random.Generator) -> dict[str, float]:
    """Return how often intervals hold the truth, plain and corrected, and how many times as wide the latter are.

    Args:
        truth: True gains in standard deviations of one seed's paired difference.
        seeds: Of each candidate, the one that picks included.
        studies: How many to simulate.
        rng: Of the simulation.
    """
    seen: dict[str, list[float]] = {"width": []}
    for _ in range(studies):
        gains = rng.permutation(truth) * OWN_SD * np.sqrt(2)
        summary = summarise(trials(gains, seeds, rng))
        true = pd.Series(gains, index=summary.index.drop(BASELINE)).reindex(summary.index)
        best = str(summary["gain_map50_95"].drop(BASELINE).idxmax())
        lengths = []
        for name, rows in (("plain", summary), ("corrected", corrected_for_choice(summary))):
            holds = (rows["gain_low"] <= true) & (true <= rows["gain_high"])
            seen.setdefault(f"highest, {name}", []).append(float(holds[best]))
            seen.setdefault(f"winners, {name}", []).extend(holds[rows["verdict"] == Verdict.GAIN].astype(float))
            lengths.append((rows["gain_high"] - rows["gain_low"])[best])
        seen["width"].append(lengths[1] / lengths[0])
    return {name: float(np.mean(each)) if each else float("nan") for name, each in seen.items()}


def trials(gains: NDArray[np.float64], seeds: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return the readings of a study whose first seed has picked."""
    levels = 0.5 + rng.normal(0, SEED_SD, seeds)
    base = levels + rng.normal(0, OWN_SD, seeds)
    rows = [(BASELINE, seed, base[seed], 0.0) for seed in range(seeds)]
    for at, gain in enumerate(gains):
        values = levels + gain + rng.normal(0, OWN_SD, seeds)
        rows += [(f"c{at:02d}", seed, values[seed], values[seed] - base[seed]) for seed in range(seeds)]
    found = pd.DataFrame(rows, columns=["architecture", "seed", "map50_95", "gain_map50_95"])
    return found.assign(
        epochs=3, state="complete", reason="", map50=found["map50_95"] + 0.2, selected_on=found["seed"] == 0
    )


if __name__ == "__main__":
    typer.run(main)
