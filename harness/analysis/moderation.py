"""Noise of each architecture by itself, moderated towards that of the others.

Few seeds say little of how much one architecture scatters, all of them together say more; but architectures are not
equally noisy (in the committed studies by factors of 10 and more), and one standard deviation for all calls the noisy
ones winners. So each one's variance is moderated towards the others' [1], robustly [2]: whoever scatters as the others
do is judged by what they have in common, whoever stands out by its own scatter.

The prior is a mixture: an architecture has the variance of "the others", or, with a probability that is learnt from
the study itself, one of its own, which may be up to 300 times larger or smaller. What is known of an architecture is
then a mixture of two of Student's distributions, one with the degrees of freedom of all and one with its own. It is
handed on as the `Noise` whose t distribution has the same 2.5 % and 0.4 % points.

References:
    1. Smyth, "Linear models and empirical Bayes methods for assessing differential expression in microarray
       experiments", Stat. Appl. Genet. Mol. Biol. 3(1), 2004.
    2. Phipson, Lee, Majewski, Alexander and Smyth, "Robust hyperparameter estimation protects against hypervariable
       genes", Ann. Appl. Stat. 10(2), 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats

from harness.analysis.new_images import UNKNOWN, ImageNoise, stated
from harness.analysis.noise import NO_VARIATION, Noise, pooled_noise

# Probabilities, equally credible beforehand, that an architecture has noise of its own. On average 0.7: where five
# readings cannot tell, its own scatter is rather believed than not (`benchmarks/coverage.py`).
_OWN = np.array([0.5, 0.7, 0.9])
# Probability of its own noise from which on an architecture counts as standing out.
_STANDS_OUT = 0.7
# Largest ratio of an own variance to the others': log-uniform from its inverse on. The committed studies have 100.
_RANGE = 300.0
# Of the grid of variances, in logarithms: a tenth of the standard deviation.
_STEP = 0.2
# Points at which a mixture and the t distribution that stands for it agree: those of a 95 % interval and of a corrected
# test.
_TAILS = (0.025, 0.004)

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Moderated:
    """Scatter between seeds, of the architectures together and of each by itself.

    Attributes:
        pooled: Pooled over all; of an architecture without repeated seeds nothing better is known.
        typical: Of those that scatter as the others do.
        own: Architecture to its own, moderated; those with two or more observations.
        apart: Architecture to the probability that it has noise of its own.
    """

    pooled: Noise
    typical: Noise
    own: Mapping[str, Noise] = field(default_factory=dict)
    apart: Mapping[str, float] = field(default_factory=dict)

    def of(self, architecture: str) -> Noise:
        """Return the noise to judge an architecture by."""
        return self.own.get(architecture, self.pooled)

    @property
    def with_own(self) -> float:
        """How many tests the architectures with noise of their own count for: one, and one for each that stands out."""
        return 1 + sum(max(0.0, (probability - _STANDS_OUT) / (1 - _STANDS_OUT)) for probability in self.apart.values())

    def p_in_common(self, mean: float, readings: int, images: ImageNoise = UNKNOWN) -> float:
        """Compute a mean's two-sided p-value with the noise in common, which a corrected test takes for granted.

        Where all are equally noisy the pooled one is known best, where one is not it is too large for the others: the
        smaller of the two p-values counts. It is one of two that have to agree.
        """
        return min(stated(noise, readings, images).p_value(mean, readings) for noise in (self.pooled, self.typical))

    def corrected_half_width(self, architecture: str, readings: int, tests: int, images: ImageNoise = UNKNOWN) -> float:
        """Compute half of a mean's 95 % interval that holds jointly with those of all other tests; NaN where unknown.

        The wider one of Bonferroni's with the noise in common and the architecture's own, which is corrected for how
        many tests those with noise of their own count for (`with_own`).

        Args:
            architecture: Whose.
            readings: That the mean rests on.
            tests: In the family, this one included.
            images: What the choice of images adds to the mean's uncertainty.
        """
        common = min(
            stated(noise, readings, images).half_width(readings, tests) for noise in (self.pooled, self.typical)
        )
        own = stated(self.of(architecture), readings, images)
        return max(common, own.half_width(readings, min(float(tests), self.with_own)))


def moderated_noise(rows: pd.DataFrame, column: str, correlation: float = 0.0) -> Moderated:
    """Moderate the variances of a column within architectures.

    Args:
        rows: As for `pooled_noise`.
        column: What scatters.
        correlation: Of two architectures' readings of one seed. Where it is not 0 the evidence of all together counts
            for as many degrees of freedom as `pooled_noise` gives them.
    """
    pooled = pooled_noise(rows, column, correlation)
    known = rows.groupby("architecture")[column].agg(["count", "var"])
    known = known[known["count"] >= 2]
    varying = known[known["var"] > NO_VARIATION**2]  # equal figures are no evidence of precision
    if not pooled.usable or varying.empty:
        return Moderated(pooled=pooled, typical=pooled)
    names = [str(name) for name in varying.index]
    if len(names) == 1:
        return Moderated(pooled=pooled, typical=pooled, own={names[0]: pooled})
    df = varying["count"].to_numpy(float) - 1
    found = _mixture(varying["var"].to_numpy(float), df, pooled)
    scale = np.full(len(names), pooled.sd)
    sds, freedoms = _as_t(found.tail, scale)
    sd, freedom = _as_t(found.tail_of_others, scale[:1])
    return Moderated(
        pooled=pooled,
        typical=Noise.of(sd[0], freedom[0], len(names)),
        own={name: Noise.of(*own) for name, *own in zip(names, sds, freedoms, strict=True)},
        apart=dict(zip(names, map(float, found.apart), strict=True)),
    )


class _Mixture(NamedTuple):
    """What is known of each architecture's standard deviation.

    Attributes:
        sd: Standard deviations that the others may have, (G,).
        others: Probability of each, (G,).
        alike: Probability of each, and that the architecture has it too, (A, G).
        apart: Probability that the architecture has its own, (A,).
        own_sd: Each one's own, (A,).
        df: Of that, (A,).
    """

    sd: Values
    others: Values
    alike: Values
    apart: Values
    own_sd: Values
    df: Values

    def tail(self, x: Values) -> Values:
        """Compute the probability that an observation of each architecture exceeds its mean by x, (A,)."""
        of_others = (self.alike * special.ndtr(-x[:, None] / self.sd)).sum(axis=1)
        tail: Values = of_others + self.apart * special.stdtr(self.df, -x / self.own_sd)
        return tail

    def tail_of_others(self, x: Values) -> Values:
        """Compute the same of one that scatters as the others do, (1,)."""
        tail: Values = (self.others * special.ndtr(-x[:, None] / self.sd)).sum(axis=1)
        return tail


def _mixture(variances: Values, df: Values, pooled: Noise) -> _Mixture:
    """Compute the posterior of the others' variance and of who shares it.

    s² of an architecture is chi-squared about the common variance, or, with the probability `_OWN`, has a variance of
    its own, whose logarithm may be anything over the logarithm of `_RANGE`: s² has the same density wherever it lies.
    The likelihood of the common variance is raised to a power below 1, since readings that share a baseline repeat each
    other. That variance itself lies, evenly in its logarithm, between a quarter of the smallest one observed and the
    upper end of the pooled one's interval.
    """
    logs = np.arange(np.log(variances.min() / 4), 2 * np.log(pooled.high) + _STEP, _STEP)
    weight = min(1.0, pooled.df / float(df.sum()))
    ratio = variances[:, None] / np.exp(logs)
    half = df[:, None] / 2
    alike = np.exp(half * np.log(half * ratio) - half * ratio - special.gammaln(half))  # density of log s², (A, G)
    alike, own = alike[..., None] * (1 - _OWN), _OWN / np.log(_RANGE)
    log_weights = weight * np.log(alike + own).sum(axis=0)  # (G, P)
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    shared = weights * alike / (alike + own)
    return _Mixture(
        sd=np.exp(logs / 2),
        others=weights.sum(axis=1),
        alike=shared.sum(axis=2),
        apart=1 - shared.sum(axis=(1, 2)),
        own_sd=np.sqrt(variances),
        df=df,
    )


_FREEDOMS = np.geomspace(0.2, 1e4, 600)
_RATIOS = stats.t.isf(_TAILS[1], _FREEDOMS) / stats.t.isf(_TAILS[0], _FREEDOMS)


def _as_t(tail: Callable[[Values], Values], scale: Values) -> tuple[Values, Values]:
    """Fit standard deviations and degrees of freedom of the t distributions that have the mixtures' tails.

    Args:
        tail: Of each mixture, falling in x.
        scale: Of each, roughly.
    """
    points = []
    for beyond in _TAILS:
        low, high = np.log(scale) - 9, np.log(scale) + 15
        for _ in range(40):
            middle = (low + high) / 2
            above = tail(np.exp(middle)) > beyond
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        points.append(np.exp((low + high) / 2))
    df = np.exp(np.interp(-points[1] / points[0], -_RATIOS, np.log(_FREEDOMS)))
    return points[0] / stats.t.isf(_TAILS[0], df), df


def p_of_equal_noise(rows: pd.DataFrame, column: str, correlation: float, *, draws: int = 2000, seed: int = 0) -> float:
    """Simulate the chance of so unequal variances if all were equally noisy; NaN for fewer than two with repeats.

    The statistic is the largest variance over the mean one (Cochran's C), simulated for these observations.

    Args:
        rows: As for `moderated_noise`.
        column: As there.
        correlation: As there.
        draws: Simulated studies.
        seed: Of the simulation.
    """
    known = rows.dropna(subset=[column])
    taken = (pd.crosstab(known["seed"], known["architecture"]) > 0).to_numpy()
    taken = taken[:, taken.sum(axis=0) >= 2]
    observed = known.groupby("architecture")[column].var(ddof=1).dropna().to_numpy(float)
    if taken.shape[1] < 2 or not observed.sum() > 0:
        return float("nan")
    rng = np.random.default_rng(seed)
    shared = np.sqrt(correlation) * rng.standard_normal((draws, len(taken)))
    variances = np.stack(
        [
            (shared[:, mine] + np.sqrt(1 - correlation) * rng.standard_normal((draws, mine.sum()))).var(axis=1, ddof=1)
            for mine in taken.T
        ]
    )
    extreme = (variances.max(axis=0) / variances.mean(axis=0)) >= observed.max() / observed.mean() * (1 - 1e-9)
    return float((extreme.sum() + 1) / (draws + 1))
