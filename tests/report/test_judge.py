"""The page of a verdict, from the committed studies of photographs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.judge.plan import Option
from harness.judge.verdict import Judged, Verdict, judged
from harness.record.surroundings import Control
from harness.record.tables import read_study
from harness.report import words
from harness.report.judge import card, verdict_json, verdict_page, write_verdict

FOLDER = Path(__file__).parents[2] / "results" / "reference" / "bccd"
OPTION = Option(
    steps=481, epochs=13, seeds=7, candidates=3, finalists=2, trainings=22, hours=0.4, detectable_gain=0.004
)


@pytest.fixture(scope="module")
def found() -> Judged:
    search, confirm = (read_study(FOLDER / name) for name in ("judge-clo", "judge-clo-confirm"))
    return Judged(
        block="clo", hours=1, spent=0.96, option=OPTION, record=search, architecture="62eaf951", confirm=confirm,
        finding=judged(confirm, "62eaf951", 0.005), control=Control(), notes=("a note",),
    )  # fmt: skip


def test_each_comparison_has_one_interval_wherever_it_stands(found: Judged) -> None:
    page, said = verdict_page(found, "clo judge"), verdict_json(found)
    assert said["verdict"] == Verdict.UNDECIDED
    rows = [*found.finding.rows.itertuples()]
    assert len(page.tiles) == len(rows) == 3
    (table,) = page["compared"].tables
    for tile, drawn, row in zip(page.tiles, table.rows, rows, strict=True):
        interval = words.interval(row.low_corrected, row.high_corrected, 4, sign=True)  # type: ignore[arg-type]
        assert tile.detail.startswith(interval)
        shown = words.interval(row.low_corrected, row.high_corrected, 3, sign=True)  # type: ignore[arg-type]
        assert drawn.cells[2].details[1] == shown
    assert page.lead.count("[") == 1 and page.tiles[0].detail.split(", mAP")[0] in page.lead


def test_the_card_is_of_data_seeds_and_versions_and_of_nothing_else(found: Judged) -> None:
    assert card(found)["id"] == card(replace(found, spent=2.0, notes=()))["id"]
    versions = card(found)["versions"]
    assert isinstance(versions, dict) and {"clo-nas", "commit", "torch", "ultralytics"} <= set(versions)
    others = replace(found, confirm=None)
    assert card(found)["id"] != card(others)["id"]


def test_a_verdict_without_a_comparison_is_a_page_too(found: Judged, tmp_path: Path) -> None:
    nothing = replace(found, confirm=None, architecture=None, finding=judged(None, None, 0.005))
    path = write_verdict(nothing, tmp_path, "clo judge")
    assert "undecided" in path.read_text(encoding="utf-8")
    assert json.loads((path.parent / "card.json").read_text(encoding="utf-8"))["architecture"] is None
