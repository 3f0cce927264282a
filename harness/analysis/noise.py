"""Scatter between seeds, and what it allows to be told apart.

References:
    1. Snedecor and Cochran, Statistical Methods, 8th ed., section 6.9 (pooled variance).
    2. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6, 1979.
    3. Cohen, Statistical Power Analysis, 2nd ed., chapter 2 (power by the noncentral t distribution).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

ALPHA = 0.05
"""One minus the confidence of every interval here."""
NO_VARIATION = 1e-9
"""A standard deviation below this (of mAP, 0 to 1) is rounding, not noise."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Scatter between seeds within one architecture, assumed equal for all.

    Attributes:
        sd: Pooled standard deviation of one seed's reading; NaN without repeated seeds.
        low: Lower end of its 95 % interval (chi-squared).
        high: Upper end.
        df: Degrees of freedom, Σ(nᵢ − 1).
        architectures: How many had two or more seeds.
    """

    sd: float
    low: float
    high: float
    df: int
    architectures: int

    @property
    def usable(self) -> bool:
        """Whether an interval can be made from it: it is known and not zero."""
        return self.df > 0 and self.sd > NO_VARIATION

    def half_width(self, readings: int) -> float:
        """Half of the 95 % interval of a mean of independent readings; NaN where unknown."""
        if not self.usable or readings < 1:
            return float("nan")
        return float(stats.t.ppf(1 - ALPHA / 2, self.df) * self.sd / np.sqrt(readings))

    def p_value(self, mean: float, readings: int) -> float:
        """Two-sided t-test of a mean against zero; NaN where unknown."""
        if not self.usable or readings < 1 or np.isnan(mean):
            return float("nan")
        return float(2 * stats.t.sf(abs(mean) / (self.sd / np.sqrt(readings)), self.df))


def pooled_noise(rows: pd.DataFrame, column: str) -> Noise:
    """Pooled standard deviation of a column within architectures, s² = ΣΣ(x − x̄ᵢ)² / Σ(nᵢ − 1).

    Args:
        rows: One row per architecture and seed, with `architecture` and the column; NaN is left out.
        column: What to pool.
    """
    groups = rows.dropna(subset=[column]).groupby("architecture")[column]
    counts, variances = groups.count(), groups.var(ddof=1)
    repeated = counts >= 2
    df = int((counts[repeated] - 1).sum())
    if df == 0:
        return Noise(sd=float("nan"), low=float("nan"), high=float("nan"), df=0, architectures=0)
    sd = float(np.sqrt(((counts - 1)[repeated] * variances[repeated]).sum() / df))
    low, high = (sd * np.sqrt(df / stats.chi2.ppf(q, df)) for q in (1 - ALPHA / 2, ALPHA / 2))
    return Noise(sd=sd, low=float(low), high=float(high), df=df, architectures=int(repeated.sum()))


def holm(p_values: pd.Series[float]) -> pd.Series[float]:
    """Holm's step-down adjusted p-values; NaN stays NaN and is not counted as a test.

    The i-th smallest of m is multiplied by m − i + 1; none may fall below an earlier one or exceed 1.
    """
    known = p_values.dropna().sort_values(kind="stable")
    factors = np.arange(len(known), 0, -1)
    adjusted = pd.Series(np.minimum(1.0, (known * factors).cummax()), index=known.index, dtype=float)
    return adjusted.reindex(p_values.index)


def seeds_needed(noise: Noise, gain: float, power: float = 0.8, most: int = 10_000) -> int | None:
    """Seeds that a paired t-test at 5 % (two-sided) needs to see a true gain this often.

    The test uses the noise's degrees of freedom, as the verdicts do; for a single candidate, so before
    any correction for many. The seed that picks a candidate comes on top.

    Args:
        noise: The scatter of one seed.
        gain: True gain in mAP, above 0.
        power: Share of such studies that would see it.
        most: Where to stop looking.

    Returns:
        None where the noise is unknown or `most` is not enough.
    """
    if not noise.usable:
        return None
    critical = stats.t.ppf(1 - ALPHA / 2, noise.df)

    def reached(seeds: int) -> bool:
        return bool(stats.nct.sf(critical, noise.df, gain / noise.sd * np.sqrt(seeds)) >= power)

    low, high = 0, 1  # the power grows with the seeds: double, then halve
    while not reached(high):
        low, high = high, high * 2
        if high > most:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high
