"""Do the numbers of seeds that a report names keep their promise? Simulated studies, through the real functions.

A report says how many seeds a gain takes, with power 80 %. Here studies with so many seeds, and with one less, are
simulated and judged by what judges real ones: `summarise` (verdict *gain*) and `contrasts` (verdict *better*). The last
row of each kind names the number from a pilot study's estimated noise, as a report has to; its power on average stands
beside what the report says that it is.

    python benchmarks/seeds_named.py
    python benchmarks/seeds_named.py --studies 2000
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from harness.analysis.contrasts import Pair, contrasts
from harness.analysis.noise import ALPHA
from harness.analysis.power import (
    MOST,
    Freedom,
    NoNumber,
    df_of_a_seed,
    growing_df,
    power_of,
    sample_size,
    seeds_needed,
)
from harness.analysis.statistics import gain_noise, summarise
from harness.architecture import BASELINE

OWN_SD = 0.001
"""Scatter of one reading of one architecture; the seed's, which pairing takes away, is three times as large."""
SD = OWN_SD * np.sqrt(2)
"""Of one paired difference."""
EFFECTS = (0.7, 1.0, 2.0)
"""True gains, in standard deviations of a paired difference."""
_GAINING = "c0"


class Promise(NamedTuple):
    """What became of a number of seeds.

    Attributes:
        seeds: The number named; a mean where each study names its own.
        power: Share of studies with so many that see the gain.
        one_less: Share of those with one seed less.
        said: Share that the number was named for, or that a report promises on average.
    """

    seeds: float
    power: float
    one_less: float
    said: float


def main(studies: Annotated[int, typer.Option(help="Simulated studies a cell.", min=50)] = 500) -> None:
    """Print how the promise is kept."""
    table = Table("study", "compared", "true gain, sd", "seeds named", "power", "one seed less", "said")
    cells: list[tuple[str, int, Callable[..., Promise]]] = [
        ("search", 3, known_search), ("search", 10, known_search), ("ablation", 4, known_ablation),
        ("search, estimated noise", 3, estimated_search),
    ]  # fmt: skip
    for name, compared, cell in track(cells, "simulating", transient=True):
        for effect in EFFECTS:
            kept = cell(np.random.default_rng(0), studies, compared, effect)
            shares = (f"{share:.0%}" for share in (kept.power, kept.one_less, kept.said))
            table.add_row(name, str(compared), f"{effect:g}", f"{kept.seeds:.4g}", *shares)
    Console().print(table)
    print(f"{studies} studies a cell; standard error of a power of 80 %: {np.sqrt(0.16 / studies):.1%}")


def known_search(rng: np.random.Generator, studies: int, finalists: int, effect: float) -> Promise:
    """Finalists one of which gains, judged by `summarise`; the number is named from the true noise."""
    noise = gain_noise(search(rng, finalists, 3, effect))
    freedom = growing_df(noise.df, 2, df_of_a_seed(noise.architectures))
    return _kept(
        freedom, finalists, effect, lambda fresh: sees_gain(search(rng, finalists, 1 + fresh, effect)), studies
    )


def known_ablation(rng: np.random.Generator, studies: int, arms: int, effect: float) -> Promise:
    """Arms one of which gains, judged by `contrasts`; the number is named from the true noise, which all have."""
    pairs = [Pair(name=name, minuend=name, subtrahend=BASELINE, kind="one") for name in _names(arms)]

    def first(seeds: int) -> pd.Series[Any]:
        return contrasts(search(rng, arms, seeds, effect).assign(base_seed=0), pairs).iloc[0]

    freedom = growing_df(df_of_a_seed(arms), 2, df_of_a_seed(arms))
    return _kept(freedom, arms, effect, lambda seeds: first(seeds)["verdict"] == "better", studies)


def estimated_search(rng: np.random.Generator, studies: int, finalists: int, effect: float) -> Promise:
    """The same where each number is named from a pilot's noise: three seeds, as a search has by default."""
    seen, fewer, named, said = [], [], [], []
    for _ in range(studies):
        noise = gain_noise(search(rng, finalists, 3, effect))
        freedom = growing_df(noise.df, 2, df_of_a_seed(noise.architectures))
        size = sample_size(noise.sd, noise.df, effect * SD, freedom, ALPHA / finalists)
        seeds = MOST if isinstance(size.seeds, NoNumber) else size.seeds
        named.append(seeds)
        said.append(size.expected_power)
        seen.append(sees_gain(search(rng, finalists, 1 + seeds, effect)))
        fewer.append(seeds > 1 and sees_gain(search(rng, finalists, seeds, effect)))
    return Promise(float(np.mean(named)), float(np.mean(seen)), float(np.mean(fewer)), float(np.nanmean(said)))


def search(rng: np.random.Generator, finalists: int, seeds: int, effect: float) -> pd.DataFrame:
    """Rows of a search's finalists and its baseline, seed 0 being the one that picked; `c0` gains."""
    level = 0.5 + rng.normal(0, 3 * OWN_SD, seeds)
    names = (BASELINE, *_names(finalists))
    readings = level + rng.normal(0, OWN_SD, (len(names), seeds))
    readings[1] += effect * SD
    return pd.DataFrame(
        {
            "architecture": np.repeat(names, seeds),
            "seed": np.tile(np.arange(seeds), len(names)),
            "epochs": 3,
            "state": "complete",
            "reason": "",
            "map50_95": readings.ravel(),
            "map50": readings.ravel() + 0.2,
            "gain_map50_95": (readings - readings[0]).ravel(),
            "latency_ratio": 1.0,
            "selected_on": np.tile(np.arange(seeds) == 0, len(names)),
        }
    )


def sees_gain(trials: pd.DataFrame) -> bool:
    """Whether the candidate that gains is told to."""
    return bool(summarise(trials).loc[_GAINING, "verdict"] == "gain")


def _names(count: int) -> list[str]:
    return [f"c{number}" for number in range(count)]


def _kept(freedom: Freedom, tests: int, effect: float, sees: Callable[[int], bool], studies: int) -> Promise:
    """Name a number of seeds from the true noise, and see what becomes of it."""
    seeds = seeds_needed(SD, effect * SD, freedom, ALPHA / tests)
    if isinstance(seeds, NoNumber):
        raise TypeError(f"no number of seeds was named: {seeds}")
    said = power_of(seeds, SD, effect * SD, freedom(seeds), ALPHA / tests)
    shares = [np.mean([sees(count) for _ in range(studies)]) for count in (seeds, seeds - 1)]
    return Promise(seeds, float(shares[0]), float(shares[1]), said)


if __name__ == "__main__":
    typer.run(main)
