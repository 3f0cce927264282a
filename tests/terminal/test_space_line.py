"""A space in one line."""

from __future__ import annotations

import pytest

from harness.terminal.lines import space_line
from tests.terminal.consoles import SPACE


def test_the_space_is_told_in_one_line() -> None:
    assert space_line(SPACE) == (
        "space tiny: 1,234 candidates; MACs 101.0 … 120.0 … 190.0 M (base 100.0); "
        "parameters 1.81 … 2.00 … 2.60 M (base 1.80)  [min … median … max]"
    )


@pytest.mark.parametrize(
    ("feasible", "share", "said"),
    [
        (12, 0.5, "1,234 candidates, 12 within the bounds; MACs"),
        (None, 0.0312, "1,234 candidates, about 3.1 % within the bounds; MACs"),
        (None, 0.0, "1,234 candidates, hardly any within the bounds; MACs"),
    ],
)
def test_the_space_says_how_much_of_it_is_within_the_bounds(feasible: int | None, share: float, said: str) -> None:
    assert said in space_line(SPACE | {"feasible": feasible, "feasible_share": share})
