from __future__ import annotations

import pytest

from harness.terminal.findings import sparkline


@pytest.mark.parametrize(
    ("values", "width", "shown"),
    [
        ([], 8, ""),
        ([1.0], 8, "▁"),
        ([2.0, 2.0, 2.0], 8, "▁▁▁"),
        ([0, 1, 2, 3, 4, 5, 6, 7], 8, "▁▂▃▄▅▆▇█"),
        ([0.0, 0.5, 1.0], 8, "▁▅█"),  # half of seven steps is rounded to the even one
        ([0, 1, 2, 3, 4, 5, 6, 7], 4, "▁▃▆█"),  # 1, 3, 5, 7: the last of each pair
        ([3.0], 0, ""),
    ],
)
def test_the_lowest_is_the_lowest_block_and_the_last_value_is_always_shown(
    values: list[float], width: int, shown: str
) -> None:
    assert sparkline(values, width) == shown


def test_no_line_is_longer_than_asked_for() -> None:
    assert all(len(sparkline(list(range(count)), 24)) == min(count, 24) for count in range(1, 200))
