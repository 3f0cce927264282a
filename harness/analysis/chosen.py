"""Intervals that hold for a gain that is spoken of because it reads high.

A 95 % interval misses one gain in twenty. Whoever looks at many and speaks of the highest one speaks more often of a
miss. So the interval of a gain that was chosen is made at the level at which it was tested: α/m where m were judged
(Bonferroni); for one that beats the baseline, what Holm's procedure left of m.
Of intervals that are given for the winners alone, those at α·R/m miss at most α on average, with R winners of m [1];
Holm's are wider, and leave out zero exactly where the verdict does.

References:
    1. Benjamini and Yekutieli, "False discovery rate-adjusted multiple confidence intervals for selected parameters",
       JASA 100, 2005.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy import stats

from harness.analysis.noise import ALPHA
from harness.analysis.statistics import Standing, Verdict
from harness.architecture import BASELINE


def corrected_for_choice(summary: pd.DataFrame) -> pd.DataFrame:
    """Return a summary whose intervals of gains hold also for the one that is chosen by its observation.

    Args:
        summary: From `summarise`: all candidates among which the choice is made.

    Returns:
        A copy in which the intervals about `gain_map50_95` are longer: of a judged candidate for the number of judged
        ones, of a winner for what Holm's correction made of it, of a screening candidate for all that were compared.
        They end where the candidate's mAP would leave 0 to 1.
    """
    looks = _looks(summary).to_numpy(dtype=float)
    df = summary["gain_df"].where(summary["gain_df"] > 0).to_numpy(dtype=float)
    longer = np.where(looks > 1, stats.t.isf(ALPHA / 2 / looks, df) / stats.t.isf(ALPHA / 2, df), 1.0)
    gains = summary["gain_map50_95"]
    ends = [name for name in map(str, summary) if name.startswith(("gain_low", "gain_high"))]  # of every target
    base = float(pd.to_numeric(summary["map50_95"]).get(BASELINE, math.nan))
    least, most = (-math.inf, math.inf) if math.isnan(base) else (min(-base, gains.min()), max(1 - base, gains.max()))
    return summary.assign(**{end: (gains + (summary[end] - gains) * longer).clip(least, most) for end in ends})


def _looks(summary: pd.DataFrame) -> pd.Series[float]:
    """Count for how many tests each candidate's interval is corrected."""
    judged = summary["standing"] == Standing.JUDGED
    screening = summary["standing"] == Standing.SCREENING
    looks = pd.Series(1.0, index=summary.index)
    looks[screening] = float((judged | screening).sum())
    looks[judged] = float(judged.sum())
    known = (summary["verdict"] == Verdict.GAIN) & (summary["p_value"] > 0)
    as_tested = summary["p_holm"] / summary["p_value"].where(known)
    return as_tested.fillna(looks).clip(lower=1.0)
