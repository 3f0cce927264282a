"""Bounds are limits that may be reached; sites are sets."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from pydantic import ValidationError

from harness.record.constraints import UNBOUNDED, Bound, Constraints


def test_only_what_was_given_is_a_bound() -> None:
    assert UNBOUNDED.bounds == () and not UNBOUNDED.bounds_cost
    given = Constraints(max_macs=5e8, min_map50_95=0.4, required_sites=("neck.P3",))
    assert given.bounds == (
        Bound("max_macs", "macs", 5e8, is_upper=True),
        Bound("min_map50_95", "map50_95", 0.4, is_upper=False),
    )
    assert given.bounds_cost
    assert not Constraints(max_latency_ratio=1.2).bounds_cost  # known only once it is measured


@pytest.mark.parametrize(("is_upper", "broken"), [(True, [False, False, True]), (False, [True, False, False])])
def test_a_limit_itself_is_allowed_and_what_was_not_measured_breaks_none(is_upper: bool, broken: list[bool]) -> None:
    bound = Bound("x", "x", 2.0, is_upper)
    assert [bound.broken_by(value) for value in (1.0, 2.0, 3.0)] == broken
    assert bound.broken_by(pd.Series([1.0, 2.0, 3.0, math.nan])).tolist() == [*broken, False]


def test_the_order_of_sites_says_nothing() -> None:
    typed = Constraints(forbidden_sites=("neck.P5", "neck.P3", "neck.P5"))
    assert typed == Constraints(forbidden_sites=("neck.P3", "neck.P5"))


@pytest.mark.parametrize(
    "values", [{"max_params": 0}, {"max_macs": -1}, {"max_latency_ratio": math.inf}, {"min_map50_95": 40}]
)
def test_a_bound_that_cannot_be_meant_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Constraints.model_validate(values)
