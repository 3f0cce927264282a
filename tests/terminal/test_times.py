"""Times as people read them."""

from __future__ import annotations

import pytest

from harness.terminal.expected_end import expected, seconds


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0:00"), (59.9, "0:59"), (60, "1:00"), (187, "3:07"), (6000, "100:00")]
)
def test_times_are_minutes_and_seconds(value: float, shown: str) -> None:
    assert seconds(value) == shown


@pytest.mark.parametrize(
    ("left", "shown"),
    [
        (1920.0, "about 32 min left, ends 14:32"),
        (5.0, "about 1 min left, ends 14:00"),
        (7800.0, "about 2 h 10 min left, ends 16:10"),
        (10 * 3600.0, "about 10 h 0 min left, ends Fri 00:00"),
    ],
)
def test_the_end_is_told_by_the_clock_on_the_wall(clock: list[float], left: float, shown: str) -> None:
    assert expected(left) == shown
