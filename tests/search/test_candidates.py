from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution

from harness.search.candidates import ListedCandidates


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


ROWS = st.lists(
    st.fixed_dictionaries({"kind": st.sampled_from("abc")}, optional={"depth": st.integers(0, 3)}),
    min_size=1, max_size=12, unique_by=lambda row: tuple(sorted(row.items())),
)  # fmt: skip


@given(ROWS)
def test_a_listed_candidate_is_its_rows_number_and_back(rows: list[dict[str, Any]]) -> None:
    distributions = {"depth": CategoricalDistribution(range(4)), "kind": CategoricalDistribution("abc")}
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
        ListedCandidates({"x": CategoricalDistribution(range(2))}, [{"x": 1}, {"x": 1}], np.ones(2))


def test_the_last_feature_of_a_listed_candidate_is_its_cost_in_factors() -> None:
    rows = [{"x": number} for number in range(3)]
    listed = ListedCandidates({"x": CategoricalDistribution(range(3))}, rows, np.array([1.0, 10.0, 100.0]))
    assert listed.features(listed.draw(rng()))[0][:, -1].tolist() == pytest.approx([0, 0.5, 1])
