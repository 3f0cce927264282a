"""What may be proposed, and what each costs: the sampler's view of a table of models or of any Optuna search space.

A candidate is a row of numbers, its *code*, so that a hundred thousand of them are one array; two candidates with
equal codes are one and the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import product
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from harness.search.features import features_of, side_by_side, unit_range
from harness.search.improvement import Floats

Codes = npt.NDArray[Any]
"""Candidates, (N, D)."""
Cost = Callable[[Mapping[str, Any]], float]
"""What the candidate of these parameters costs; not a number where there is no such candidate."""

_MOST_LISTED = 20_000
"""Candidates of a space that are enumerated; of a larger one a pool is drawn."""
_DRAWN = 4_000
_MUTANTS = 20


class Candidates(Protocol):
    """What may be proposed."""

    @property
    def distributions(self) -> Mapping[str, BaseDistribution]:
        """All parameters that a candidate may have."""

    @property
    def is_complete(self) -> bool:
        """Whether `draw` yields every candidate there is."""

    @property
    def no_codes(self) -> Codes:
        """Codes of no candidate, (0, D)."""

    def draw(self, rng: np.random.Generator) -> Codes:
        """All candidates, or many at random."""

    def neighbours(self, codes: Codes, rng: np.random.Generator) -> Codes:
        """Some that differ from these in one choice."""

    def features(self, codes: Codes) -> tuple[Floats, tuple[slice, ...]]:
        """What a model of accuracy learns from, (N, F), and groups of columns that belong together."""

    def cost(self, codes: Codes) -> Floats:
        """(N,)."""

    def parameters(self, code: Codes) -> dict[str, Any]:
        """The parameters of one candidate, (D,)."""

    def code(self, parameters: Mapping[str, Any]) -> Codes | None:
        """The candidate, (D,), of some parameters; None if there is none."""


class ListedCandidates:
    """Candidates that are known one by one, as the rows of a table; a code is the row's number.

    Args:
        distributions: Where the parameters' values come from.
        rows: The parameters of each; no two alike.
        cost: (N,); all positive costs are learnt from as logarithms.
    """

    is_complete = True

    def __init__(
        self, distributions: Mapping[str, BaseDistribution], rows: Sequence[Mapping[str, Any]], cost: Floats
    ) -> None:
        self.distributions = distributions
        self._rows = [dict(row) for row in rows]
        self._cost = np.asarray(cost, dtype=float)
        self.no_codes: Codes = np.zeros((0, 1), dtype=int)
        self._numbers = {self._key(row): number for number, row in enumerate(self._rows)}
        if len(self._numbers) < len(self._rows):
            raise ValueError("two candidates have the same parameters")

    def draw(self, rng: np.random.Generator) -> Codes:
        """All of them."""
        return np.arange(len(self._rows))[:, None]

    def neighbours(self, codes: Codes, rng: np.random.Generator) -> Codes:
        """None: all are known already."""
        return codes[:0]

    def features(self, codes: Codes) -> tuple[Floats, tuple[slice, ...]]:
        """See `Candidates`."""
        features, groups = self._features
        return features[codes[:, 0]], groups

    def cost(self, codes: Codes) -> Floats:
        """See `Candidates`."""
        return self._cost[codes[:, 0]]

    def parameters(self, code: Codes) -> dict[str, Any]:
        """See `Candidates`."""
        return dict(self._rows[int(code[0])])

    def code(self, parameters: Mapping[str, Any]) -> Codes | None:
        """See `Candidates`."""
        number = self._numbers.get(self._key(parameters))
        return None if number is None else np.array([number])

    def _key(self, parameters: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
        """Without parameters that are none of the candidates': a trial may have more."""
        return tuple((name, parameters[name]) for name in self.distributions if name in parameters)

    @cached_property
    def _features(self) -> tuple[Floats, tuple[slice, ...]]:
        own, groups = features_of(self.distributions, self._rows)
        known = on_a_scale(self._cost)
        return side_by_side([*(own[:, group] for group in groups), unit_range(known)], len(self._rows))


class ParameterCandidates:
    """All combinations of some parameters, of which any may be continuous; a code is Optuna's internal numbers.

    Args:
        distributions: By parameter.
        cost: What a combination costs; a combination without a finite cost is no candidate.
    """

    is_complete = False

    def __init__(self, distributions: Mapping[str, BaseDistribution], cost: Cost) -> None:
        self.distributions = dict(distributions)
        self._cost = cost
        self.no_codes: Codes = np.zeros((0, len(self.distributions)))

    def draw(self, rng: np.random.Generator) -> Codes:
        """Some at random."""
        return np.column_stack([_draw(each, _DRAWN, rng) for each in self.distributions.values()])

    def neighbours(self, codes: Codes, rng: np.random.Generator) -> Codes:
        """Each with one parameter drawn anew, several times."""
        near = np.repeat(codes, _MUTANTS, axis=0)
        other = np.column_stack([_draw(each, len(near), rng) for each in self.distributions.values()])
        column = rng.integers(near.shape[1], size=len(near))
        near[np.arange(len(near)), column] = other[np.arange(len(near)), column]
        return near

    def features(self, codes: Codes) -> tuple[Floats, tuple[slice, ...]]:
        """See `Candidates`."""
        return features_of(self.distributions, [self.parameters(code) for code in codes])

    def cost(self, codes: Codes) -> Floats:
        """See `Candidates`."""
        return np.array([self._cost(self.parameters(code)) for code in codes], dtype=float)

    def parameters(self, code: Codes) -> dict[str, Any]:
        """See `Candidates`."""
        named = zip(self.distributions.items(), code.tolist(), strict=True)
        return {name: distribution.to_external_repr(number) for (name, distribution), number in named}

    def code(self, parameters: Mapping[str, Any]) -> Codes | None:
        """See `Candidates`."""
        if not self.distributions.keys() <= parameters.keys():
            return None
        try:
            numbers = [each.to_internal_repr(parameters[name]) for name, each in self.distributions.items()]
        except ValueError:  # none of the choices
            return None
        return np.array(numbers, dtype=float)


def candidates_of(distributions: Mapping[str, BaseDistribution], cost: Cost) -> Candidates:
    """All combinations of some parameters, enumerated where they are few enough."""
    choices = [_choices(each) for each in distributions.values()]
    if any(each is None for each in choices) or math.prod(len(each or ()) for each in choices) > _MOST_LISTED:
        return ParameterCandidates(distributions, cost)
    rows = [dict(zip(distributions, chosen, strict=True)) for chosen in product(*(each or () for each in choices))]
    costs = np.array([cost(row) for row in rows], dtype=float)
    is_there = np.isfinite(costs)
    return ListedCandidates(
        distributions, [row for row, there in zip(rows, is_there, strict=True) if there], costs[is_there]
    )


def on_a_scale(cost: Floats) -> Floats:
    """Costs as logarithms where all are positive, for half the latency is worth as much anywhere."""
    return np.log(cost) if bool((cost > 0).all()) else cost


def _choices(distribution: BaseDistribution) -> Sequence[Any] | None:
    """All values of a distribution, None where they are more than can be listed."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    if isinstance(distribution, IntDistribution) and (distribution.high - distribution.low) // distribution.step < 100:
        return range(distribution.low, distribution.high + 1, distribution.step)
    return [distribution.low] if distribution.single() and isinstance(distribution, FloatDistribution) else None


def _draw(distribution: BaseDistribution, count: int, rng: np.random.Generator) -> Floats:
    """Random values as Optuna's internal numbers, even on the distribution's own scale."""
    if isinstance(distribution, CategoricalDistribution):
        return rng.integers(len(distribution.choices), size=count).astype(float)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high, step = float(distribution.low), float(distribution.high), float(distribution.step or 0)
    half = step / 2 if isinstance(distribution, IntDistribution) and distribution.log else 0
    if distribution.log:
        numbers = np.exp(rng.uniform(np.log(low - half), np.log(high + half), size=count))
    elif step:
        numbers = low + step * rng.integers(round((high - low) / step) + 1, size=count)
    else:
        numbers = rng.uniform(low, high, size=count)
    if isinstance(distribution, IntDistribution):
        numbers = np.round(numbers)
    return np.clip(numbers, low, high)
