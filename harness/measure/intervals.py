"""The ratio of two models' times, with its interval, from rounds in which they took turns.

The ratio is the interquartile mean of the rounds' log ratios, exponentiated. A ratio of medians over all
samples loses the pairing: on a machine that alternates between two speeds, one median may fall into the
fast and the other into the slow part. (On two cores with a load of 6, YOLOv5n against its copy, the
bootstrap spread of the ratio of medians was twice that of any paired estimate.) The plain median
of the rounds is as robust as the interquartile mean where it counts, up to a quarter of rounds spoilt on
either side, but a fifth noisier.

The interval is a circular block bootstrap over the sequence of rounds [1], since neighbours on the machine
come and go for several rounds; the block length grows as the cube root of their number [2].

[1] Politis & Romano, "A circular block-resampling procedure for stationary data" (1992).
[2] Hall, Horowitz & Jing, "On blocking rules for the bootstrap with dependent data" (1995).
[3] Tukey & McLaughlin, "Less vulnerable confidence and significance procedures … trimming" (1963): a
    trimmed mean has as many degrees of freedom as values it keeps, less one.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import scipy.stats

Samples = npt.NDArray[np.float64]

_RESAMPLES = 1000


def ratio_with_interval(rounds: Samples, seed: int = 0) -> tuple[float, float, float]:
    """Ratio A over B with its 95 % interval: lower end, ratio, upper end.

    Args:
        rounds: Times of A, B, B, A; shape (rounds, 4), at least five rounds; any unit.
        seed: Of the bootstrap.
    """
    logs = np.log((rounds[:, 0] + rounds[:, 3]) / (rounds[:, 1] + rounds[:, 2]))
    n = len(logs)
    length = math.ceil(n ** (1 / 3))
    starts = np.random.default_rng(seed).integers(n, size=(_RESAMPLES, math.ceil(n / length), 1))
    resampled = logs[(starts + np.arange(length)).reshape(_RESAMPLES, -1)[:, :n] % n]
    middle = _interquartile_mean(logs)
    ends = np.percentile(_interquartile_mean(resampled), [2.5, 97.5])
    # Few rounds: resampled blocks vary too little, by (n - length) / n, and tails are Student's [3].
    student = scipy.stats.t.ppf(0.975, n - 2 * (n // 4) - 1) / scipy.stats.norm.ppf(0.975)
    low, high = middle + (ends - middle) * student * math.sqrt(n / (n - length))
    return float(np.exp(low)), float(np.exp(middle)), float(np.exp(high))


def _interquartile_mean(values: Samples) -> Samples:
    """Mean over the last axis without its lowest and highest quarter."""
    n = values.shape[-1]
    middle: Samples = np.sort(values, axis=-1)[..., n // 4 : n - n // 4].mean(axis=-1)
    return middle
