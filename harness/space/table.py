"""Architectures of a space as rows of numbers, so that a million of them are one array.

What a placement adds is looked up once a site, and what an architecture adds is a sum: `cost_table` sums exact
parameters and MACs this way, `latency_table` estimates milliseconds.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from harness.architecture import Architecture, Placement
from harness.common.errors import UserError
from harness.space.space import SearchSpace

# Architectures as numbers, (N, sites): 0 leaves a site empty, k puts the site's k-th placement there.
Indices = npt.NDArray[np.integer]


class SpaceTable:
    """The numbers of a space's architectures.

    The columns of `Indices` are the space's `sites`, in their order; the numbers of a site are places in the
    space's `placements` of it, counted from 1. How many blocks an architecture may have is the space's business
    and isn't checked.

    Args:
        space: The space.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.choices = np.array([len(space.placements[site]) for site in space.sites])
        # In one table for all sites, each begins with its empty row; a flat one is the quickest to index.
        self._first = np.concatenate([[0], np.cumsum(self.choices + 1)[:-1]])

    def indices(self, architecture: Architecture) -> npt.NDArray[np.int64]:
        """Return the numbers of one architecture, (sites,).

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
        """Return the architecture of one row of numbers, (sites,).

        Raises:
            ValueError: The array is no whole numbers, has another shape, or names a placement that is not there.
        """
        self._check(numbers[None])
        chosen = zip(self.space.sites, numbers, strict=True)
        placements = tuple(self.space.placements[site][number - 1] for site, number in chosen if number)
        return Architecture(base=self.space.base, placements=placements)

    def draw(self, count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Draw numbers of random architectures, (count, sites), distributed as `SearchSpace.draw` does."""
        required = np.isin(self.space.sites, self.space.required)
        blocks = rng.integers(self.space.blocks[0], self.space.blocks[-1] + 1, size=(count, 1))
        order = np.full((count, len(required)), -1)  # required sites come first
        free = np.tile(np.arange(required.sum(), len(required)), (count, 1))
        order[:, ~required] = rng.permuted(free, axis=1)
        return np.where(order < blocks, rng.integers(1, self.choices + 1, size=order.shape), 0)

    def everything(self) -> npt.NDArray[np.int64]:
        """Return the numbers of every architecture, (size, sites), in the order of `SearchSpace.enumerate`."""
        parts = []
        for sites in self.space.site_sets():
            columns = [self._place[site] for site in sites]
            chosen = np.indices([int(self.choices[column]) for column in columns]).reshape(len(columns), -1).T + 1
            numbers = np.zeros((len(chosen), len(self.choices)), dtype=np.int64)
            numbers[:, columns] = chosen
            parts.append(numbers)
        return np.concatenate(parts)

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
