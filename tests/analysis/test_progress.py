"""When going on no longer pays."""

from __future__ import annotations

import math

import pytest

from harness.analysis.progress import enough, further_gain


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
