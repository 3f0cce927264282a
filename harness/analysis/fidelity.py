"""Whether a short training ranks architectures as a long one does, and what that costs.

Gains are paired: candidate minus baseline under the same schedule and seed. Architectures are compared by their mean
gain over seeds, short against long, by Kendall's τ-b [1]; its interval is a percentile bootstrap over architectures,
since it is of other architectures that one wants to know. Long trainings are noisy themselves: the order of their
first seed against that of the second bounds what any short training can reach.

References:
    1. Kendall, "The treatment of ties in ranking problems", Biometrika 33, 1945.
    2. Snedecor and Cochran, Statistical Methods, 8th ed., section 13.3 (components of variance: `signal_sd`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from harness.analysis.noise import ALPHA, SHARED_BASELINE, pooled_noise
from harness.architecture import BASELINE
from harness.record.state import State

# A difference of mAP50-95 after long training that a short one should see.
DIFFERENCE = 0.01
# Columns of the table that `fidelity` gives.
COLUMNS = (
    "schedule", "cohort", "seeds", "architectures", "cpu_seconds", "noise_sd", "noise_sd_low", "noise_sd_high",
    "signal_sd", "signal_over_noise", "tau", "tau_low", "tau_high", "told_apart", "told_apart_low", "told_apart_high",
    "pairs", "carriers",
)  # fmt: skip
# Name of the whole cohort, beside those of its spaces.
EVERYTHING = "all"
# Architectures below which an order says nothing.
_FEWEST = 5
_RESAMPLES = 2000

Values = npt.NDArray[np.float64]


class Agreement(NamedTuple):
    """A share or a correlation with its 95 % interval."""

    value: float
    low: float
    high: float


def paired_gains(trainings: pd.DataFrame) -> pd.DataFrame:
    """Return candidates' rows with `gain`: mAP50-95 minus the baseline's of the same schedule and seed.

    Args:
        trainings: Columns `schedule`, `seed`, `architecture`, `space`, `state`, `map50_95`, `cpu_seconds`. A seed
            whose baseline is not complete has no gains.
    """
    rows = trainings[trainings["state"] == State.COMPLETE]
    is_control = rows["architecture"] == BASELINE
    controls = rows[is_control].set_index(["schedule", "seed"])["map50_95"].rename("control")
    paired = rows[~is_control].join(controls, on=["schedule", "seed"], how="inner")
    return paired.assign(gain=paired["map50_95"] - paired["control"])


def fidelity(trainings: pd.DataFrame, long: str, *, seed: int = 0) -> pd.DataFrame:
    """Measure how well each schedule ranks, for every number of its seeds.

    Args:
        trainings: See `paired_gains`; the order of rows is that in which seeds are added.
        long: Name of the schedule that is taken for the truth.
        seed: Of the bootstrap.

    Returns:
        One row for each schedule, number of seeds and part of the cohort (`all` and each space). Columns: `schedule`,
        `seeds`, `cohort`, `architectures`, `cpu_seconds` (mean of one architecture over these seeds, its share of the
        control left out), `noise_sd` with `_low` and `_high` (of one seed's gain, pooled over architectures and all
        seeds of the schedule), `signal_sd` (spread of the true gains), `signal_over_noise` (of a mean over these
        seeds; the noise between two candidates, which share the baseline's), `tau` with `_low` and `_high`, `pairs`
        (that differ by `DIFFERENCE` or more after long training), `carriers` (the fewest architectures of which every
        such pair holds one: so many observations the pairs are), `told_apart` with `_low` and `_high` (share of these
        that the short training orders in the same way). What cannot be known is NaN. The long schedule's own row
        compares its last seed with those before.
    """
    gains = paired_gains(trainings)
    if long not in set(gains["schedule"]):
        raise ValueError(f"no complete training of schedule '{long}' has its control")
    truth = gains[gains["schedule"] == long]
    rng = np.random.default_rng(seed)
    rows = []
    for schedule, own in gains.groupby("schedule", sort=False):
        seeds = list(dict.fromkeys(own["seed"]))
        for cohort, part in _parts(own):
            for taken, reference in _readings(str(schedule), long, truth, seeds):
                rows.append({"schedule": schedule, "cohort": cohort, **_row(part, taken, reference, rng)})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def kendall(short: Values, long: Values, rng: np.random.Generator) -> Agreement:
    """Compute Kendall's τ-b of two observations of the same architectures, (n,) each, with its interval."""
    x, y = (np.sign(values[:, None] - values[None, :]) for values in (short, long))

    def tau(weights: Values) -> Values:
        concordant, of_x, of_y = (_pair_sums(weights, each) for each in (x * y, np.abs(x), np.abs(y)))
        with np.errstate(invalid="ignore"):
            result: Values = concordant / np.sqrt(of_x * of_y)
        return result

    return _with_interval(tau, len(short), rng)


class ToldApart(NamedTuple):
    """Pairs that differ after long training.

    Attributes:
        share: Of these, how many a short training orders alike; without an interval where one architecture carries
            them all, since a bootstrap over architectures cannot vary what it is conditional on.
        pairs: Their number.
        carriers: The fewest architectures of which every pair holds one.
    """

    share: Agreement
    pairs: int
    carriers: int


def told_apart(short: Values, long: Values, rng: np.random.Generator) -> ToldApart:
    """Count the pairs that differ by `DIFFERENCE` or more in `long`, and how many of them `short` orders alike.

    A pair that is equal in `short` does not count as ordered alike.
    """
    between = long[:, None] - long[None, :]
    far = (np.abs(between) >= DIFFERENCE - 1e-9).astype(float)  # 0.03 - 0.02 is a little less than 0.01
    alike = far * (np.sign(short[:, None] - short[None, :]) == np.sign(between))

    def share(weights: Values) -> Values:
        with np.errstate(invalid="ignore"):
            result: Values = _pair_sums(weights, alike) / _pair_sums(weights, far)
        return result

    found, carriers = _with_interval(share, len(short), rng), _carriers(long)
    if carriers < 2:
        found = Agreement(found.value, np.nan, np.nan)
    return ToldApart(found, int(far.sum()) // 2, carriers)


def _carriers(long: Values) -> int:
    """Count the fewest architectures of which every pair that differs by `DIFFERENCE` or more holds one.

    The others are the most that all lie within less than `DIFFERENCE` of each other: a window of the sorted values.
    """
    ordered = np.sort(long)
    beyond = np.searchsorted(ordered, ordered + DIFFERENCE - 1e-9)
    return len(ordered) - int((beyond - np.arange(len(ordered))).max(initial=0))


def _parts(own: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    yield EVERYTHING, own
    for space, part in own.groupby("space", sort=False):
        yield str(space), part


def _readings(
    schedule: str, long: str, truth: pd.DataFrame, seeds: Sequence[int]
) -> Iterator[tuple[list[int], pd.DataFrame]]:
    """Yield the seeds of an observation, and the long trainings that it is compared with."""
    if schedule != long:
        for count in range(1, len(seeds) + 1):
            yield list(seeds[:count]), truth
    elif len(seeds) > 1:
        yield [seeds[-1]], truth[truth["seed"] != seeds[-1]]


def _row(part: pd.DataFrame, seeds: list[int], truth: pd.DataFrame, rng: np.random.Generator) -> dict[str, object]:
    taken = part[part["seed"].isin(seeds)]
    whole = taken.groupby("architecture").filter(lambda rows: len(rows) == len(seeds))
    means = whole.groupby("architecture")["gain"].mean()
    long_means = truth.groupby("architecture")["gain"].mean()
    common = means.index.intersection(long_means.index)
    noise = pooled_noise(part, "gain", SHARED_BASELINE)
    # The baseline's own noise moves all gains alike: it decides no order and adds nothing to their spread.
    noise_of_mean = noise.sd * np.sqrt((1 - SHARED_BASELINE) / len(seeds))
    signal = np.sqrt(max(0.0, means.var(ddof=1) - noise_of_mean**2)) if len(means) > 1 and noise.usable else np.nan
    row: dict[str, object] = {
        "seeds": len(seeds),
        "architectures": len(common),
        "cpu_seconds": whole.groupby("architecture")["cpu_seconds"].sum().mean(),
        "noise_sd": noise.sd,
        "noise_sd_low": noise.low,
        "noise_sd_high": noise.high,
        "signal_sd": signal,
        "signal_over_noise": signal / noise_of_mean,
    }
    short, long = means[common].to_numpy(float), long_means[common].to_numpy(float)
    nothing = Agreement(np.nan, np.nan, np.nan)
    tau, apart = nothing, ToldApart(nothing, 0, 0)
    if len(common) >= _FEWEST:
        tau, apart = kendall(short, long, rng), told_apart(short, long, rng)
    for name, agreement in (("tau", tau), ("told_apart", apart.share)):
        row |= {name: agreement.value, f"{name}_low": agreement.low, f"{name}_high": agreement.high}
    return row | {"pairs": apart.pairs, "carriers": apart.carriers}


def _pair_sums(weights: Values, matrix: Values) -> Values:
    """Compute Σ wᵢ wⱼ mᵢⱼ for each row of weights, (resamples, n)."""
    sums: Values = ((weights @ matrix) * weights).sum(axis=1)
    return sums


def _with_interval(statistic: Callable[[Values], Values], n: int, rng: np.random.Generator) -> Agreement:
    """Compute the statistic of n architectures, each counted once, and resampled with replacement.

    Where all resamples agree there is no interval: that few architectures happen to agree is no evidence of precision.
    """
    value = float(statistic(np.ones((1, n)))[0])
    resampled = statistic(rng.multinomial(n, np.full(n, 1 / n), size=_RESAMPLES).astype(float))
    known = resampled[np.isfinite(resampled)]
    if not np.isfinite(value) or len(known) < _RESAMPLES / 2:
        return Agreement(value, float("nan"), float("nan"))
    low, high = np.percentile(known, [100 * ALPHA / 2, 100 * (1 - ALPHA / 2)])
    if low == high:
        low = high = np.nan
    return Agreement(value, float(low), float(high))
