from __future__ import annotations

import math

import pandas as pd

from harness.analysis.fronts import broken, within
from harness.record.constraints import UNBOUNDED, Constraints

ROWS = pd.DataFrame(
    {
        "params": [2.0e6, 2.1e6, 1.9e6, math.nan],
        "macs": [1e8, 1e8, 2e8, 1e8],
        "latency_ratio": [1.2, 1.0, 1.3, math.nan],
        "map50_95": [0.40, 0.39, 0.30, math.nan],
    },
    index=["edge", "b", "c", "failed"],
)


def test_each_bound_marks_what_is_beyond_it() -> None:
    marks = broken(ROWS, Constraints(max_params=2e6, max_latency_ratio=1.2, min_map50_95=0.4))
    assert marks.to_dict("list") == {
        "max_params": [False, True, False, False],
        "max_latency_ratio": [False, False, True, False],
        "min_map50_95": [False, True, True, False],
    }
    assert list(marks.index) == list(ROWS.index)


def test_within_is_to_break_none() -> None:
    assert within(ROWS, Constraints(max_macs=1.5e8, max_params=2e6)).to_dict() == {
        "edge": True, "b": False, "c": False, "failed": True,
    }  # fmt: skip
    assert within(ROWS, UNBOUNDED).all()
    assert within(ROWS[:0], Constraints(max_macs=1.0)).empty
