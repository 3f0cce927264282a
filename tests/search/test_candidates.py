from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from harness.search.candidates import ListedCandidates, ParameterCandidates, candidates_of, on_a_scale

DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "kind": CategoricalDistribution(["a", "b", 3, None]),
    "depth": IntDistribution(-3, 9, step=3),
    "width": IntDistribution(1, 64, log=True),
    "rate": FloatDistribution(1e-4, 1.0, log=True),
    "ratio": FloatDistribution(-10.2, 10.2, step=0.1),
    "free": FloatDistribution(-1.0, 1.0),
}
SMALL: dict[str, BaseDistribution] = {
    "kind": CategoricalDistribution(["a", "b"]), "depth": IntDistribution(1, 5, step=2), "one": FloatDistribution(2, 2),
}  # fmt: skip


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def parameters() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["a", "b", 3, None]), "depth": st.sampled_from([-3, 0, 3, 6, 9]),
            "width": st.integers(1, 64), "rate": st.floats(1e-4, 1), "ratio": st.floats(-10, 10),
            "free": st.floats(-1, 1),
        }
    )  # fmt: skip


ROWS = st.lists(
    st.fixed_dictionaries({"kind": st.sampled_from("abc")}, optional={"depth": st.integers(0, 3)}),
    min_size=1, max_size=12, unique_by=lambda row: tuple(sorted(row.items())),
)  # fmt: skip


@given(ROWS)
def test_a_listed_candidate_is_its_rows_number_and_back(rows: list[dict[str, Any]]) -> None:
    distributions = {"depth": IntDistribution(0, 3), "kind": CategoricalDistribution("abc")}
    listed = ListedCandidates(distributions, rows, np.arange(1.0, len(rows) + 1))
    codes = listed.draw(rng())
    assert [listed.parameters(code) for code in codes] == rows
    assert [listed.code(dict(reversed(row.items()))) for row in rows] == codes.tolist()
    assert listed.cost(codes).tolist() == [*range(1, len(rows) + 1)]
    features, groups = listed.features(codes)
    assert features.shape == (len(rows), 5) and len(groups) == 3
    assert listed.is_complete and listed.neighbours(codes, rng()).shape == (0, 1)


def test_a_row_that_is_not_listed_is_no_candidate() -> None:
    listed = ListedCandidates({"kind": CategoricalDistribution("ab")}, [{"kind": "a"}], np.ones(1))
    assert listed.code({"kind": "b"}) is None
    assert listed.code({}) is None


def test_a_trial_with_further_parameters_is_still_the_candidate() -> None:
    listed = ListedCandidates({"kind": CategoricalDistribution("ab")}, [{"kind": "a"}], np.ones(1))
    assert listed.code({"kind": "a", "other": 1}) == [0]


def test_two_rows_alike_are_refused() -> None:
    with pytest.raises(ValueError, match="two candidates have the same parameters"):
        ListedCandidates({"x": IntDistribution(0, 1)}, [{"x": 1}, {"x": 1}], np.ones(2))


def test_the_last_feature_of_a_listed_candidate_is_its_cost_in_factors() -> None:
    rows = [{"x": number} for number in range(3)]
    listed = ListedCandidates({"x": IntDistribution(0, 2)}, rows, np.array([1.0, 10.0, 100.0]))
    assert listed.features(listed.draw(rng()))[0][:, -1].tolist() == pytest.approx([0, 0.5, 1])


@given(parameters())
def test_a_combination_is_its_internal_numbers_and_back(chosen: dict[str, Any]) -> None:
    space = ParameterCandidates(DISTRIBUTIONS, lambda _: 1.0)
    code = space.code(chosen | {"other": 7})
    assert code is not None and space.parameters(code) == chosen
    assert space.features(code[None])[0].shape[0] == 1


def test_parameters_that_are_missing_or_no_choice_are_no_candidate() -> None:
    space = ParameterCandidates({"kind": CategoricalDistribution("ab")}, lambda _: 1.0)
    assert space.code({}) is None
    assert space.code({"kind": "c"}) is None


@given(st.integers(0, 1000))
@settings(max_examples=10)
def test_what_is_drawn_and_what_is_near_is_within_the_space(seed: int) -> None:
    space = ParameterCandidates(DISTRIBUTIONS, lambda _: 1.0)
    generator = np.random.default_rng(seed)
    codes = space.draw(generator)[:200]
    near = space.neighbours(codes, generator)
    for code in [*codes, *near[:200]]:
        for (name, value), number in zip(space.parameters(code).items(), code, strict=True):
            assert DISTRIBUTIONS[name]._contains(number)
            assert DISTRIBUTIONS[name].to_internal_repr(value) == number
        found = space.code(space.parameters(code))
        assert found is not None and found.tobytes() == code.tobytes()
    assert ((near != np.repeat(codes, len(near) // len(codes), axis=0)).sum(axis=1) <= 1).all()


def test_draws_are_even_on_the_distributions_own_scale() -> None:
    space = ParameterCandidates(DISTRIBUTIONS, lambda _: 1.0)
    kind, depth, width, rate, ratio, _ = space.draw(rng()).T
    assert np.bincount(kind.astype(int)) / len(kind) == pytest.approx([0.25] * 4, abs=0.03)
    assert np.unique(depth).tolist() == [-3, 0, 3, 6, 9]
    assert (width < 8).mean() == pytest.approx(np.log(7.5 / 0.5) / np.log(64.5 / 0.5), abs=0.03)
    assert (rate < 0.01).mean() == pytest.approx(0.5, abs=0.03)
    assert ratio.min() < -10 and ratio.max() > 10


def cost(chosen: Mapping[str, Any]) -> float:
    return float("nan") if chosen["kind"] == "b" and chosen["depth"] == 3 else float(chosen["depth"])


def test_a_small_space_is_listed_without_what_has_no_cost() -> None:
    listed = candidates_of(SMALL, cost)
    assert isinstance(listed, ListedCandidates)
    codes = listed.draw(rng())
    expected = [(kind, depth, 2.0) for kind, depth in product("ab", (1, 3, 5)) if (kind, depth) != ("b", 3)]
    assert [tuple(listed.parameters(code).values()) for code in codes] == expected
    assert listed.cost(codes).tolist() == [1, 3, 5, 1, 5]


@pytest.mark.parametrize(
    "distributions",
    [
        {"free": FloatDistribution(0, 1)},
        {"many": IntDistribution(0, 1_000_000)},
        {f"x{number}": IntDistribution(0, 9) for number in range(5)},
    ],
)
def test_a_large_or_continuous_space_is_not(distributions: dict[str, BaseDistribution]) -> None:
    space = candidates_of(distributions, lambda _: 1.0)
    assert isinstance(space, ParameterCandidates) and not space.is_complete
    assert space.no_codes.shape == (0, len(distributions))


def test_costs_are_logarithms_where_all_are_positive() -> None:
    assert on_a_scale(np.array([1.0, np.e])).tolist() == [0, 1]
    assert on_a_scale(np.array([0.0, 5.0])).tolist() == [0, 5]
