"""How much a candidate of known cost and uncertain accuracy is expected to add to a front's hypervolume.

With two objectives of which one is known, the expectation is a closed form. A candidate of cost c and accuracy y adds
the area between y and the front, from c to the reference cost: over each step of the front the step's width times
what y exceeds the step by, whose mean is the expected improvement [1] over that step's level. This is expected
hypervolume improvement [2] without the second dimension's uncertainty.

Accuracy is maximised and cost minimised throughout; costs are on the scale on which a hypervolume is reckoned, so
logarithms where a factor of two matters as much anywhere.

References:
    1. Jones, Schonlau and Welch, "Efficient global optimization of expensive black-box functions", 1998.
    2. Emmerich, Deutz and Klinkenberg, "Hypervolume-based expected improvement", CEC 2011.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

Floats = npt.NDArray[np.float64]

# Places at which an uncertain cost is looked at (Gauss-Hermite).
_NODES = 5
# Candidates at a time: bounds memory, changes no result.
_CHUNK = 8192


@dataclass(frozen=True, kw_only=True)
class Staircase:
    """The best accuracy up to each cost.

    Attributes:
        edges: Costs at which a step begins, ascending; the first is minus infinity, the last the reference cost.
        levels: Accuracy of each step, ascending; the first is the reference accuracy. One fewer than edges.
    """

    edges: Floats
    levels: Floats

    @classmethod
    def of(cls, cost: Floats, accuracy: Floats, *, worst_cost: float, worst_accuracy: float) -> Staircase:
        """Build the front of some architectures, in any order; those beyond the reference point have no part in it.

        Args:
            cost: (N,).
            accuracy: (N,).
            worst_cost: The reference cost.
            worst_accuracy: The reference accuracy.
        """
        inside = (cost < worst_cost) & (accuracy > worst_accuracy)
        cost, accuracy = cost[inside], accuracy[inside]
        order = np.lexsort((-accuracy, cost))
        cost, accuracy = cost[order], accuracy[order]
        is_step = accuracy > np.concatenate([[worst_accuracy], np.maximum.accumulate(accuracy)[:-1]])
        return cls(
            edges=np.concatenate([[-np.inf], cost[is_step], [worst_cost]]),
            levels=np.concatenate([[worst_accuracy], accuracy[is_step]]),
        )

    @property
    def hypervolume(self) -> float:
        """Area between the front and the reference point."""
        return float((np.diff(self.edges[1:]) * (self.levels[1:] - self.levels[0])).sum())

    def expected_improvement(self, cost: Floats, mean: Floats, sd: Floats, *, cost_sd: float = 0.0) -> Floats:
        """Compute the expected addition to the hypervolume, (N,), of one candidate each.

        Args:
            cost: (N,).
            mean: (N,); expected accuracy.
            sd: (N,); standard deviation of the accuracy, 0 where it is known.
            cost_sd: Standard deviation of every cost.
        """
        if cost_sd > 0:
            nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
            added = [self.expected_improvement(cost + cost_sd * node, mean, sd) for node in nodes]
            return np.average(added, axis=0, weights=weights)
        chunks = range(0, len(cost), _CHUNK)
        parts = [
            self._chunk(*(values[start : start + _CHUNK, None] for values in (cost, mean, sd))) for start in chunks
        ]
        return np.concatenate([*parts, np.empty(0)])

    def _chunk(self, cost: Floats, mean: Floats, sd: Floats) -> Floats:
        widths = np.maximum(self.edges[1:] - np.maximum(self.edges[:-1], cost), 0)
        above = mean - self.levels
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            z = above / sd
            uncertain = above * ndtr(z) + sd * np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
        excess = np.where(sd > 0, uncertain, np.maximum(above, 0))
        return np.asarray((widths * excess).sum(axis=1))
