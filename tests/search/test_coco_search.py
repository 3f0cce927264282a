"""A search on COCO's own files: what was repaired in them is said and kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from tests.coco_data import write_coco

if TYPE_CHECKING:
    from tests.search.conftest import Clo

pytestmark = pytest.mark.slow


def test_a_search_says_and_keeps_what_was_repaired(tmp_path: Path, clo: Clo, small_search: tuple[str, ...]) -> None:
    write_coco(tmp_path / "coco", train=8, val=8)
    given = (
        "--data", "coco/annotations/instances_train2017.json", "--trials", "1", "--seeds", "1", "--finalists", "0",
        "--from-scratch", "--objectives", "map50_95,macs",
    )  # fmt: skip
    done = clo((*small_search, *given), tmp_path)
    assert done.returncode == 0, done.stderr
    repair = "instances_train2017.json: 1 box out of the image, clipped in the labels (first: annotation 19)."
    assert f"data: {repair}" in done.stderr
    folder = tmp_path / "results" / "x"
    assert json.loads((folder / "environment.json").read_text())["data_repairs"][0] == repair
    for report in ("report.md", "report.html"):
        assert "1 box out of the image, clipped in the labels" in (folder / report).read_text()
    evaluators = pd.read_csv(folder / "trials.csv").evaluator
    assert evaluators.str.fullmatch(r"COCOeval \(faster-coco-eval .*, COCO annotations").all()
