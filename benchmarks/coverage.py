"""How often does every printed interval hold the truth, and how often is a gain called that is none? One table.

Studies with a known truth are simulated and handed to the functions that judge real ones. A reading of an architecture
is its true mAP, plus what the seed does to all alike, plus noise of its own; the search's own rule picks the finalists
on the first seed. Nobody gains anything, but in the column `power`: there one candidate gains as much as the pooled
variance and Holm's correction (of an ablation: Bonferroni's), two-sided, find in 80 % of studies if all are equally
noisy; behind the slash is what they find in these very studies.

Wanted of every row: coverage of 93 % or more (nominal: 95 %), false gains (of an ablation: false verdicts) in 5 % of
studies or less, power within 5 points of the pooled method's where all are equally noisy. A figure that misses by more
than two standard errors is marked `!`.

Behind this table come those of findings that are simulated otherwise: numbers of seeds (A4), the interval of a gain
that was chosen (B2), gains on new images (A13) and images with few objects (A12), latencies under a periodic load (B8).

    python benchmarks/coverage.py
    python benchmarks/coverage.py --studies 4000 --only A6
"""

from __future__ import annotations

import inspect
import math
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy import optimize, stats

from benchmarks import coverage_of_the_chosen, image_coverage, latency_coverage, seeds_named
from harness.analysis.contrasts import Pair, contrasts
from harness.analysis.intervals import bca_interval, t_interval
from harness.analysis.noise import ALPHA, SHARED_BASELINE, holm, pooled_noise
from harness.analysis.statistics import gain_noise, summarise
from harness.architecture import BASELINE
from harness.search.promotion import finalists

OWN, SEED = 0.00036, 0.0026
"""Standard deviations of a reading, in mAP50-95: an architecture's own, and the seed's (results/reference/default)."""
ONE_SEED = math.sqrt(2) * OWN
"""Of the paired difference of one seed."""
LOOKS = (3, 5, 8, 12, 18)


@dataclass
class Tally:
    """What came of the studies of one row: sums over studies, and how many there were."""

    hits: dict[str, float] = field(default_factory=dict)
    tries: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, hits: float, tries: float = 1) -> None:
        """Count hits among tries."""
        self.hits[name] = self.hits.get(name, 0.0) + hits
        self.tries[name] = self.tries.get(name, 0.0) + tries

    def share(self, name: str) -> float:
        """Hits over tries; NaN where nothing was tried."""
        return self.hits[name] / self.tries[name] if self.tries.get(name) else float("nan")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A row of the table.

    Attributes:
        finding: That it answers.
        case: In words.
        simulate: Adds one study to a tally.
    """

    finding: str
    case: str
    simulate: Callable[[np.random.Generator, Tally], None]


def study(
    rng: np.random.Generator,
    candidates: int,
    count: int,
    seeds: int,
    own: Mapping[int, float] | float = 1.0,
    gain: float = 0.0,
) -> pd.DataFrame:
    """Trials of a search: all candidates on seed 0, the finalists and the baseline on all.

    Args:
        rng: Source of the noise.
        candidates: How many.
        count: Of them, finalists.
        seeds: Of the finalists and the baseline.
        own: Own noise as a multiple of `OWN`: of all candidates, or of those that differ.
        gain: True gain of candidate 0.
    """
    factors = np.ones(candidates + 1)  # the baseline's is the last
    if isinstance(own, Mapping):
        factors[list(own)] = list(own.values())
    readings = 0.45 + rng.normal(0, SEED, seeds) + rng.normal(0, OWN, (candidates + 1, seeds)) * factors[:, None]
    readings[0] += gain
    names = [*(f"c{place:03d}" for place in range(candidates)), BASELINE]

    def rows(place: int, taken: Sequence[int]) -> list[dict[str, Any]]:
        return [
            {
                "architecture": names[place], "seed": seed, "epochs": 3, "state": "complete", "reason": "",
                "map50_95": readings[place, seed], "map50": readings[place, seed] + 0.2,
                "gain_map50_95": readings[place, seed] - readings[-1, seed], "latency_ratio": 1.0, "macs": 1e6,
                "selected_on": seed == 0,
            }
            for seed in taken
        ]  # fmt: skip

    screened = [row for place in range(candidates) for row in rows(place, [0])] + rows(candidates, range(seeds))
    chosen = finalists(pd.DataFrame(screened), seed=0, count=count)
    more = [row for name in chosen for row in rows(names.index(name), range(1, seeds))]
    return pd.DataFrame(screened + more)


def search(
    rng: np.random.Generator,
    tally: Tally,
    *,
    candidates: int,
    count: int,
    seeds: int,
    noisy: Mapping[int, float] | None = None,
) -> None:
    """One null study of a search, and where all are equally noisy one in which a candidate gains."""
    trials = study(rng, candidates, count, seeds, noisy or {})
    summary = summarise(trials)
    judged = summary[summary["standing"] == "judged"]
    wild = judged.index.isin([f"c{place:03d}" for place in noisy or {}])
    _cover(tally, "coverage", judged)
    _cover(tally, "noisy", judged[wild])
    _cover(tally, "one seed", summary[summary["standing"] == "screening only"])
    quiet = judged[~wild]
    if len(quiet):
        tally.add("width", float((quiet["gain_high"] - quiet["gain_low"]).median()) / 2 / ONE_SEED)
    tally.add("false", float((summary["verdict"] == "gain").any()))
    lost = summary["verdict"] == "loss"
    tally.add("losses", lost.sum(), len(summary) - 1)
    if not noisy and seeds > 2:  # one evaluation seed has no variance: no test to have power
        effect = _effect(min(count, candidates), seeds - 1, ALPHA / min(count, candidates))
        trials = study(rng, candidates, count, seeds, gain=effect * ONE_SEED)
        if (trials["architecture"] == "c000").sum() > 1:
            tally.add("power", float(summarise(trials)["verdict"]["c000"] == "gain"))
            tally.add("pooled power", _pooled_power(trials[~trials["selected_on"]], holm))


def _cover(tally: Tally, name: str, rows: pd.DataFrame) -> None:
    tally.add(name, ((rows["gain_low"] <= 0) & (rows["gain_high"] >= 0)).sum(), len(rows))


def _pooled_power(rows: pd.DataFrame, correct: Callable[[pd.Series[float]], pd.Series[float]]) -> bool:
    """Whether the pooled variance of these rows and a two-sided correction call the gain of c000 one."""
    own = rows[rows["architecture"] != BASELINE]
    noise = pooled_noise(own, "gain_map50_95", SHARED_BASELINE)
    means = own.groupby("architecture")["gain_map50_95"].agg(["mean", "count"])
    p_values = pd.Series({name: noise.p_value(row["mean"], int(row["count"])) for name, row in means.iterrows()})
    gain: Any = means.loc["c000", "mean"]
    return bool(correct(p_values)["c000"] < ALPHA and gain > 0)


def _effect(arms: int, readings: int, alpha: float) -> float:
    """True gain, in standard deviations of one seed's, that the pooled test finds in 80 % of studies."""
    df = arms * (readings - 1) / (1 + (arms - 1) * SHARED_BASELINE**2)
    critical = stats.t.isf(alpha / 2, df)
    return float(optimize.brentq(lambda x: stats.nct.sf(critical, df, x * math.sqrt(readings)) - 0.8, 0.1, 400))


def accuracy(rng: np.random.Generator, tally: Tally, *, count: int, seeds: int) -> None:
    """One study's mAP intervals, of the baseline and of the finalists, picked of as many candidates."""
    summary = summarise(study(rng, count, count, seeds))
    held = (summary["map50_95_low"] <= 0.45) & (summary["map50_95_high"] >= 0.45)
    tally.add("coverage", held.sum(), len(held))
    tally.add("noisy", float(held[BASELINE]))
    within = (summary["map50_95_high"] - summary["map50_95_low"]) / 2
    tally.add("width", float(within.median()) / SEED)


def noise_of_one_seed(rng: np.random.Generator, tally: Tally, *, candidates: int, count: int, seeds: int) -> None:
    """Whether the interval of the printed noise holds the true one; the `width` is measured over true variance."""
    noise = gain_noise(study(rng, candidates, count, seeds))
    tally.add("coverage", float(noise.low <= ONE_SEED <= noise.high))
    tally.add("width", (noise.sd / ONE_SEED) ** 2)


def looks(rng: np.random.Generator, tally: Tally, *, candidates: int, count: int) -> None:
    """One null study that is judged again after more seeds; a gain at any look is a false one."""
    trials = study(rng, candidates, count, max(LOOKS))
    called = False
    for look, seeds in enumerate(LOOKS, 1):
        known = {"look": look} if "look" in inspect.signature(summarise).parameters else {}
        summary = summarise(trials[trials["seed"] < seeds], **known)
        called = called or bool((summary["verdict"] == "gain").any())
        _cover(tally, "coverage", summary[summary["standing"] == "judged"])
    tally.add("false", float(called))


def ablation(
    rng: np.random.Generator, tally: Tally, *, arms: int, seeds: int, noisy: Mapping[int, float] | None = None
) -> None:
    """One null ablation, and where all are equally noisy one in which an arm gains."""
    pairs = [Pair(name=f"c{n:03d}", minuend=f"c{n:03d}", subtrahend=BASELINE, kind="one") for n in range(arms)]
    null = contrasts(study(rng, arms, arms, seeds, noisy or {}).assign(base_seed=0), pairs)
    held = (null["low"] <= 0) & (null["high"] >= 0)
    tally.add("coverage", held.sum(), arms)
    tally.add("noisy", held[list(noisy or {})].sum(), len(noisy or {}))
    tally.add("false", float(null["verdict"].isin(["better", "worse"]).any()))
    tally.add("width", float((null["high"] - null["low"]).median()) / 2 / ONE_SEED)
    if not noisy:
        trials = study(rng, arms, arms, seeds, gain=_effect(arms, seeds, ALPHA / arms) * ONE_SEED).assign(base_seed=0)
        tally.add("power", float(contrasts(trials, pairs)["verdict"].iloc[0] == "better"))
        tally.add("pooled power", _pooled_power(trials, lambda p_values: p_values * arms))


def alone(rng: np.random.Generator, tally: Tally, *, seeds: int, bootstrap: bool) -> None:
    """The interval of one candidate's own seeds: Student's, or the bootstrap's."""
    differences = rng.normal(0, ONE_SEED, seeds).tolist()
    low, high = bca_interval(differences, resamples=999) if bootstrap else t_interval(differences)
    tally.add("coverage", float(low <= 0 <= high))
    tally.add("width", (high - low) / 2 / ONE_SEED)


def cells() -> list[Cell]:
    """Every row of the table, in order; add yours here."""
    rows = [
        Cell(
            finding="A1", case=f"mAP, {seeds} seeds, {count} finalists",
            simulate=partial(accuracy, count=count, seeds=seeds),
        )
        for count in (3, 10)
        for seeds in (2, 3, 5)
    ]  # fmt: skip
    equal = [(10, 3), (50, 3), (10, 1), (50, 10), (10, 10)]
    rows += [_search("C", candidates, count, seeds) for candidates, count in equal for seeds in (3, 5)]
    rows += [_search("C", 4, 1, 4), _search("B10", 10, 1, 2)]  # embedded data by default; who says two seeds
    for candidates, count, seeds, factor in (
        (12, 3, 3, 8), (12, 3, 5, 8), (12, 3, 5, 3), (12, 12, 5, 8), (12, 12, 5, 3), (10, 10, 5, 5), (50, 10, 3, 4),
        (50, 10, 5, 4),
    ):  # fmt: skip
        noisy = {place: float(factor) for place in range(10 if candidates == 50 else 1)}
        rows.append(_search("A6", candidates, count, seeds, noisy))
    for arms, seeds, factor in (
        (8, 3, 1), (8, 5, 1), (18, 4, 1), (18, 5, 1), (8, 3, 8), (8, 5, 8), (18, 4, 5), (18, 5, 5),
    ):  # fmt: skip
        noisy = {0: float(factor)} if factor > 1 else {}
        rows.append(
            Cell(
                finding="A6" if noisy else "C",
                case=f"ablation, {arms} arms, {seeds} seeds" + (f", one x{factor}" if noisy else ""),
                simulate=partial(ablation, arms=arms, seeds=seeds, noisy=noisy),
            )
        )
    rows += [
        Cell(
            finding="A8", case=f"noise of one seed, {candidates} candidates, 3 of {seeds} seeds",
            simulate=partial(noise_of_one_seed, candidates=candidates, count=3, seeds=seeds),
        )
        for candidates, seeds in ((10, 3), (50, 3), (200, 3), (50, 5))
    ]  # fmt: skip
    rows.append(
        Cell(finding="B1", case="looks at 3, 5, 8, 12, 18 seeds", simulate=partial(looks, candidates=10, count=3))
    )
    rows += [
        Cell(
            finding="-", case=f"one alone, {seeds} seeds, {'BCa' if bootstrap else 't'}",
            simulate=partial(alone, seeds=seeds, bootstrap=bootstrap),
        )
        for bootstrap in (False, True)
        for seeds in (3, 5, 8, 20)
    ]  # fmt: skip
    return rows


def _search(finding: str, candidates: int, count: int, seeds: int, noisy: Mapping[int, float] | None = None) -> Cell:
    said = f", {len(noisy)} x{max(noisy.values()):g}" if noisy else ""
    return Cell(
        finding=finding,
        case=f"search, {candidates} candidates, {count} finalists, {seeds} seeds{said}",
        simulate=partial(search, candidates=candidates, count=count, seeds=seeds, noisy=noisy),
    )


def simulate(cell: Cell, studies: int, seed: int = 0) -> Tally:
    """Simulate a row's studies."""
    tally = Tally()
    rng = np.random.default_rng([seed, *cell.case.encode()])
    for _ in range(studies):
        cell.simulate(rng, tally)
    return tally


def main(
    studies: Annotated[int, typer.Option(help="Simulated studies of each row.", min=10)] = 400,
    only: Annotated[str, typer.Option(help="Only this finding, or cases that hold this text.")] = "",
    seed: Annotated[int, typer.Option(help="Of the simulation.")] = 0,
    jobs: Annotated[int, typer.Option(help="Processes; a row is one's.", min=1)] = 2,
) -> None:
    """Print the tables."""
    columns = ("coverage", "of the noisy", "one seed", "half width", "false gains", "power", "losses")
    table = Table("finding", "case", *columns)
    chosen = [cell for cell in cells() if only == cell.finding or only in cell.case]
    if chosen:
        with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
            found = pool.map(simulate, chosen, repeat(studies), repeat(seed))
            for cell, tally in track(zip(chosen, found, strict=True), "simulating", len(chosen), transient=True):
                table.add_row(cell.finding, cell.case, *_row(tally, studies))
        Console(width=150).print(table)
        print(
            f"{studies} studies a row; half widths in standard deviations of one seed's difference (A1: of one seed; "
            "A8: variance over the true one); of A1 and ablations see above; ± is one standard error"
        )
    for finding, show in {
        "A4": partial(seeds_named.main, studies),
        "B2": partial(coverage_of_the_chosen.main, studies),
        "A13, A12": partial(image_coverage.main, studies, studies),
        "B8": partial(latency_coverage.main, studies, seed),
    }.items():
        if not only or only in finding.split(", "):
            print(f"\n{finding}")
            show()


def _row(tally: Tally, studies: int) -> list[str]:
    cover = [_marked(tally, name, studies, at_least=0.93) for name in ("coverage", "noisy", "one seed")]
    width = f"{tally.share('width'):.2f}" if tally.tries.get("width") else ""
    power = ""
    if tally.tries.get("power"):
        mine, pooled = tally.share("power"), tally.share("pooled power")
        power = f"{mine:.0%}/{pooled:.0%}" + ("!" if mine < pooled - 0.05 - 2 * _error(0.15, studies) else "")
    losses = f"{tally.share('losses'):.1%}" if tally.tries.get("losses") else ""
    return [*cover, width, _marked(tally, "false", studies, at_most=ALPHA), power, losses]


def _marked(tally: Tally, name: str, studies: int, *, at_least: float = 0.0, at_most: float = 1.0) -> str:
    """A share with its standard error (of as many studies), marked where it misses its band."""
    share, error = tally.share(name), _error(tally.share(name), min(studies, int(tally.tries.get(name, 0))))
    if math.isnan(share):
        return ""
    missed = share < at_least - 2 * error or share > at_most + 2 * error
    return f"{share:.1%} ±{error:.1%}" + ("!" if missed else "")


def _error(share: float, studies: int) -> float:
    return math.sqrt(max(share * (1 - share), 0.25 / max(studies, 1)) / max(studies, 1))


if __name__ == "__main__":
    typer.run(main)
