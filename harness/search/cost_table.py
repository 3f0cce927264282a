"""The cost of many architectures at once, exact: one row of a table for each placement, and a sum.

What a placement adds is known once its site and shape are, so a space of hundreds of millions of architectures
has only a few thousand different summands. A constraint on cost can then be checked for every candidate that a
sampler thinks of, and a front of cost be drawn from a million architectures in seconds.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from harness.architecture import Architecture, Placement
from harness.errors import UserError
from harness.search.space_cost import AdditiveCost
from harness.space import SearchSpace

Indices = npt.NDArray[np.integer]
"""Architectures as numbers, (N, sites): 0 leaves a site empty, k puts the site's k-th placement there."""


class CostTable:
    """Parameters and MACs of architectures of a space, batch 1.

    The columns of `Indices` are the space's `sites`, in their order; the numbers of a site are places in the
    space's `placements` of it, counted from 1. How many blocks an architecture may have is the space's business
    and isn't checked.

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
        self.space = space
        self.base = np.array([cost.base.params, cost.base.macs], dtype=np.int64)
        self.choices = np.array([len(space.placements[site]) for site in space.sites])
        # One table for all sites, each beginning with its empty row; a flat one is the quickest to index.
        rows = [
            row
            for site in space.sites
            for row in [(0, 0), *(cost.block(placement) for placement in space.placements[site])]
        ]
        self._added = np.array(rows, dtype=np.int64)
        self._first = np.concatenate([[0], np.cumsum(self.choices + 1)[:-1]])

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

    def indices(self, architecture: Architecture) -> npt.NDArray[np.int64]:
        """The numbers of one architecture, (sites,).

        Raises:
            UserError: The space has no placement that computes the same.
        """
        numbers = np.zeros(len(self.space.sites), dtype=np.int64)
        for placement in architecture.placements:
            canonical = placement.canonical(self.space.maps[placement.site]) if placement.site in self._place else None
            if canonical not in self._numbers:
                raise UserError(f"space '{self.space.file.name}' has no placement {placement.describe()}")
            numbers[self._place[placement.site]] = self._numbers[canonical]
        return numbers

    def architecture(self, numbers: Indices) -> Architecture:
        """The architecture of one row of numbers, (sites,).

        Raises:
            ValueError: See `of`.
        """
        self._check(numbers[None])
        chosen = zip(self.space.sites, numbers, strict=True)
        placements = tuple(self.space.placements[site][number - 1] for site, number in chosen if number)
        return Architecture(base=self.space.base, placements=placements)

    def draw(self, count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Numbers of random architectures, (count, sites), distributed as `SearchSpace.draw` does."""
        sites = len(self.space.sites)
        blocks = rng.integers(1, min(self.space.file.max_blocks, sites) + 1, size=(count, 1))
        order = rng.permuted(np.tile(np.arange(sites), (count, 1)), axis=1)
        return np.where(order < blocks, rng.integers(1, self.choices + 1, size=(count, sites)), 0)

    def _check(self, indices: Indices) -> None:
        sites = len(self.space.sites)
        if indices.ndim != 2 or indices.shape[1] != sites or not np.issubdtype(indices.dtype, np.integer):
            raise ValueError(
                f"indices are {indices.dtype} {indices.shape}; they are whole numbers of shape (N, {sites})"
            )
        wrong = np.argwhere((indices < 0) | (indices > self.choices))
        if len(wrong):
            row, column = wrong[0]
            raise ValueError(
                f"row {row} names placement {indices[row, column]} at {self.space.sites[column]}; "
                f"there are 1 to {self.choices[column]}, and 0 for none"
            )

    @cached_property
    def _place(self) -> dict[str, int]:
        return {site: place for place, site in enumerate(self.space.sites)}

    @cached_property
    def _numbers(self) -> dict[Placement, int]:
        """The number of every placement at its site, by what it computes."""
        return {
            placement.canonical(self.space.maps[site]): number
            for site in self.space.sites
            for number, placement in enumerate(self.space.placements[site], start=1)
        }
