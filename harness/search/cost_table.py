"""The cost of many architectures at once, exact: one row of a table for each placement, and a sum.

What a placement adds is known once its site and shape are, so a space of hundreds of millions of architectures
has only a few thousand different summands. A constraint on cost can then be checked for every candidate that a
sampler thinks of, and a front of cost be drawn from a million architectures in seconds.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harness.errors import UserError
from harness.search.space_cost import AdditiveCost
from harness.search.space_table import Indices, SpaceTable
from harness.space import SearchSpace

__all__ = ["CostTable", "Indices"]


class CostTable(SpaceTable):
    """Parameters and MACs of architectures of a space, batch 1.

    Args:
        space: The space.
        cost: The cost of its base and blocks, for the same base at the same image size.

    Raises:
        UserError: The space has a site that the cost does not know.
    """

    def __init__(self, space: SearchSpace, cost: AdditiveCost) -> None:
        missing = [site for site in space.sites if site not in cost.sites]
        if missing:
            raise UserError(f"space '{space.file.name}': no cost is known at {', '.join(missing)} of {space.base}")
        super().__init__(space)
        self.base = np.array([cost.base.params, cost.base.macs], dtype=np.int64)
        rows = [
            row
            for site in space.sites
            for row in [(0, 0), *(cost.block(placement) for placement in space.placements[site])]
        ]
        self._added = np.array(rows, dtype=np.int64)

    def added(self, site: str) -> npt.NDArray[np.int64]:
        """Parameters and MACs that each choice of a site adds, (choices + 1, 2), the empty one first."""
        place = self._place[site]
        first = self._first[place]
        return self._added[first : first + self.choices[place] + 1]

    def of(self, indices: Indices) -> npt.NDArray[np.int64]:
        """Parameters and MACs of each architecture.

        Args:
            indices: (N, sites).

        Returns:
            (N, 2): parameters, MACs. Sums are exact below 2⁶³.

        Raises:
            ValueError: The array is no whole numbers, has another shape, or names a placement that is not there.
        """
        self._check(indices)
        costs = np.tile(self.base, (len(indices), 1))
        for site, first in enumerate(self._first):
            costs += self._added[first + indices[:, site]]
        return costs
