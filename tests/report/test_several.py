from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.common.errors import UserError
from harness.report.several import several_page, write_several
from tests.report.ablated import ablation
from tests.report.example import winning


def test_each_study_keeps_its_own_answer_and_front(tmp_path: Path) -> None:
    page = several_page([winning(), ablation()])
    assert page.headline == "2 studies side by side."
    search, parts = page.sections[1:]
    assert "beat the baseline" in search.note and "yolov5n-clo-head beats the baseline on these images." in parts.note
    assert {table.key for section in (search, parts) for table in section.tables} == {"demo-front", "ablation-gains"}


def test_what_may_not_be_compared_is_said() -> None:
    one = winning()
    other = replace(one, name="other", settings=one.settings | {"base": "yolov8n", "device_kind": "NVIDIA H100"})
    assert several_page([one, other]).lead.startswith(
        "Their figures are not to be compared with each other: their bases differ, and they ran on different kinds of"
    )
    assert several_page([one, replace(one, name="twin")]).lead.startswith("All have one base, data set")


def test_a_study_twice_is_one_sentence() -> None:
    with pytest.raises(UserError, match="study demo: given 2 times; name each study once"):
        several_page([winning(), winning()])


def test_the_page_has_its_pictures_and_asks_for_nothing(tmp_path: Path) -> None:
    html = write_several([winning(), ablation()], tmp_path).read_text(encoding="utf-8")
    assert html.count("data:image/png;base64,") == 2
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", html)
    assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "](demo.png)" in text and "](ablation.png)" in text


def test_a_hostile_device_is_text() -> None:
    made = winning()
    record = replace(made, environment=made.environment | {"device": "<img src=x onerror=alert(1)>"})
    from harness.report.renderers import render_html

    assert "<img src=x" not in render_html(several_page([record, ablation()]))


def test_a_device_as_a_study_keeps_it_is_named_and_not_printed_as_data() -> None:
    made, found = winning(), {"asked": "cpu", "name": "cpu", "threads": 2}
    record = replace(made, environment=made.environment | {"device": found, "cpu": {"model": "Example CPU"}})
    cells = several_page([record, ablation()]).sections[0].tables[0].rows[0].cells
    assert cells[4].text == "Example CPU, 2 threads"


def test_settings_that_differ_stand_side_by_side_and_no_others() -> None:
    one = winning()
    other = replace(one, name="longer", settings=one.settings | {"epochs": 9, "batch": 8})
    overview, differing = several_page([one, other])["studies"].tables
    assert overview.key == "studies"
    assert [column.name for column in differing.columns] == ["Setting", "demo", "longer"]
    assert {tuple(cell.text for cell in row.cells) for row in differing.rows} == {
        ("epochs", "3", "9"),
        ("batch", "32", "8"),
    }
    same = replace(one, name="again")
    assert len(several_page([one, same])["studies"].tables) == 1
