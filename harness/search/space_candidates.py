"""The architectures of a search space as the sampler sees them: what each costs, and what is alike."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna
from optuna.distributions import CategoricalDistribution

from harness.architecture import Architecture
from harness.architecture.choices import Option
from harness.search.candidates import Codes
from harness.search.features import features_of, side_by_side
from harness.search.improvement import Floats
from harness.search.region import Region, feasible
from harness.space import SearchSpace
from harness.space.table import SpaceTable

# The cost of architectures, (N, sites), as (N,).
CostOf = Callable[[Codes], Floats]

# Architectures of a space that are all looked at; of a larger one a pool is drawn.
_MOST_LISTED = 20_000
_DRAWN = 4_000
# Architectures within the bounds, of those drawn, below which the bounds are searched instead.
_FEWEST = 500
_MUTANTS = 20


class SpaceCandidates:
    """A space's architectures; a code is a row of `SpaceTable`'s numbers.

    A model of accuracy sees for each site which kind of block is there, apart from that the block's shape, and what
    the whole costs.

    Args:
        space: The space.
        cost: What architectures are known to cost.
        region: The part of the space within the bounds on cost; None is all of it.
    """

    def __init__(self, space: SearchSpace, cost: CostOf, region: Region | None = None) -> None:
        self.space = space
        self.table = SpaceTable(space)
        self.cost = cost
        self.region = region
        self.is_complete = space.size <= _MOST_LISTED
        self.no_codes: Codes = np.zeros((0, len(space.sites)), dtype=np.int64)
        self._codes: dict[tuple[tuple[str, Any], ...], Codes | None] = {}
        some = np.log(cost(self.table.draw(_DRAWN, np.random.default_rng(0))))
        self._cheap, self._span = float(some.min()), float(np.ptp(some)) or 1.0

    @cached_property
    def distributions(self) -> Mapping[str, CategoricalDistribution]:
        """See `Candidates`."""
        return {
            f"{site}:{name}": each for site, asked in self.space.distributions.items() for name, each in asked.items()
        }

    def draw(self, rng: np.random.Generator) -> Codes:
        """Return every architecture, or many, drawn as `SearchSpace.draw` does; within the bounds."""
        if self.is_complete:
            return self._all
        drawn = self.table.draw(_DRAWN, rng)
        drawn = drawn[self._is_within(drawn)]
        if self.region is not None and len(drawn) < _FEWEST:
            walk = itertools.islice(self.region.walk(random.Random(int(rng.integers(2**32)))), _FEWEST)
            drawn = np.vstack([drawn, *(self.table.indices(architecture) for architecture in walk)])
        return np.unique(drawn, axis=0)

    def neighbours(self, codes: Codes, rng: np.random.Generator) -> Codes:
        """Return each with one site emptied, or with another block at one site, several times; within the bounds."""
        near = np.repeat(codes, _MUTANTS, axis=0)
        site = rng.integers(near.shape[1], size=len(near))
        block = np.where(rng.random(len(near)) < 1 / 4, 0, rng.integers(1, self.table.choices[site] + 1))
        near[np.arange(len(near)), site] = block
        blocks = (near > 0).sum(axis=1)
        required = np.isin(self.space.sites, self.space.required)
        is_legal = (blocks >= self.space.blocks[0]) & (blocks <= self.space.blocks[-1])
        near = near[is_legal & (near[:, required] > 0).all(axis=1)]
        return np.unique(near[self._is_within(near)], axis=0)

    def features(self, codes: Codes) -> tuple[Floats, tuple[slice, ...]]:
        """See `Candidates`."""
        parts = [table[codes[:, site]] for site, tables in enumerate(self._by_site) for table in tables]
        known = (np.log(self.cost(codes)) - self._cheap) / self._span
        return side_by_side([*parts, known[:, None]], len(codes))

    def parameters(self, code: Codes) -> dict[str, Option]:
        """See `Candidates`."""
        return self.space.parameters(self.architecture(code))

    def architecture(self, code: Codes) -> Architecture:
        """Return the architecture of a code."""
        return self.table.architecture(code)

    def code(self, parameters: Mapping[str, Any]) -> Codes | None:
        """See `Candidates`; the base, without any block, has one too, so that its observation is learnt from."""
        key = tuple(sorted(parameters.items()))
        if key not in self._codes:
            try:
                architecture = self.space.suggest(optuna.trial.FixedTrial(dict(parameters)))
                self._codes[key] = self.table.indices(architecture)
            except ValueError:  # asks for what these parameters lack
                self._codes[key] = None
        return self._codes[key]

    def _is_within(self, codes: Codes) -> npt.NDArray[np.bool_]:
        if self.region is None:
            return np.ones(len(codes), dtype=bool)
        return feasible(self.region.table.of(codes), self.region.constraints)

    @cached_property
    def _all(self) -> Codes:
        everything = self.table.everything()
        return everything[self._is_within(everything)]

    @cached_property
    def _by_site(self) -> list[tuple[Floats, Floats]]:
        """For each site, features of its placements, the empty one first: its kind, and its shape."""
        tables = []
        for site, asked in self.space.distributions.items():
            rows: list[dict[str, Option]] = [{"kind": "none"}, *self.space.choices(site)]
            kinds = sorted({row["kind"] for row in rows})
            kind = np.array([[row["kind"] == each for each in kinds] for row in rows], dtype=float) / np.sqrt(2)
            shape, groups = features_of({name: each for name, each in asked.items() if name != "kind"}, rows)
            tables.append((kind, shape / np.sqrt(max(len(groups), 1))))
        return tables
