"""Intervals of a mean paired difference from one candidate's seeds alone.

Verdicts rest on the pooled interval of `noise`, which is narrower. These two are for differences that
nothing can be pooled with, and to check it against.

`benchmarks/coverage.py` measures how often each holds the truth. With few seeds the bootstrap does so far
more rarely than it claims, since it cannot resample what was not seen: of 95 % intervals of normal noise
72 % with 3 seeds, 88 % with 8, 92 % with 20; Student's always 95 %.

References:
    1. Student, "The probable error of a mean", Biometrika 6, 1908.
    2. Efron, "Better bootstrap confidence intervals", JASA 82, 1987 (BCa).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from harness.analysis.noise import ALPHA, NO_VARIATION


class Interval(NamedTuple):
    """Ends of a 95 % interval; NaN where there is none."""

    low: float
    high: float


_NONE = Interval(float("nan"), float("nan"))


def t_interval(differences: Sequence[float]) -> Interval:
    """Compute mean ± t · sd / √n with n − 1 degrees of freedom [1]; exact for normal noise, with two seeds or more.

    Args:
        differences: Paired differences, one a seed; NaN is left out.

    Returns:
        NaN with fewer than two, or where they do not vary: that is no evidence of precision.
    """
    values = _varying(differences)
    if values is None:
        return _NONE
    half = stats.t.ppf(1 - ALPHA / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return Interval(float(values.mean() - half), float(values.mean() + half))


def bca_interval(differences: Sequence[float], seed: int = 0, resamples: int = 9999) -> Interval:
    """Bootstrap the mean over seeds, bias-corrected and accelerated [2]; no assumption on their distribution.

    Args:
        differences: Paired differences, one a seed, in any order; NaN is left out.
        seed: Of the resampling.
        resamples: How many.

    Returns:
        As `t_interval`. With fewer than 8 seeds it is far too narrow: see above.
    """
    values = _varying(differences)
    if values is None:
        return _NONE
    centre, scale = values.mean(), values.std()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # then its ends are NaN, which says it
        found = stats.bootstrap(
            (np.sort((values - centre) / scale),),
            _rounded_mean,
            method="BCa",
            confidence_level=1 - ALPHA,
            n_resamples=resamples,
            random_state=np.random.default_rng(seed),
        ).confidence_interval
    return Interval(float(centre + scale * found.low), float(centre + scale * found.high))


def _rounded_mean(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Round off the mean's last digits: BCa counts the resamples that equal the sample's own mean as half below.

    Of three seeds 22 % are the sample in another order, and rounding would put them on either side.
    """
    rounded: NDArray[np.float64] = np.round(values.mean(axis=axis), 12)
    return rounded


def _varying(differences: Sequence[float]) -> NDArray[np.float64] | None:
    """Return the measured differences, or None where no interval can be made of them."""
    values = np.asarray(differences, dtype=float)
    values = values[~np.isnan(values)]
    return values if len(values) >= 2 and values.std(ddof=1) > NO_VARIATION else None
