"""Scatter between seeds, and what it allows to distinguish; `power` estimates from it how many seeds that takes.

References:
    1. Snedecor and Cochran, Statistical Methods, 8th ed., section 6.9 (pooled variance).
    2. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6, 1979.
    3. Satterthwaite, "An approximate distribution of estimates of variance components", Biometrics Bull. 2, 1946.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

# One minus the confidence of every interval here.
ALPHA = 0.05
# A standard deviation below this (of mAP, 0 to 1) is rounding, not noise.
NO_VARIATION = 1e-9
# Correlation of two candidates' paired differences of one seed, which share the baseline's reading b.
#
# Where all readings of a seed have one variance σ² and one correlation ρ, cov(c − b, c′ − b) = σ²(1 − ρ) and var(c − b)
# = 2σ²(1 − ρ): one half, however much of the noise the pairing takes away.
SHARED_BASELINE = 0.5


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Scatter between seeds within one architecture, assumed equal for all.

    Attributes:
        sd: Pooled standard deviation of one seed's observation; NaN without repeated seeds.
        low: Lower end of its 95 % interval (chi-squared).
        high: Upper end.
        df: Degrees of freedom: Σ(nᵢ − 1), fewer where the architectures' observations correlate.
        architectures: How many had two or more seeds.
    """

    sd: float
    low: float
    high: float
    df: float
    architectures: int

    @property
    def usable(self) -> bool:
        """Whether an interval can be made from it: it is known and not zero."""
        return self.df > 0 and self.sd > NO_VARIATION

    @property
    def digits(self) -> int:
        """Decimals of an mAP that it makes meaningful: three, up to five where it is small."""
        return min(5, max(3, math.ceil(-math.log10(self.sd)))) if self.usable else 3

    @classmethod
    def of(cls, sd: float, df: float, architectures: int = 1) -> Noise:
        """Build the noise of a standard deviation, with the chi-squared interval of its degrees of freedom."""
        if not df > 0:
            return cls(sd=float("nan"), low=float("nan"), high=float("nan"), df=0, architectures=0)
        low, high = (float(sd * np.sqrt(df / stats.chi2.ppf(q, df))) for q in (1 - ALPHA / 2, ALPHA / 2))
        return cls(sd=float(sd), low=low, high=high, df=float(df), architectures=architectures)

    def standard_error(self, readings: int) -> float:
        """Compute the standard error of a mean of independent observations; NaN where unknown."""
        return float(self.sd / np.sqrt(readings)) if self.usable and readings >= 1 else float("nan")

    def half_width(self, readings: int, tests: float = 1) -> float:
        """Compute half of a mean's 95 % interval, corrected for so many tests; NaN where unknown."""
        return float(_quantile(self.df, tests) * self.standard_error(readings)) if self.usable else float("nan")

    def p_value(self, mean: float, readings: int) -> float:
        """Compute the p-value of the two-sided t-test of a mean against zero; NaN where unknown."""
        if not self.usable or readings < 1 or np.isnan(mean):
            return float("nan")
        return float(2 * stats.t.sf(abs(mean) / (self.sd / np.sqrt(readings)), self.df))


@cache
def _quantile(df: float, tests: float) -> float:
    """Return Student's t at the upper end of a 95 % interval; a study asks for the same one a thousand times."""
    return float(stats.t.isf(ALPHA / (2 * tests), df))


def pooled_noise(rows: pd.DataFrame, column: str, correlation: float = 0.0) -> Noise:
    """Pool a column's standard deviation within architectures, s² = ΣΣ(x − x̄ᵢ)² / Σ(nᵢ − 1).

    Args:
        rows: One row per architecture and seed, with `architecture`, `seed` and the column; NaN is left out.
        column: What to pool.
        correlation: Of two architectures' readings of one seed; `SHARED_BASELINE` for paired differences.
    """
    known = rows[rows[column].notna()]
    values = known[column].to_numpy(float)
    places, names = pd.factorize(known["architecture"])
    counts = np.bincount(places, minlength=len(names))
    nominal = int((counts - 1).sum())
    if nominal == 0:
        return Noise.of(float("nan"), 0)
    means = np.bincount(places, values) / counts
    variance = float(((values - means[places]) ** 2).sum()) / nominal
    df = float(nominal)
    if correlation:
        seeds, levels = pd.factorize(known["seed"])
        taken = np.zeros((len(levels), len(names)))
        np.add.at(taken, (seeds, places), 1.0)
        df = _degrees_of_freedom(taken[:, counts >= 2], correlation)
    return Noise.of(float(np.sqrt(variance)), df, int((counts >= 2).sum()))


def _degrees_of_freedom(taken: NDArray[np.float64], correlation: float) -> float:
    """Compute Satterthwaite's degrees of freedom of a variance pooled over correlated architectures [3].

    Two architectures' sums of squares about their means, of nᵢ and nₖ observations with m seeds in common, have
    the covariance 2ρ²σ⁴ · m(1 − 1/nᵢ − 1/nₖ + m/(nᵢnₖ)); with themselves 2σ⁴(nᵢ − 1).

    Args:
        taken: Whether there is an observation, 0 or 1; shape (seeds, architectures).
        correlation: Of two architectures' readings of one seed.
    """
    readings = taken.sum(axis=0)
    common = taken.T @ taken
    shares = common * (1 - 1 / readings - 1 / readings[:, None] + common / np.outer(readings, readings))
    weights = np.where(np.eye(len(readings), dtype=bool), 1.0, correlation**2)
    return float((readings - 1).sum() ** 2 / (weights * shares).sum())


def spent(look: int) -> float:
    """Return the share of the error rate to be spent at a look: 6 / (π² k²) at the k-th, 1 over all there ever are.

    Whoever adds seeds until a gain shows would find one sooner or later: the same test at 3, 5, 8, 12 and 18 seeds
    calls a gain in three times as many null studies as one test does.

    Args:
        look: Number of the look, from 1.

    Raises:
        ValueError: It is below 1.
    """
    if look < 1:
        raise ValueError(f"look {look}: the first is 1")
    return 6 / (np.pi * look) ** 2


def holm(p_values: pd.Series[float]) -> pd.Series[float]:
    """Adjust p-values by Holm's step-down method; NaN stays NaN and is not counted as a test.

    The i-th smallest of m is multiplied by m − i + 1; none may fall below an earlier one or exceed 1.
    """
    known = p_values.dropna().sort_values(kind="stable")
    factors = np.arange(len(known), 0, -1)
    adjusted = pd.Series(np.minimum(1.0, (known * factors).cummax()), index=known.index, dtype=float)
    return adjusted.reindex(p_values.index)
