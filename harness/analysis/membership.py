"""How probably an architecture belongs on the front, where accuracy is known with noise and cost exactly.

A front drawn from noisy means looks certain and is not: of two architectures of similar accuracy the luckier
one takes the place. With normal accuracies and exact costs the probability of each place is one integral.

**Which noise counts.** Whatever moves all accuracies alike, as the observation of the one control that every gain
of a seed is measured against, changes no order and cancels: what is handed in is the noise that an
architecture has of its own. Of two gains that share the control (correlation `noise.SHARED_BASELINE`) that is
the standard deviation of the paired difference times √(1 − ½). This is exact where all were judged on the same
seeds. The baseline is an architecture like the others, with its own noise: leave it out and the rest look
better than they are.

A mean that rests on the seed which picked its architecture is too high (`statistics`): so is then its probability.

References:
    1. Teich, "Pareto-front exploration with uncertain objectives", EMO 2001 (probability of dominance).
    2. David and Nagaraja, Order Statistics, 3rd ed., section 5.2: P(i is highest) = ∫ φᵢ(x) ∏ⱼ Φⱼ(x) dx.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

# Standard deviations on either side that are integrated over: 1e-15 of a normal distribution lies beyond.
_REACH = 8
# Gauss-Legendre points for each panel of one standard deviation.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_STEPS = np.arange(-_REACH, _REACH + 1.0)
# As far on either side in steps of half a standard deviation or more, from a middle that was rounded.
_FINE_STEPS = np.arange(-2 * _REACH - 1, 2 * _REACH + 2.0)


def front_probability(mean: ArrayLike, sd: ArrayLike, cost: ArrayLike) -> NDArray[np.float64]:
    """Compute the chance of each architecture to be on the front of accuracy (more is better) and cost (less is).

    It is on the front when no other of the same or lower cost is more accurate. Ties are those of
    `fronts.non_dominated` with `keep="strict"`: at equal accuracy a cheaper one beats it, one of equal cost
    does not. They only occur between architectures without noise; with `sd` 0 everywhere the answer is that
    of `non_dominated`, as 0 and 1.

    P(i) = ∫ φᵢ(x) ∏ⱼ Φⱼ(x) dx over the j that cost no more than i. It is integrated piece by piece, to about
    1e-9, with finer pieces around every j that is much less noisy than i. The j that reach no part of i's range
    take no part. Time grows with the square of the architectures: a thousand take a few seconds.

    Args:
        mean: Mean accuracies, or gains; shape (architectures,).
        sd: Standard deviations of these means, independent between architectures; 0 where exact.
        cost: Costs, known exactly; shape (architectures,) or (architectures, costs).

    Returns:
        0 to 1, shape (architectures,). NaN for an architecture with a NaN in mean, sd or cost: it beats nobody.

    Raises:
        ValueError: The shapes do not fit, a mean or sd is infinite, or an sd is negative.
    """
    means, sds, costs = (np.asarray(each, dtype=float) for each in (mean, sd, cost))
    if means.ndim != 1 or means.shape != sds.shape or costs.ndim not in {1, 2} or len(costs) != len(means):
        raise ValueError(f"mean {means.shape}, sd {sds.shape}, cost {costs.shape}: one mean, sd and row of costs each")
    if np.isinf(means).any() or np.isinf(sds).any() or (sds < 0).any():
        raise ValueError("means and standard deviations are finite, and no standard deviation is below 0")
    costs = np.atleast_2d(costs.T).T
    known = ~(np.isnan(means) | np.isnan(sds) | np.isnan(costs).any(axis=1))
    probability = np.full(len(means), np.nan)
    means, sds, costs = means[known], sds[known], costs[known]
    same = (costs[:, None] == costs[None]).all(axis=2)
    rivals = (costs[None] <= costs[:, None]).all(axis=2)  # [i, j]: j costs no more than i
    np.fill_diagonal(rivals, val=False)
    probability[known] = [_unbeaten(i, means, sds, rivals[i], rivals[i] & ~same[i]) for i in range(len(means))]
    return probability


def _unbeaten(
    i: int, means: NDArray[np.float64], sds: NDArray[np.float64], rivals: NDArray[np.bool_], cheaper: NDArray[np.bool_]
) -> float:
    """Compute the probability that none of the rivals, of which some are cheaper, beats architecture i."""
    low, high = means - _REACH * sds, means + _REACH * sds
    if (low[rivals] > high[i]).any():
        return 0.0
    noisy, exact = rivals & (sds > 0) & (high > low[i]), rivals & (sds == 0)
    least = means[exact].max(initial=-np.inf)  # what i has to reach
    if sds[i] == 0:
        if least > means[i] or (means[exact & cheaper] == means[i]).any():
            return 0.0
        return float(special.ndtr((means[i] - means[noisy]) / sds[noisy]).prod())
    x, weights = _grid(means[i], sds[i], least, means[noisy], sds[noisy])
    lower = special.ndtr((x[:, None] - means[noisy]) / sds[noisy]).prod(axis=1)
    density = np.exp(-(((x - means[i]) / sds[i]) ** 2) / 2) / (sds[i] * np.sqrt(2 * np.pi))
    return float(np.clip(weights @ (density * lower), 0, 1))


def _grid(
    mean: float, sd: float, least: float, means: NDArray[np.float64], sds: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Build points and weights that integrate a normal density times the rivals' distributions, from `least` on."""
    sharp = sds < sd / 2  # the others are smooth on i's own pieces
    # Multiples of a power of 2, the next below a rival's sd: hundreds that are alike have their edges in common.
    width = 2.0 ** np.floor(np.log2(sds[sharp]))[:, None]
    fine = (np.round(means[sharp, None] / width) + _FINE_STEPS) * width
    edges = np.concatenate([mean + sd * _STEPS, fine.ravel()])
    low, high = max(mean - _REACH * sd, least), mean + _REACH * sd
    edges = np.unique(np.clip(edges, min(low, high), high))
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (1 + _NODES)).ravel(), (half * _WEIGHTS).ravel()
