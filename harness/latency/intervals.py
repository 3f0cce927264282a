"""The ratio of two models' times, with its interval, from rounds in which they took turns.

The ratio is the interquartile mean of the rounds' log ratios, exponentiated. A ratio of medians over all
samples loses the pairing: on a machine that alternates between two speeds, one median may fall into the
fast and the other into the slow part. (On two cores with a load of 6, YOLOv5n against its copy, the
bootstrap spread of the ratio of medians was twice that of any paired estimate.) The plain median
of the rounds is as robust as the interquartile mean where it counts, up to a quarter of rounds spoilt on
either side, but a fifth noisier.

The interval is a bootstrap over blocks of rounds. Neighbours on the machine come and go for several rounds, so
a block grows as the cube root of the number of rounds [1, 2]. And where a model's weights happen to lie in memory
changes its speed by some tenths of a percent for as long as they lie there [3, 4]: YOLOv5n against its copy, 221
rounds within ±0.1 %, gave ratios from 0.991 to 1.004 in 16 runs, and 9 of the intervals missed 1. So both models
are copied anew after every few rounds, and a block never holds a part of such a group. Few blocks vary too little,
by 1 - 1 / blocks, and have the tails of Student's distribution. Whoever measures until an interval is narrow stops
early where it came out narrow by chance, and a load that comes and goes within a round shifts the ratio by up to a
quarter of the half width; so the interval is made a fifth longer (`benchmarks/latency_coverage.py`).

[1] Politis & Romano, "A circular block-resampling procedure for stationary data" (1992).
[2] Hall, Horowitz & Jing, "On blocking rules for the bootstrap with dependent data" (1995).
[3] Mytkowicz, Diwan, Hauswirth & Sweeney, "Producing wrong data without doing anything obviously wrong!" (2009).
[4] Curtsinger & Berger, "STABILIZER: statistically sound performance evaluation" (2013).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import scipy.stats

Samples = npt.NDArray[np.float64]

_RESAMPLES = 1000
# Factor on the half widths, see above; it does not count for when a measurement is precise enough to stop.
LONGER = 1.2
# Blocks stay shorter than the cube root where there would be fewer of them.
_FEWEST_BLOCKS = 5


def ratio_with_interval(rounds: Samples, seed: int = 0, group: int = 1) -> tuple[float, float, float]:
    """Estimate the ratio A over B with its 95 % interval: lower end, ratio, upper end.

    Args:
        rounds: Times of A, B, B, A; shape (rounds, 4), at least two groups of rounds; any unit.
        seed: Of the bootstrap.
        group: Rounds between two copies of the models.
    """
    logs = np.log((rounds[:, 0] + rounds[:, 3]) / (rounds[:, 1] + rounds[:, 2]))
    n = len(logs)
    length = group * max(1, min(math.ceil(n ** (1 / 3) / group), n // (_FEWEST_BLOCKS * group)))
    blocks = n // length
    drawn = np.random.default_rng(seed).integers(blocks, size=(_RESAMPLES, blocks))
    resampled = _interquartile_mean(logs[: blocks * length].reshape(blocks, length)[drawn].reshape(_RESAMPLES, -1))
    middle = _interquartile_mean(logs)
    deviation = np.percentile(resampled, [2.5, 97.5]) - np.median(resampled)
    student = scipy.stats.t.ppf(0.975, blocks - 1) / scipy.stats.norm.ppf(0.975)
    low, high = middle + deviation * LONGER * student * math.sqrt(blocks / (blocks - 1))
    return float(np.exp(low)), float(np.exp(middle)), float(np.exp(high))


def _interquartile_mean(values: Samples) -> Samples:
    """Average over the last axis without its lowest and highest quarter."""
    n = values.shape[-1]
    middle: Samples = np.sort(values, axis=-1)[..., n // 4 : n - n // 4].mean(axis=-1)
    return middle
