"""Which candidate to take: the one rule of a report's pick and of its budget slider.

Gains that differ by less than `min_gain` count as equal. So the rule first keeps the candidates whose gain lies within
`min_gain` of the largest one, in which no cost has a say, and only then looks at what they cost. Whatever the noise of
a latency makes of the order among these, it never trades more than `min_gain` of accuracy.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from harness.analysis.statistics import Standing, Verdict

# Gains (of mAP, 0 to 1) that are closer than this are one gain: means of floats are not exact.
ROUNDING = 1e-9


def recommended(rows: pd.DataFrame, cost: str, min_gain: float) -> str | None:
    """Return the candidate to take: of those that beat the baseline by `min_gain` or more, the cheapest good enough.

    Good enough is a gain within `min_gain` of the largest. Costs whose intervals overlap the lowest one's are equal to
    it; among them the largest gain wins. Gains after different numbers of epochs are not of one kind: only the winners
    that were trained longest are looked at.

    Args:
        rows: Rows of `summarise` that can be afforded; that of the baseline is passed over.
        cost: Column to be low; an interval, if any, is in `<cost>_low` and `<cost>_high`. What has no cost (NaN) is
            taken only where nothing has one.
        min_gain: The smallest difference in mAP50-95 that matters; 0 or more.

    Returns:
        Its identity; None where no candidate beats the baseline by so much.
    """
    winners = _longest(rows[rows["verdict"] == Verdict.GAIN])
    return _cheapest_good_enough(winners[winners["gain_map50_95"] >= min_gain - ROUNDING], cost, min_gain)


def non_inferior(rows: pd.DataFrame, cost: str, min_gain: float) -> str | None:
    """Return the candidate to take where the baseline costs too much: the cheapest good enough that loses nothing.

    It loses nothing if it was judged and its interval's low end is above −`min_gain`, as in a non-inferiority trial:
    that it is *not shown to be worse* would be no evidence at all. Of several the rule is that of `recommended`.

    Args:
        rows: As for `recommended`, those left out that cost no less than the baseline.
        cost: Likewise.
        min_gain: The margin; what loses less loses nothing that matters.

    Returns:
        Its identity; None where no candidate is known to be as good.
    """
    judged = _longest(rows[rows["standing"] == Standing.JUDGED])
    lowest = judged.filter(regex="^gain_low").min(axis=1)  # on whatever images: one that is not known (NaN) has no say
    return _cheapest_good_enough(judged[lowest > -min_gain], cost, min_gain)


def _longest(rows: pd.DataFrame) -> pd.DataFrame:
    longest: pd.DataFrame = rows[rows["epochs"] == rows["epochs"].max()]
    return longest


def _cheapest_good_enough(rows: pd.DataFrame, cost: str, min_gain: float) -> str | None:
    if rows.empty:
        return None
    gains = rows["gain_map50_95"]
    good = rows[gains >= gains.max() - min_gain - ROUNDING]
    good = good.sort_values([cost, "gain_map50_95"], ascending=[True, False])  # no cost (NaN) comes last
    lows, highs = (good.get(f"{cost}_{end}", good[cost]).fillna(good[cost]) for end in ("low", "high"))
    equal = good[(lows <= highs.iloc[0]) | (np.arange(len(good)) == 0)]
    return str(equal["gain_map50_95"].idxmax())
