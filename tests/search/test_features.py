from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from harness.search.features import columns_of, features_of, side_by_side, unit_range

NUMBERS = st.lists(st.floats(1, 1000), min_size=2, max_size=6, unique=True)


def test_positive_numbers_grow_by_factors() -> None:
    kernels = columns_of(CategoricalDistribution([3, 5, 7]), [3, 5, 7])[:, 0]
    assert kernels.tolist() == pytest.approx([0, np.log(5 / 3) / np.log(7 / 3), 1])


def test_numbers_with_zero_grow_by_steps() -> None:
    assert columns_of(CategoricalDistribution([0, 1, 4]), [4, 1, 0])[:, 0].tolist() == [1, 0.25, 0]


@pytest.mark.parametrize(
    ("distribution", "values", "features"),
    [
        (FloatDistribution(2, 10), [2.0, 4.0, 10.0], [0, 0.25, 1]),
        (IntDistribution(0, 8), [0, 2, 8], [0, 0.25, 1]),
        (FloatDistribution(1, 100, log=True), [1.0, 10.0, 100.0], [0, 0.5, 1]),
        (IntDistribution(1, 16, log=True), [1, 4, 16], [0, 0.5, 1]),
        (IntDistribution(5, 5), [5, 5], [0, 0]),
    ],
)
def test_ranges_are_on_their_own_scale(
    distribution: BaseDistribution, values: list[float], features: list[float]
) -> None:
    assert columns_of(distribution, values)[:, 0].tolist() == pytest.approx(features)


def test_other_choices_are_all_1_apart() -> None:
    columns = columns_of(CategoricalDistribution(["a", "b", 3, True]), ["a", "b", 3, True])
    distances = np.linalg.norm(columns[:, None] - columns, axis=2)
    assert distances == pytest.approx(1 - np.eye(4))


def test_yes_and_no_are_no_numbers() -> None:
    assert columns_of(CategoricalDistribution([False, True]), [False, True]).shape == (2, 2)


def test_what_was_not_asked_is_0() -> None:
    assert columns_of(CategoricalDistribution(["a", "b"]), [None, "b"])[0].tolist() == [0, 0]
    assert columns_of(CategoricalDistribution([3, 5]), [None, 5])[0].tolist() == [0]
    assert columns_of(IntDistribution(3, 5), [None, 5])[0].tolist() == [0]


class Other(BaseDistribution):
    """No distribution of Optuna's."""

    def to_internal_repr(self, param_value_in_external_repr: object) -> float:
        return 0.0

    def single(self) -> bool:
        return False

    def _contains(self, param_value_in_internal_repr: float) -> bool:
        return True


def test_an_unknown_kind_of_parameter_is_named() -> None:
    with pytest.raises(ValueError, match="neither numbers nor choices"):
        columns_of(Other(), [1])


@given(NUMBERS, st.booleans())
def test_features_keep_the_order_and_are_within_0_and_1(numbers: list[float], negative: bool) -> None:
    values = [-number if negative else number for number in sorted(numbers, reverse=negative)]
    column = columns_of(CategoricalDistribution(values), values)[:, 0]
    assert column[0] == 0 and column[-1] == pytest.approx(1)
    assert (np.diff(column) >= 0).all()


def test_each_parameter_has_its_own_columns() -> None:
    distributions = {"kind": CategoricalDistribution(["a", "b"]), "depth": IntDistribution(0, 2)}
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
