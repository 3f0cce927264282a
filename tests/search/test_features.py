from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution

from harness.search.features import columns_of, features_of, side_by_side, unit_range

NUMBERS = st.lists(st.floats(1, 1000), min_size=2, max_size=6, unique=True)


def test_positive_numbers_grow_by_factors() -> None:
    kernels = columns_of(CategoricalDistribution([3, 5, 7]), [3, 5, 7])[:, 0]
    assert kernels.tolist() == pytest.approx([0, np.log(5 / 3) / np.log(7 / 3), 1])


def test_numbers_with_zero_grow_by_steps() -> None:
    assert columns_of(CategoricalDistribution([0, 1, 4]), [4, 1, 0])[:, 0].tolist() == [1, 0.25, 0]


def test_other_choices_are_all_1_apart() -> None:
    columns = columns_of(CategoricalDistribution(["a", "b", 3, True]), ["a", "b", 3, True])
    distances = np.linalg.norm(columns[:, None] - columns, axis=2)
    assert distances == pytest.approx(1 - np.eye(4))


def test_yes_and_no_are_no_numbers() -> None:
    assert columns_of(CategoricalDistribution([False, True]), [False, True]).shape == (2, 2)


def test_what_was_not_asked_is_0() -> None:
    assert columns_of(CategoricalDistribution(["a", "b"]), [None, "b"])[0].tolist() == [0, 0]
    assert columns_of(CategoricalDistribution([3, 5]), [None, 5])[0].tolist() == [0]


@given(NUMBERS, st.booleans())
def test_features_keep_the_order_and_are_within_0_and_1(numbers: list[float], negative: bool) -> None:
    values = [-number if negative else number for number in sorted(numbers, reverse=negative)]
    column = columns_of(CategoricalDistribution(values), values)[:, 0]
    assert column[0] == 0 and column[-1] == pytest.approx(1)
    assert (np.diff(column) >= 0).all()


def test_each_parameter_has_its_own_columns() -> None:
    distributions = {"kind": CategoricalDistribution(["a", "b"]), "depth": CategoricalDistribution([0, 1, 2])}
    features, groups = features_of(distributions, [{"kind": "a", "depth": 1}, {"depth": 2}])
    assert features.shape == (2, 3) and groups == (slice(0, 2), slice(2, 3))
    assert features[1].tolist() == [0, 0, 1]


def test_a_group_without_columns_is_left_out() -> None:
    features, groups = side_by_side([np.ones((2, 1)), np.ones((2, 0)), np.zeros((2, 2))], 2)
    assert features.tolist() == [[1, 0, 0]] * 2 and groups == (slice(0, 1), slice(1, 3))
    assert side_by_side([], 3)[0].shape == (3, 0)


def test_a_range_of_one_value_is_0() -> None:
    assert unit_range(np.array([4.0, 4.0])).tolist() == [[0], [0]]
    assert unit_range(np.array([4.0, 6.0, 5.0])).tolist() == [[0], [1], [0.5]]
