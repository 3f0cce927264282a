from __future__ import annotations

from harness.report.tables import Spark
from harness.terminal.arms import strip


def test_thick_is_the_interval_thin_the_corrected_one_and_a_line_is_zero() -> None:
    spark = Spark(low=50, mid=60, high=70, zero=10, outer_low=40, outer_high=80)
    assert strip(spark, 10) == " │  ─━●━─ "


def test_where_an_interval_crosses_zero_it_is_seen() -> None:
    assert strip(Spark(low=20, mid=60, high=70, zero=40), 10) == "  ━━┼━●━  "


def test_the_ends_of_the_scale_are_within_the_strip() -> None:
    assert strip(Spark(low=0, mid=0, high=100, zero=100), 5) == "●━━━┼"


def test_what_was_not_measured_has_an_empty_strip() -> None:
    assert strip(None, 5) == "     "


def test_an_unknown_interval_is_no_bar_at_all() -> None:
    assert strip(Spark(low=None, mid=60, high=None, zero=10, wide=True), 10) == " │    ●   "
