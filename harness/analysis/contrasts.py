"""Paired differences between trained arms, each with its interval, corrected for how many are looked at.

A difference is one arm's mAP50-95 minus another's under the same base and seed, averaged over those. Its interval
rests on the scatter pooled over differences of one kind [1]: those between arms that both start as the base's own
function scatter several times less than others, so that the two are never pooled. Where the base itself was trained
several times, a base counts as one reading (the mean over its seeds): seeds of one base say nothing of another.

Where both arms kept what each validation image contributes, intervals and verdicts are about new images like these,
else about these images (`new_images`).

The corrected interval is Bonferroni's: all of a family's hold at once with 95 % [2]. Verdicts rest on it.

References:
    1. Snedecor and Cochran, Statistical Methods, 8th ed., section 6.9 (pooled variance).
    2. Dunn, "Multiple comparisons among means", JASA 56, 1961.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from scipy import stats

from harness.analysis.new_images import ON_IMAGES, contrasts_on_new_images
from harness.analysis.noise import ALPHA, SHARED_BASELINE, Noise, pooled_noise
from harness.analysis.power import seeds_needed

COLUMNS = (
    "name", "minuend", "subtrahend", "readings", "mean", "sd", "df", "low", "high", "low_corrected", "high_corrected",
    "p_value", "verdict", "readings_needed", *ON_IMAGES,
)  # fmt: skip


class Verdict(StrEnum):
    """What a corrected interval allows to be said."""

    BETTER = "better"
    WORSE = "worse"
    UNDECIDED = "undecided"
    UNMEASURED = "unmeasured"
    """No seed has both."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two arms to be compared.

    Attributes:
        name: For people.
        minuend: Identity of the arm from whose mAP the other's is taken.
        subtrahend: Identity of the other.
        kind: Differences of one kind share their scatter.
    """

    name: str
    minuend: str
    subtrahend: str
    kind: str


def contrasts(trials: pd.DataFrame, pairs: Sequence[Pair], *, share: bool = True) -> pd.DataFrame:
    """Compare arms in pairs, as one family.

    Args:
        trials: Rows with `architecture`, `base_seed`, `seed`, `state` and `map50_95` (`StudyRecord.trials`).
        pairs: What is compared.
        share: Whether the pairs have an arm in common, so that their readings of one seed correlate.

    Returns:
        `COLUMNS`, a row a pair, in order. `readings` are seeds, or bases where there are several; `readings_needed`
        is how many it takes, the corrected interval in mind, to tell a true difference of this size from 0 in four
        of five studies (NaN where 10,000 are not enough).
    """
    readings = _readings(trials, pairs)
    noises = {
        kind: pooled_noise(rows, "difference", SHARED_BASELINE if share else 0.0)
        for kind, rows in readings.groupby("kind")
    }
    family = max(1, readings["architecture"].nunique())
    none = pooled_noise(readings[:0], "difference")
    rows = []
    for place, pair in enumerate(pairs):
        mine = readings.loc[readings["architecture"] == place, "difference"]
        rows.append(_row(pair, mine, noises.get(pair.kind, none), family))
    found = pd.DataFrame(rows, columns=[name for name in COLUMNS if name not in ON_IMAGES])
    return _judged(contrasts_on_new_images(found, trials, [(pair.minuend, pair.subtrahend) for pair in pairs]))


def _judged(table: pd.DataFrame) -> pd.DataFrame:
    """Return contrasts with their verdicts, by the corrected interval."""
    better, worse = table["low_corrected"] > 0, table["high_corrected"] < 0
    verdicts = [Verdict.UNMEASURED, Verdict.BETTER, Verdict.WORSE]
    return table.assign(verdict=np.select([table["readings"] == 0, better, worse], verdicts, Verdict.UNDECIDED))


def _readings(trials: pd.DataFrame, pairs: Sequence[Pair]) -> pd.DataFrame:
    """One row a pair and reading; named as `pooled_noise` wants them."""
    complete = trials[(trials["state"] == "complete") & trials["map50_95"].notna()]
    keys = ["base_seed", "seed"]
    complete = complete.drop_duplicates(["architecture", *keys], keep="last")
    arms = {str(name): rows.set_index(keys)["map50_95"] for name, rows in complete.groupby("architecture")}
    empty = complete[:0].set_index(keys)["map50_95"]
    several = len(complete["base_seed"].unique()) > 1
    parts = [pd.DataFrame({"architecture": [], "kind": [], "seed": [], "difference": []})]
    for place, pair in enumerate(pairs):
        difference = (arms.get(pair.minuend, empty) - arms.get(pair.subtrahend, empty)).dropna()
        by_unit = difference.groupby(level="base_seed" if several else "seed").mean()
        parts.append(
            pd.DataFrame(
                {"architecture": place, "kind": pair.kind, "seed": by_unit.index, "difference": by_unit.to_numpy()}
            )
        )
    return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)


def _row(pair: Pair, readings: pd.Series[float], noise: Noise, family: int) -> tuple[object, ...]:
    count = len(readings)
    mean = float(readings.mean()) if count else float("nan")
    plain, corrected = (half_width(noise, count, tests) for tests in (1, family))
    needed = seeds_needed(noise.sd, abs(mean), alpha=ALPHA / family, df=noise.df) if noise.usable and count else None
    return (
        pair.name, pair.minuend, pair.subtrahend, count, mean, noise.sd, noise.df, mean - plain, mean + plain,
        mean - corrected, mean + corrected, noise.p_value(mean, count), "",
        float("nan") if needed is None else float(needed),
    )  # fmt: skip


def half_width(noise: Noise, readings: int, tests: int) -> float:
    """Half of a mean's 95 % interval, corrected for so many tests; NaN where unknown."""
    if not noise.usable or readings < 1:
        return float("nan")
    return float(stats.t.ppf(1 - ALPHA / (2 * tests), noise.df) * noise.sd / np.sqrt(readings))
