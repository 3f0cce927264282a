"""A time is a number with at most one unit, and more than none."""

from __future__ import annotations

import pytest

from harness.common.duration import parse_duration


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), (" 1.5 m ", 90), ("2h", 7200)])
def test_a_time_is_read_in_its_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0 h", "-1", "1d", "1h30m", "h", "nan", "9" * 400])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a time"):
        parse_duration(text)
