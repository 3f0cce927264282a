"""What may be proposed, and what each costs: the sampler's view of a table of models or of a search space.

A candidate is a row of numbers, its *code*, so that a hundred thousand of them are one array; two candidates with
equal codes are one and the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from optuna.distributions import CategoricalDistribution

from harness.search.features import features_of, side_by_side, unit_range
from harness.search.improvement import Floats

# Candidates, (N, D).
Codes = npt.NDArray[Any]


class Candidates(Protocol):
    """What may be proposed."""

    @property
    def distributions(self) -> Mapping[str, CategoricalDistribution]:
        """All parameters that a candidate may have."""

    @property
    def is_complete(self) -> bool:
        """Whether `draw` yields every candidate there is."""

    @property
    def no_codes(self) -> Codes:
        """Codes of no candidate, (0, D)."""

    def draw(self, rng: np.random.Generator) -> Codes:
        """Return all candidates, or many at random."""

    def neighbours(self, codes: Codes, rng: np.random.Generator) -> Codes:
        """Return some that differ from these in one choice."""

    def features(self, codes: Codes) -> tuple[Floats, tuple[slice, ...]]:
        """Return what a model of accuracy learns from, (N, F), and groups of columns that belong together."""

    def cost(self, codes: Codes) -> Floats:
        """Return the costs, (N,), above 0."""

    def parameters(self, code: Codes) -> dict[str, Any]:
        """Return the parameters of one candidate, (D,)."""

    def code(self, parameters: Mapping[str, Any]) -> Codes | None:
        """Return the candidate, (D,), of some parameters; None if there is none."""


class ListedCandidates:
    """Candidates that are known one by one, as the rows of a table; a code is the row's number.

    Args:
        distributions: Where the parameters' values come from.
        rows: The parameters of each; no two alike.
        cost: (N,), above 0.
    """

    is_complete = True

    def __init__(
        self, distributions: Mapping[str, CategoricalDistribution], rows: Sequence[Mapping[str, Any]], cost: Floats
    ) -> None:
        self.distributions = distributions
        self._rows = [dict(row) for row in rows]
        self._cost = np.asarray(cost, dtype=float)
        self.no_codes: Codes = np.zeros((0, 1), dtype=int)
        self._numbers = {self._key(row): number for number, row in enumerate(self._rows)}
        if len(self._numbers) < len(self._rows):
            raise ValueError("two candidates have the same parameters")

    def draw(self, rng: np.random.Generator) -> Codes:
        """Return all of them."""
        return np.arange(len(self._rows))[:, None]

    def neighbours(self, codes: Codes, rng: np.random.Generator) -> Codes:
        """Return none: all are known already."""
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
        """Return a key without parameters that are none of the candidates': a trial may have more."""
        return tuple((name, parameters[name]) for name in self.distributions if name in parameters)

    @cached_property
    def _features(self) -> tuple[Floats, tuple[slice, ...]]:
        own, groups = features_of(self.distributions, self._rows)
        known = unit_range(np.log(self._cost))  # half the latency is worth as much anywhere
        return side_by_side([*(own[:, group] for group in groups), known], len(self._rows))
