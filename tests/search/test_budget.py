"""The first reading chooses who is measured again, and later readings do not change that choice."""

from __future__ import annotations

import pandas as pd

from harness.constraints import Constraints
from harness.search.budget import finalists

ROWS = pd.DataFrame(
    [
        # architecture, seed, state, gain, ratio
        ("baseline", 0, "complete", 0.000, 1.0),
        ("a", 0, "complete", 0.003, 1.2),
        ("b", 0, "complete", 0.007, 1.3),
        ("c", 0, "failed", float("nan"), float("nan")),
        ("d", 0, "complete", 0.003, 1.1),
        ("e", 0, "complete", -0.010, 1.05),
        ("e", 1, "complete", 0.500, 1.05),
    ],
    columns=["architecture", "seed", "state", "gain_map50_95", "latency_ratio"],
)


def test_the_best_first_readings_win_and_ties_go_to_the_faster() -> None:
    assert finalists(ROWS, seed=0, count=3) == ["b", "d", "a"]


def test_later_seeds_and_failures_do_not_choose() -> None:
    assert finalists(ROWS, seed=0, count=10) == ["b", "d", "a", "e"]
    assert finalists(ROWS, seed=0, count=0) == []


def test_who_is_beyond_a_bound_is_no_finalist() -> None:
    assert finalists(ROWS, seed=0, count=3, constraints=Constraints(max_latency_ratio=1.2)) == ["d", "a", "e"]
