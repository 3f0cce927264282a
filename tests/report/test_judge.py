"""The page of a verdict, from the committed studies of photographs."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli.rendering import Kind, find_all, kind_of, render
from harness.common.errors import UserError
from harness.judge.verdict import KEPT, Judged, Verdict, judged, read_judged
from harness.report import words
from harness.report.judge import VERDICT, card, verdict_json, verdict_page, write_verdict

FOLDER = Path(__file__).parents[2] / "results" / "reference" / "bccd" / "judge-clo"


@pytest.fixture(scope="module")
def found() -> Judged:
    return read_judged(FOLDER / VERDICT)


def test_each_comparison_has_one_interval_wherever_it_stands(found: Judged) -> None:
    page, said = verdict_page(found), verdict_json(found)
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
    path = write_verdict(nothing, tmp_path)
    assert "undecided" in path.read_text(encoding="utf-8")
    assert json.loads((path.parent / "card.json").read_text(encoding="utf-8"))["architecture"] is None


def test_a_verdict_is_rendered_again_from_what_lies_in_the_folders(found: Judged, tmp_path: Path) -> None:
    for name in ("judge-clo", "judge-clo-confirm"):
        shutil.copytree(FOLDER.parent / name, tmp_path / name, ignore=shutil.ignore_patterns("report.*"))
    folder = tmp_path / "judge-clo" / VERDICT
    assert kind_of(folder) is Kind.VERDICT and folder in find_all(tmp_path)
    page = render(folder)
    assert page == folder / "report.html" and read_judged(folder).spent == found.spent == pytest.approx(0.96, abs=0.01)
    for name in ("card.json", KEPT, "report.md"):
        assert (folder / name).read_text(encoding="utf-8") == (FOLDER / VERDICT / name).read_text(encoding="utf-8")
    assert render(folder, tmp_path / "elsewhere").is_file()
    kept = json.loads((folder / KEPT).read_text(encoding="utf-8"))
    wrongs: list[object] = [
        {"block": "clo"},
        {**kept, "hours": "many"},
        {**kept, "more": 1},
        [],
        {**kept, "option": {}},
    ]
    for wrong in wrongs:
        (folder / KEPT).write_text(json.dumps(wrong))
        with pytest.raises(UserError, match=r"judged\.json: is not as clo-nas writes it \([^\n]*\)$"):
            render(folder)
    (folder / KEPT).write_text(json.dumps({**kept, "architecture": "nobody"}))
    with pytest.raises(UserError, match=r"architecture nobody is not one of study judge-clo$"):
        render(folder)
