"""How many seeds a wanted precision takes.

Reference: Cohen, Statistical Power Analysis, 2nd ed., chapter 2: the test statistic of a true effect has
the noncentral t distribution, with effect · √n / sd as its noncentrality. No approximation is needed.
"""

from __future__ import annotations

import math

from scipy import stats

from harness.analysis.noise import ALPHA

POWER = 0.8
"""Share of studies that would see an effect which is there."""


def power_of(seeds: int, sd: float, effect: float, df: float | None = None, alpha: float = ALPHA) -> float:
    """Chance that a two-sided paired t-test at 5 % tells a true effect from zero, on its own side of zero.

    Args:
        seeds: Paired differences.
        sd: Standard deviation of one paired difference, above 0.
        effect: True mean of the differences, above 0.
        df: Degrees of freedom of `sd` where it is pooled over candidates; None: seeds − 1, its own.
        alpha: Of the test; less than 5 % where several are made.
    """
    freedom = seeds - 1 if df is None else df
    return float(stats.nct.sf(stats.t.ppf(1 - alpha / 2, freedom), freedom, effect / sd * math.sqrt(seeds)))


def seeds_needed(
    sd: float,
    effect: float,
    power: float = POWER,
    df: float | None = None,
    most: int = 10_000,
    alpha: float = ALPHA,
) -> int | None:
    """Fewest seeds whose paired t-test sees a true effect this often; see `power_of`.

    It is the number for one candidate; `alpha` takes a correction for many. The seed that picks a candidate
    comes on top.

    Returns:
        None where `most` is not enough, or where there is no noise or no effect to reckon with.
    """
    if not (sd > 0 and effect > 0 and (df is None or df > 0)):
        return None
    low = 0 if df else 1  # the power grows with the seeds: double, then halve
    high = low + 1
    while power_of(high, sd, effect, df, alpha) < power:
        if high >= most:
            return None
        low, high = high, min(high * 2, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle, sd, effect, df, alpha) >= power else (middle, high)
    return high
