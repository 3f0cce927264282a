from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.recommendation import ROUNDING, non_inferior, recommended
from harness.analysis.statistics import Standing, Verdict

Point = tuple[float, float, float]
"""Gain, cost, and half the length of the cost's interval."""


def table(points: dict[str, Point], verdict: str = Verdict.GAIN, epochs: int = 3) -> pd.DataFrame:
    frame = pd.DataFrame.from_dict(points, orient="index", columns=["gain_map50_95", "cost", "half"])
    return frame.assign(
        cost_low=frame["cost"] - frame["half"],
        cost_high=frame["cost"] + frame["half"],
        gain_low=frame["gain_map50_95"] - 0.002,
        verdict=str(verdict),
        standing=str(Standing.JUDGED),
        epochs=epochs,
    )


def rows(verdict: str = Verdict.GAIN, epochs: int = 3, **points: Point) -> pd.DataFrame:
    return table(points, verdict, epochs)


def gain_of(frame: pd.DataFrame, name: str) -> float:
    return float(frame["gain_map50_95"][name])


def test_the_cheapest_within_min_gain_of_the_largest_is_taken() -> None:
    found = rows(best=(0.020, 1.5, 0.01), enough=(0.016, 1.2, 0.01), poor=(0.014, 1.1, 0.01))
    assert recommended(found, "cost", 0.005) == "enough"
    assert recommended(found, "cost", 0.006) == "poor"
    assert recommended(found, "cost", 0.0) == "best"
    assert recommended(found, "cost", 0.021) is None


def test_costs_whose_intervals_overlap_are_equal_and_the_larger_gain_wins() -> None:
    assert recommended(rows(a=(0.010, 1.00, 0.01), b=(0.012, 1.015, 0.01)), "cost", 0.005) == "b"
    assert recommended(rows(a=(0.010, 1.00, 0.01), b=(0.012, 1.025, 0.01)), "cost", 0.005) == "a"
    exact = rows(a=(0.010, 100.0, 0.0), b=(0.012, 101.0, 0.0)).drop(columns=["cost_low", "cost_high"])
    assert recommended(exact, "cost", 0.005) == "a"


def test_a_gain_of_exactly_min_gain_is_enough_whatever_floats_make_of_it() -> None:
    assert recommended(rows(a=(0.1 + 0.2 - 0.295, 1.0, 0.0)), "cost", 0.005) == "a"  # 0.00500000000000006
    assert recommended(rows(a=(0.0050 - 1e-12, 1.0, 0.0)), "cost", 0.005) == "a"


def test_only_the_longest_trained_winners_are_looked_at() -> None:
    mixed = pd.concat([rows(short=(0.05, 1.0, 0.0)), rows(epochs=12, long=(0.01, 1.3, 0.0))])
    assert recommended(mixed, "cost", 0.005) == "long"
    assert recommended(mixed, "cost", 0.02) is None


def test_who_does_not_beat_the_baseline_is_not_taken() -> None:
    mixed = pd.concat([rows(sure=(0.01, 1.3, 0.0)), rows(Verdict.UNDECIDED, maybe=(0.05, 1.0, 0.0))])
    assert recommended(mixed, "cost", 0.005) == "sure"
    assert recommended(mixed[1:], "cost", 0.005) is None


def test_what_has_no_cost_is_taken_only_where_nothing_has_one() -> None:
    nan = float("nan")
    assert recommended(rows(a=(0.02, nan, nan), b=(0.019, 9.0, nan)), "cost", 0.005) == "b"
    assert recommended(rows(a=(0.010, nan, nan), b=(0.012, nan, nan)), "cost", 0.005) == "b"


def test_a_loss_is_borne_only_where_it_is_known_to_be_small() -> None:
    mixed = rows(Verdict.UNDECIDED, known=(-0.002, 0.9, 0.0), unknown=(-0.004, 0.5, 0.0))  # gain_low is 0.002 below
    assert non_inferior(mixed, "cost", 0.005) == "known"
    assert non_inferior(mixed, "cost", 0.007) == "unknown"
    assert non_inferior(mixed, "cost", 0.004) is None
    assert non_inferior(mixed.assign(standing=str(Standing.SCREENING)), "cost", 0.005) is None
    assert non_inferior(mixed.assign(gain_low=float("nan")), "cost", 0.005) is None


POINTS = st.lists(
    st.tuples(
        st.floats(0.0, 0.05, allow_nan=False),
        st.floats(0.5, 2.0, allow_nan=False),
        st.floats(0.0, 0.3, allow_nan=False),
        st.floats(-1, 1, allow_nan=False),
    ),
    min_size=1,
    max_size=8,
)


@given(POINTS, st.floats(0, 0.02, allow_nan=False), st.booleans())
@pytest.mark.parametrize("rule", [recommended, non_inferior])
def test_moving_costs_within_their_intervals_trades_no_more_than_min_gain(
    rule: Callable[[pd.DataFrame, str, float], str | None],
    points: list[tuple[float, float, float, float]],
    min_gain: float,
    intervals_move_too: bool,
) -> None:
    before = table({f"c{at}": point[:3] for at, point in enumerate(points)})
    moves = [half * share for _, _, half, share in points]
    after = before.assign(cost=before["cost"] + moves)
    if intervals_move_too:  # as a second measurement would have it
        after = after.assign(cost_low=after["cost"] - after["half"], cost_high=after["cost"] + after["half"])
    first, second = rule(before, "cost", min_gain), rule(after, "cost", min_gain)
    assert (first is None) == (second is None)
    if first is not None:
        assert second is not None
        assert abs(gain_of(before, first) - gain_of(before, second)) <= min_gain + 2 * ROUNDING
        assert gain_of(before, first) >= before["gain_map50_95"].max() - min_gain - 2 * ROUNDING


@given(POINTS, st.floats(0, 0.02, allow_nan=False), st.floats(0.5, 2.0), st.floats(0.5, 2.0))
def test_a_larger_budget_buys_no_less_than_min_gain_below_a_smaller_one(
    points: list[tuple[float, float, float, float]], min_gain: float, one: float, other: float
) -> None:
    every = table({f"c{at}": point[:3] for at, point in enumerate(points)})
    small, large = (recommended(every[every["cost"] <= limit], "cost", min_gain) for limit in sorted((one, other)))
    if small is not None:
        assert large is not None
        assert gain_of(every, large) >= gain_of(every, small) - min_gain - 2 * ROUNDING
