"""Choices as numbers that a model of accuracy can learn from.

Numbers keep their order, and grow by factors where all are positive: from a kernel of 3 to one of 5 is as far as from
5 to 8.3. Other choices are all equally far from one another. A choice that was not asked, because another made it
meaningless, is 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.distributions import CategoricalDistribution

from harness.search.improvement import Floats


def columns_of(distribution: CategoricalDistribution, values: Sequence[Any]) -> Floats:
    """Compute the features of one parameter, (N, F), within 0 to 1 and at most 1 apart.

    Args:
        distribution: Where its values come from.
        values: (N,); None where it was not asked.
    """
    if not _are_numbers(distribution.choices):
        return _one_hot(distribution, values)
    choices = np.array(distribution.choices, dtype=float)
    low, high = choices.min(), choices.max()
    asked = np.array([value is not None for value in values], dtype=bool)
    numbers = np.array([low if value is None else value for value in values], dtype=float)
    if (choices > 0).all():
        numbers, low, high = np.log(numbers), np.log(low), np.log(high)
    scaled = (numbers - low) / (high - low) if high > low else np.zeros(len(numbers))
    return np.asarray(np.where(asked, scaled, 0.0)[:, None], dtype=float)


def features_of(
    distributions: Mapping[str, CategoricalDistribution], rows: Sequence[Mapping[str, Any]]
) -> tuple[Floats, tuple[slice, ...]]:
    """Compute the features of choices, (N, F), and the columns of each parameter.

    Args:
        distributions: By parameter.
        rows: (N,); parameter to value, without those that were not asked.
    """
    parts = [columns_of(each, [row.get(name) for row in rows]) for name, each in distributions.items()]
    return side_by_side(parts, len(rows))


def side_by_side(parts: Sequence[Floats], rows: int) -> tuple[Floats, tuple[slice, ...]]:
    """Join features of several groups, (rows, F), and give the columns of each; a group without columns is left out."""
    parts = [part for part in parts if part.shape[1]]
    ends = np.cumsum([part.shape[1] for part in parts]).tolist()
    groups = tuple(slice(end - part.shape[1], end) for end, part in zip(ends, parts, strict=True))
    return np.hstack(parts) if parts else np.zeros((rows, 0)), groups


def unit_range(values: Floats) -> Floats:
    """Scale values to one feature, (N, 1), from 0 to 1."""
    low, high = values.min(), values.max()
    return ((values - low) / (high - low) if high > low else np.zeros(len(values)))[:, None]


def _one_hot(distribution: CategoricalDistribution, values: Sequence[Any]) -> Floats:
    numbers = [-1 if value is None else int(distribution.to_internal_repr(value)) for value in values]
    hot: npt.NDArray[np.bool_] = np.array(numbers)[:, None] == np.arange(len(distribution.choices))
    return np.asarray(hot / np.sqrt(2))


def _are_numbers(choices: Sequence[Any]) -> bool:
    return all(isinstance(choice, Real) and not isinstance(choice, bool) for choice in choices)
