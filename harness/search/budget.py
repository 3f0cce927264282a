"""Which candidates get more epochs and seeds: the readings that choose do not judge.

A search without `--rungs` takes the highest first readings (`finalists`). On a ladder the choice is by the
probability of belonging to the final front (`climbers`): the cost is known before the second training, the
accuracy with noise, and a candidate that something cheaper surpasses is worth no further epoch however it
reads. No learning curve is extrapolated.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import pandas as pd

from harness.analysis.bounds import within
from harness.analysis.membership import front_probability
from harness.analysis.noise import SHARED_BASELINE, pooled_noise
from harness.architecture import BASELINE
from harness.constraints import UNBOUNDED, Constraints
from harness.search.outcome import State

PRIOR_SD = 0.002
"""Standard deviation of one seed's paired difference, in mAP50-95, until a study has its own: what 36
architectures showed on the embedded data (docs/decisions/0007)."""


def finalists(rows: pd.DataFrame, *, seed: int, count: int, constraints: Constraints = UNBOUNDED) -> list[str]:
    """The most promising candidates by their first seed, best first.

    The choice rests on first readings alone, which later seeds do not change: a search that is run
    again chooses the same ones. Ties go to the lower latency.

    Args:
        rows: `StudyRecord.trials`.
        seed: The seed that screens.
        count: How many to take.
        constraints: Bounds that the first reading keeps to.

    Returns:
        Identities.
    """
    screened = rows[(rows.seed == seed) & (rows.state == State.COMPLETE) & (rows.architecture != BASELINE)]
    screened = screened[within(screened, constraints)]
    screened = screened[screened.gain_map50_95.notna()].drop_duplicates("architecture")
    ranked = screened.sort_values(["gain_map50_95", "latency_ratio"], ascending=[False, True])
    return list(ranked.architecture.head(count))


def climbers(
    rows: pd.DataFrame,
    on_rung: Collection[str],
    *,
    epochs: int,
    seeds: Sequence[int],
    cost: str,
    count: int,
    constraints: Constraints = UNBOUNDED,
) -> list[str]:
    """The candidates of a rung that most probably belong to the final front, the most probable first.

    The choice rests on that rung's readings alone, and so does the noise that they are taken to have: nothing
    that is trained later changes it, and a search that is run again chooses the same ones. Ties (to six
    decimals) go to the higher gain, then to the lower cost. What is beyond a bound, be it the baseline, has no place
    on that front and takes nobody's.

    Args:
        rows: `StudyRecord.trials`.
        on_rung: Identities of the candidates that compete.
        epochs: The rung's.
        seeds: The rung's.
        cost: Column that is the cost, less being better.
        count: How many to take.
        constraints: Bounds that the means of the rung's readings keep to.

    Returns:
        Identities; a candidate without a reading is not among them.
    """
    here = rows[(rows.epochs == epochs) & rows.seed.isin(seeds) & (rows.state == State.COMPLETE)]
    here = here[here.gain_map50_95.notna() & here.architecture.isin([*on_rung, BASELINE])]
    here = here.drop_duplicates(["architecture", "seed"])
    noise = pooled_noise(here[here.architecture != BASELINE], "gain_map50_95", SHARED_BASELINE)
    own_sd = (noise.sd if noise.usable else PRIOR_SD) * math.sqrt(1 - SHARED_BASELINE)
    table = here.groupby("architecture").agg(
        mean=("gain_map50_95", "mean"), count=("gain_map50_95", "count"), map50_95=("map50_95", "mean")
    )
    known_before = sorted({cost, *(bound.column for bound in constraints.bounds)} - {"map50_95"})
    table = table.join(rows.groupby("architecture")[known_before].median())
    table = table[within(table, constraints)]
    probability = front_probability(table["mean"], own_sd / table["count"] ** 0.5, table[cost])
    table = table.assign(probability=probability.round(6))
    ranked = table.drop(index=BASELINE, errors="ignore").reset_index()
    ranked = ranked.sort_values(
        ["probability", "mean", cost, "architecture"], ascending=[False, False, True, True], na_position="last"
    )
    return [str(name) for name in ranked.architecture.head(count)]
