"""The notebook of the docs draws the front that the report draws, from one table, with pandas and matplotlib alone."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba

from harness.analysis.statistics import summarise
from harness.record.study import StudyRecord
from harness.record.tables import read_study
from harness.report import write_report
from tests.report import example

DOCS = Path(__file__).parents[1] / "docs"
STUDY = "../results/reference/default/"


def cells() -> list[str]:
    book = json.loads((DOCS / "front.ipynb").read_text(encoding="utf-8"))
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    return ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]


def drawn(code: str) -> dict[str, tuple[set[tuple[float, float]], set[tuple[float, float]]]]:
    """Of each axis, by its cost, all points and those marked as beaten by nothing."""
    names: dict[str, Any] = {}
    exec(code, names)
    found = {}
    for axis in names["figure"].axes:
        (points,) = [each for each in axis.collections if isinstance(each, PathCollection)]
        places = [(float(x), round(float(y), 9)) for x, y in np.asarray(points.get_offsets())]
        blue = [tuple(color) == to_rgba("C0") for color in np.asarray(points.get_facecolor())]
        found[axis.get_xlabel()] = set(places), {place for place, on in zip(places, blue, strict=True) if on}
    return found


def expected(record: StudyRecord, cost: str, names: pd.Index[str] | None = None) -> set[tuple[float, float]]:
    rows = summarise(record.trials).dropna(subset=["gain_map50_95", cost])
    rows = rows if names is None else rows.loc[names]
    return {(float(x), round(float(y), 9)) for x, y in zip(rows[cost], rows["gain_map50_95"], strict=True)}


def test_it_is_one_cell_that_needs_nothing_of_ours() -> None:
    (code,) = cells()
    assert len(code.splitlines()) <= 13
    imported = [name.name for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import) for name in node.names]
    assert imported == ["matplotlib.pyplot", "pandas"] and "from " not in code


@pytest.mark.parametrize("folder", ["reference", "winning"])
def test_its_points_and_its_front_are_the_reports(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DOCS)
    (code,) = cells()
    record, study = read_study(DOCS / STUDY), DOCS / STUDY
    if folder == "winning":
        record, study = example.winning(), tmp_path
        write_report(record, study)
        code = code.replace(STUDY, f"{study.as_posix()}/")
    found, front = drawn(code), pd.read_csv(study / "front.csv", index_col="architecture")
    assert list(found) == ["latency_ratio", "macs"]
    for cost, flag in (("latency_ratio", "front_latency"), ("macs", "front_macs")):
        points, best = found[cost]
        assert points == expected(record, cost)
        assert best == expected(record, cost, front.index[front[flag]])
