"""The part of a space that is within the bounds on parameters and MACs, known before anything is trained.

What a placement adds is exact and a sum, so whether some blocks can still be completed within the bounds is known
exactly too: by the least of the remaining sites, as a front of parameters and MACs. Nothing outside is ever trained,
the last architecture inside is found however rare it is, and that there is none is a proof.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple, TypedDict

import moocore
import numpy as np
import numpy.typing as npt

from harness.architecture import Architecture
from harness.common.errors import UserError
from harness.cost.space_cost import AdditiveCost, CostTable
from harness.record.constraints import Constraints
from harness.space import SearchSpace

# Parameters and MACs, (N, 2).
Costs = npt.NDArray[np.int64]
# Architectures of a space that are counted one by one; of a larger space as many are drawn.
_COUNTED = 100_000


def limits(constraints: Constraints) -> npt.NDArray[np.float64]:
    """Return the maximum of parameters and of MACs, (2,); infinite where there is no bound."""
    return np.array([np.inf if most is None else most for most in (constraints.max_params, constraints.max_macs)])


def feasible(costs: Costs, constraints: Constraints) -> npt.NDArray[np.bool_]:
    """Return which of many architectures are within the bounds on cost, (N,); a bound itself is within."""
    return np.asarray((costs <= limits(constraints)).all(axis=1))


class _State(NamedTuple):
    """How far the blocks of an architecture are chosen.

    Attributes:
        site: Number of the site that is next.
        free: Blocks that may still be put at sites that need none.
        needs_one: Whether there is no block yet, and no site that requires one.
    """

    site: int
    free: int
    needs_one: bool


class Within(TypedDict):
    """Architectures within the bounds: how many, None where they were not counted, and their share of all, 0 to 1."""

    feasible: int | None
    feasible_share: float


class Region:
    """The architectures of a space within the bounds on parameters and MACs.

    Args:
        space: The space.
        cost: The cost of its base and blocks.
        constraints: The bounds; those on latency and mAP have no part here.

    Raises:
        UserError: No architecture is within; the sentence names the least that there is.
    """

    def __init__(self, space: SearchSpace, cost: AdditiveCost, constraints: Constraints) -> None:
        self.space = space
        self.cost = cost
        self.constraints = constraints
        self.table = CostTable(space, cost)
        self._left = limits(constraints) - self.table.base
        self._least = cache(self._count_least)
        self._first = _State(0, space.blocks[-1] - len(space.required), not space.required)
        if not self._can_end(np.zeros((1, 2), dtype=np.int64), self._first)[0]:
            raise UserError(self._why_empty())

    def holds(self, architecture: Architecture) -> bool:
        """Return whether an architecture of the space is within."""
        return not any(self.excess(architecture).values())

    def excess(self, architecture: Architecture) -> dict[str, float]:
        """Compute how far, relative to it, an architecture is above each bound on cost; 0 where it is within.

        This is what Optuna calls a constraint: above 0 is violated.
        """
        costs = zip(("params", "macs"), self.cost.of(architecture), limits(self.constraints), strict=True)
        return {name: max(0.0, value / most - 1) for name, value, most in costs if np.isfinite(most)}

    def walk(self, rng: random.Random | None = None) -> Iterator[Architecture]:
        """Yield every architecture within, each once; with `rng` in random order, though not a uniform one."""
        numbers = np.zeros(len(self.space.sites), dtype=np.int64)
        for _ in self._walk(self._first, np.zeros(2, dtype=np.int64), numbers, rng):
            yield self.table.architecture(numbers)

    def summary(self) -> Within:
        """Count the architectures that are within.

        The share of a space too large to count is that of architectures drawn as a search draws them.
        """
        counted = self.space.size <= _COUNTED
        some = self.table.everything() if counted else self.table.draw(_COUNTED, np.random.default_rng(0))
        within = int(feasible(self.table.of(some), self.constraints).sum())
        return {"feasible": within if counted else None, "feasible_share": within / len(some)}

    def _walk(
        self, state: _State, spent: Costs, numbers: npt.NDArray[np.int64], rng: random.Random | None
    ) -> Iterator[None]:
        """Put one architecture after the other into `numbers`; only ways that end within are gone."""
        if state.site == len(numbers):
            yield
            return
        added = self.table.added(self.space.sites[state.site])
        empty, block = self._after(state)
        ways = []
        if empty is not None and self._can_end(spent[None], empty)[0]:
            ways.append((0, empty))
        if block is not None:
            fitting = [(int(number) + 1, block) for number in np.flatnonzero(self._can_end(spent + added[1:], block))]
            if rng is not None:
                rng.shuffle(fitting)
            ways += fitting
        if rng is not None and rng.random() * (len(numbers) - state.site) < state.free:
            ways.reverse()  # a block first, as often as an even choice of sites would put one here
        for number, after in ways:
            numbers[state.site] = number
            yield from self._walk(after, spent + added[number], numbers, rng)

    def _after(self, state: _State) -> tuple[_State | None, _State | None]:
        """Return the states that follow if the site stays empty, and if it takes a block; None where it may not."""
        site, free, needs_one = state
        is_free = self.space.sites[site] not in self.space.required
        return (
            _State(site + 1, free, needs_one) if is_free else None,
            _State(site + 1, free - is_free, False) if free or not is_free else None,
        )

    def _can_end(self, spent: Costs, state: _State) -> npt.NDArray[np.bool_]:
        """Return whether what was spent, (N, 2), leaves enough for the sites that follow, (N,)."""
        fits: npt.NDArray[np.bool_] = np.all(spent[:, None] + self._least(state) <= self._left, axis=2)
        return np.asarray(fits.any(axis=1))

    def _count_least(self, state: _State) -> Costs:
        """Count the least that the sites that follow add: a front, (F, 2), without a row where no choice is allowed."""
        if state.site == len(self.space.sites):
            return np.zeros((0 if state.needs_one else 1, 2), dtype=np.int64)
        empty, block = self._after(state)
        sums = [] if empty is None else [self._least(empty)]
        if block is not None:
            added = _front(self.table.added(self.space.sites[state.site])[1:])
            sums.append((added[:, None] + self._least(block)).reshape(-1, 2))
        return _front(np.concatenate(sums))

    def _why_empty(self) -> str:
        """Say why no candidate is within: the least that there is, by the bound that it breaks."""
        least = self._least(self._first) + self.table.base
        names, most = ("parameters", "MACs"), limits(self.constraints)
        space = f"space '{self.space.file.name}' on {self.space.base}"
        for name, bound, fewest in zip(names, most, least.min(axis=0), strict=True):
            if fewest > bound:
                return f"no candidate of {space} has at most {bound:,.0f} {name}; the least is {fewest:,}"
        fewest_macs = least[least[:, 0] <= most[0]][:, 1].min()
        return (
            f"no candidate of {space} has at most {most[0]:,.0f} parameters and {most[1]:,.0f} MACs at once; "
            f"with so few parameters the least MACs are {fewest_macs:,}"
        )


def _front(costs: Costs) -> Costs:
    """Return the non-dominated rows, each once."""
    if not len(costs):
        return costs
    is_low: npt.NDArray[np.bool_] = np.asarray(moocore.is_nondominated(costs.astype(float), keep_weakly=False))
    return costs[is_low]
