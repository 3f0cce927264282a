"""How many seeds a wanted precision takes.

The test statistic of a true effect has the noncentral t distribution, with effect · √n / sd as its noncentrality and
the degrees of freedom of the sd that will be there after n seeds [1]: seeds that make the mean more certain make its
scatter better known as well. No approximation is needed where the sd is known.

It never is: it was estimated, from few seeds. A number of seeds that is right for the estimate is too small wherever
the truth is larger, and the power falls faster there than it rises on the other side. `expected_power` says what is
left of the promise on average [2].

References:
    1. Cohen, Statistical Power Analysis, 2nd ed., chapter 2.
    2. Browne, "On the use of a pilot sample for sample size determination", Statistics in Medicine 14, 1995.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import special  # its functions are the distributions of scipy.stats, thirty times as fast

from harness.analysis.noise import ALPHA, NO_VARIATION, SHARED_BASELINE

# Share of studies that would see an effect which is there.
POWER = 0.8
# Seeds beyond which no number is named.
MOST = 10_000
_QUANTILES = (np.arange(200) + 0.5) / 200
_FAR = 1e4

# Degrees of freedom of the standard deviation after so many seeds.
Freedom = Callable[[int], float]


class NoNumber(StrEnum):
    """Why there is no number of seeds; the two have nothing in common."""

    # Known noise hides the effect: more seeds than anyone trains.
    TOO_MANY = f"more than {MOST:,}"
    # The noise is not known: one seed, or seeds that do not differ.
    UNKNOWN = "unknown"


# How many it takes, or why nobody can say.
Seeds = int | NoNumber


def in_table(seeds: Seeds) -> float:
    """Return the number as a cell of numbers: infinite where it is too many, NaN where it is unknown."""
    if isinstance(seeds, NoNumber):
        return math.inf if seeds is NoNumber.TOO_MANY else math.nan
    return float(seeds)


def from_table(cell: float) -> Seeds:
    """Read what `in_table` wrote."""
    if math.isnan(cell):
        return NoNumber.UNKNOWN
    return NoNumber.TOO_MANY if math.isinf(cell) else int(cell)


@dataclass(frozen=True, kw_only=True)
class SampleSize:
    """How many seeds a comparison takes, and what the estimated noise makes of that number.

    Attributes:
        seeds: With so many the power is `POWER`, with one less it is not, where the estimated sd is the true one.
        expected_power: Of that number, averaged over what the true sd may be; NaN where there is no number.
        cautious: The number where the sd is at the upper end of its 95 % interval.
    """

    seeds: Seeds
    expected_power: float
    cautious: Seeds


def df_of_a_seed(architectures: int, correlation: float = SHARED_BASELINE) -> float:
    """Compute the degrees of freedom that one more seed of all pooled architectures adds (Satterthwaite); 0 of none.

    Args:
        architectures: How many are pooled.
        correlation: Of two architectures' observations of one seed.
    """
    return architectures / (1 + max(0, architectures - 1) * correlation**2)


def growing_df(df: float, seeds: float, a_seed: float) -> Freedom:
    """Return a pooled sd's degrees of freedom as a function of the seeds that all pooled architectures will have.

    Args:
        df: Today's.
        seeds: Those of an architecture that today's rest on; a mean where they differ.
        a_seed: What one more brings; see `df_of_a_seed`.
    """
    return lambda number: df + (number - seeds) * a_seed


def sample_size(sd: float, df: float, effect: float, freedom: Freedom, alpha: float = ALPHA) -> SampleSize:
    """Estimate the fewest seeds that show a true effect under an estimated noise; see `SampleSize`.

    Args:
        sd: Estimated standard deviation of one paired difference.
        df: Degrees of freedom of that estimate.
        effect: True mean of the differences; its sign does not matter.
        freedom: Degrees of freedom of the test by seeds.
        alpha: Of the test.
    """
    if not df > 0:
        return SampleSize(seeds=NoNumber.UNKNOWN, expected_power=math.nan, cautious=NoNumber.UNKNOWN)
    high = sd * math.sqrt(df / special.chdtri(df, 1 - ALPHA / 2))
    seeds, cautious = (seeds_needed(each, effect, freedom, alpha) for each in (sd, high))
    expected = math.nan if isinstance(seeds, NoNumber) else expected_power(seeds, sd, df, effect, freedom, alpha)
    return SampleSize(seeds=seeds, expected_power=expected, cautious=cautious)


def power_of(seeds: int, sd: float, effect: float, df: float | None = None, alpha: float = ALPHA) -> float:
    """Compute the chance that a two-sided paired t-test finds a true effect, on its own side of zero.

    Args:
        seeds: Paired differences.
        sd: Standard deviation of one paired difference, above 0.
        effect: True mean of the differences, above 0.
        df: Degrees of freedom of `sd` with so many seeds, where it is pooled over candidates; None: seeds − 1, its own.
        alpha: Of the test; less than 5 % where several are made.
    """
    return float(_power(seeds, np.array([effect / sd]), seeds - 1 if df is None else df, alpha)[0])


def expected_power(seeds: int, sd: float, df: float, effect: float, freedom: Freedom, alpha: float = ALPHA) -> float:
    """Average the power of so many seeds over the true variance, s² · df / χ² with the df of the estimate."""
    sds = sd * np.sqrt(df / special.chdtri(df, _QUANTILES))
    return float(_power(seeds, abs(effect) / sds, freedom(seeds), alpha).mean())


def _power(seeds: int, effects: NDArray[np.float64], df: float, alpha: float) -> NDArray[np.float64]:
    """Compute the power by true effect, in true standard deviations."""
    if df <= 0:
        return np.zeros_like(effects)
    critical, shift = float(special.stdtrit(df, 1 - alpha / 2)), effects * math.sqrt(seeds)
    exact: NDArray[np.float64] = 1 - special.nctdtr(df, np.minimum(shift, _FAR), critical)
    # the noncentral t is NaN far out, where the scatter of the mean no longer counts but that of the sd does
    return np.where(shift < _FAR, exact, special.chdtr(df, df * (shift / critical) ** 2))


def seeds_needed(
    sd: float, effect: float, freedom: Freedom | None = None, alpha: float = ALPHA, power: float = POWER
) -> Seeds:
    """Find the fewest seeds whose paired t-test sees a true effect this often; see `power_of`.

    It is the number for one candidate; `alpha` takes a correction for many. The seed that picks a candidate
    comes on top.

    Args:
        sd: Standard deviation of one paired difference.
        effect: True mean of the differences; its sign does not matter.
        freedom: Degrees of freedom of the test by seeds; None: seeds − 1.
        alpha: Of the test.
        power: Wanted.
    """
    if not (sd > NO_VARIATION and math.isfinite(effect)):
        return NoNumber.UNKNOWN

    def enough(seeds: int) -> bool:
        return power_of(seeds, sd, abs(effect), None if freedom is None else freedom(seeds), alpha) >= power

    low, high = 0, 1  # the power grows with the seeds: double, then halve
    while not enough(high):
        if high >= MOST:
            return NoNumber.TOO_MANY
        low, high = high, min(high * 2, MOST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
