"""Progress of a study, on trainings whose hypervolume and hours are plain."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis.hypervolume import hypervolume
from harness.analysis.progress import enough, further_gain, progress

REFERENCE = {"gain_map50_95": -1.0, "latency_ratio": 3.0}


def clock(hours: float) -> str:
    return (pd.Timestamp("2026-03-01T22:00:00+00:00") + pd.Timedelta(hours=hours)).isoformat(timespec="seconds")


def training(begin: float, end: float, gain: float, ratio: float, **changes: object) -> dict[str, object]:
    row = {
        "started": clock(begin),
        "finished": clock(end),
        "gain_map50_95": gain,
        "latency_ratio": ratio,
        "state": "complete",
        "selected_on": True,
    }
    return {**row, **changes}


BASELINE = training(0, 1, 0.0, 1.0)
BETTER = training(1, 2, 0.5, 2.0)
WORSE = training(2, 3, -0.5, 2.0)


def of(*rows: dict[str, object]) -> pd.DataFrame:
    return progress(pd.DataFrame(rows), ["gain_map50_95"], ["latency_ratio"], REFERENCE)


def test_each_training_has_the_hypervolume_of_all_that_finished_by_then() -> None:
    found = of(WORSE, BASELINE, BETTER)  # in any order
    assert list(found["trainings"]) == [1, 2, 3]
    assert list(found["hours"]) == pytest.approx([1, 2, 3])
    baseline, both = 1.0 * 2, 1.0 * 2 + 0.5 * 1
    assert list(found["hypervolume"]) == pytest.approx([baseline, both, both])


def test_repeats_and_failures_take_time_and_add_no_training() -> None:
    repeat = training(1, 2, 0.9, 1.0, selected_on=False)
    failure = training(2, 3, math.nan, math.nan, state="failed")
    found = of(BASELINE, repeat, failure, training(3, 4, 0.5, 2.0))
    assert list(found["hours"]) == pytest.approx([1, 4])
    assert list(found["hypervolume"]) == pytest.approx([2, 2.5])


def test_trainings_side_by_side_share_their_hours() -> None:
    found = of(BASELINE, training(1, 3, 0.5, 2.0), training(1, 2, -0.5, 2.0))
    assert list(found["hours"]) == pytest.approx([1, 2, 3])
    assert list(found["hypervolume"]) == pytest.approx([2, 2, 2.5])


def test_a_pause_between_two_runs_is_no_work() -> None:
    found = of(BASELINE, training(100, 101, 0.5, 2.0))
    assert list(found["hours"]) == pytest.approx([1, 2])


def test_a_training_without_a_latency_counts_and_adds_nothing() -> None:
    found = of(BASELINE, training(1, 2, 0.9, math.nan))
    assert list(found["hypervolume"]) == pytest.approx([2, 2])


@pytest.mark.parametrize("column", ["started", "finished"])
def test_a_row_without_its_times_is_left_out(column: str) -> None:
    assert len(of(BASELINE, {**BETTER, column: ""})) == 1


def test_nothing_finished_is_no_progress() -> None:
    found = of(training(0, 1, math.nan, math.nan, state="interrupted", finished=""))
    assert list(found.columns) == ["trainings", "hours", "hypervolume"]
    assert found.empty


ROWS = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 9), st.integers(-3, 3), st.integers(0, 5)), min_size=1)


@settings(deadline=None, max_examples=40)
@given(ROWS)
def test_progress_never_falls_and_ends_with_the_hypervolume_of_all(
    rows: list[tuple[int, int, int, int]],
) -> None:
    trials = pd.DataFrame([training(begin, begin + length, gain, ratio) for begin, length, gain, ratio in rows])
    found = progress(trials, ["gain_map50_95"], ["latency_ratio"], REFERENCE)
    assert (found[["hours", "hypervolume"]].diff().dropna() >= -1e-9).all(axis=None)
    whole = hypervolume(trials, ["gain_map50_95"], ["latency_ratio"], REFERENCE)
    assert found["hypervolume"].iloc[-1] == pytest.approx(whole)
    occupied = {hour for begin, length, *_ in rows for hour in range(begin, begin + length)}
    assert found["hours"].iloc[-1] == pytest.approx(len(occupied))


def test_the_next_ten_steps_are_summed_and_no_more() -> None:
    assert further_gain(2.0, [0.01] * 30) == pytest.approx(0.05)
    assert further_gain(2.0, [0.1, 0.02]) == pytest.approx(0.06)


@pytest.mark.parametrize(("now", "expected", "gain"), [(2, [], 0), (0, [], 0), (0, [0.0], 0), (0, [0.1], math.inf)])
def test_nothing_expected_is_no_gain_and_something_from_nothing_is_infinite(
    now: float, expected: list[float], gain: float
) -> None:
    assert further_gain(now, expected) == gain


@pytest.mark.parametrize(("now", "expected"), [(-1, [0.1]), (1, [-0.1]), (1, [math.nan]), (math.nan, [])])
def test_negative_and_unknown_volumes_are_refused(now: float, expected: list[float]) -> None:
    with pytest.raises(ValueError, match="0 or more"):
        further_gain(now, expected)


@pytest.mark.parametrize(("threshold", "stop"), [(0.04, False), (0.05, False), (0.06, True)])
def test_it_is_enough_when_ten_more_are_expected_to_add_less_than_the_threshold(threshold: float, stop: bool) -> None:
    assert enough(1.0, [0.005] * 10, threshold) is stop
