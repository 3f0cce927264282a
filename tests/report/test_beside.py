"""What was trained beside a search: placebos in its figures, its ablation's forest, the next size of its base."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli.studies import write_together
from harness.record.study import StudyRecord
from harness.report import closing
from harness.report.beside import forest_section, placebo_points, why_not
from harness.report.figures import LATENCY, MACS, Mark, with_placebos
from harness.report.interactive import plotly_figure
from harness.report.renderers import render_html, render_markdown
from harness.report.search import Beside, search_content
from tests.analysis.test_ruler import larger
from tests.report import example
from tests.report.ablated import ablation, of_search

PLACEBO = "wide-params-01234567"


def test_an_ablation_belongs_to_a_search_that_has_its_model_under_the_same_conditions() -> None:
    search = example.winning()
    assert why_not(search, of_search("3fa9c1d2")) == ""
    assert why_not(search, ablation()) == "none of its models is an architecture of the search"
    assert why_not(search, search) == "it is no ablation"


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        ("base", "yolov8n", "their bases differ"),
        ("data_fingerprint", "feed", "their data differ"),
        ("base_fingerprint", "feed", "their bases' weights differ"),
        ("imgsz", 320, "their image sizes differ"),
        ("epochs", 9, "its trainings have another number of epochs"),
        ("from_scratch", True, "one starts from random weights"),
    ],
)
def test_another_condition_is_a_reason_to_keep_it_out(setting: str, value: object, reason: str) -> None:
    found = of_search("3fa9c1d2")
    other = replace(found, settings=found.settings | {setting: value})
    assert why_not(example.winning(), other) == reason


def test_a_placebo_is_a_point_at_its_own_cost_and_gain() -> None:
    (point,) = placebo_points(example.winning(), of_search("3fa9c1d2"), MACS, 3)
    assert (point.architecture, point.mark, point.on_front) == (PLACEBO, Mark.PLACEBO, False)
    assert [point.x, point.gain] == pytest.approx([115.0, 0.0], abs=1e-9)
    assert point.low < 0 < point.high and math.isnan(point.x_low)
    assert point.notes[0] == "placebo of 3fa9c1d2: base widened to its params"


def test_a_latency_of_another_kind_of_device_is_not_drawn() -> None:
    search, other = example.winning(), of_search("3fa9c1d2")
    (point,) = placebo_points(search, other, LATENCY, 3)
    assert point.x == 1.0
    elsewhere = replace(other, settings=other.settings | {"device_kind": "NVIDIA H100"})
    assert placebo_points(search, elsewhere, LATENCY, 3) == ()


def test_a_placebo_that_was_not_trained_is_no_point() -> None:
    found = of_search("3fa9c1d2")
    without = replace(found, trials=found.trials[found.trials["architecture"] != PLACEBO])
    assert placebo_points(example.winning(), without, MACS, 3) == ()


def test_a_placebo_changes_no_front_and_no_answer() -> None:
    search = example.winning()
    alone, beside = search_content(search), search_content(search, Beside(ablations=[of_search("3fa9c1d2")]))
    assert alone.answer == beside.answer and closing(search, beside) == closing(search)
    assert list(alone.front.index) == list(beside.front.index)
    for before, after in zip(alone.figures, beside.figures, strict=True):
        assert repr([p for p in after.points if p.mark is not Mark.PLACEBO]) == repr(list(before.points))
        assert after.steps[:-1] == before.steps[:-1] and after.steps[-1][1] == before.steps[-1][1]
        assert after.steps[-1][0] == after.x_range[1]


def test_a_placebo_far_off_is_in_the_picture() -> None:
    figure = search_content(example.winning()).figures[1]
    (point,) = placebo_points(example.winning(), of_search("3fa9c1d2"), MACS, 3)
    wide = with_placebos(figure, [replace(point, x=400.0)])
    assert wide.x_range[1] > 400 > figure.x_range[1]
    marks = {trace["meta"]["role"]: trace for trace in plotly_figure(wide)["data"] if "meta" in trace}
    assert marks["placebo"]["x"] == [400.0] and marks["placebo"]["opacity"] == 1.0


def test_the_forest_is_a_section_whose_model_is_linked_with_the_searchs_architecture() -> None:
    section = forest_section(example.winning(), of_search("3fa9c1d2"))
    gains, worths = section.tables
    assert [table.key for table in (gains, worths)] == ["ablation-gains", "ablation-worths"]
    linked = {row.architecture: row.cells[0] for row in gains.rows if row.architecture}
    assert list(linked) == ["3fa9c1d2"]
    assert linked["3fa9c1d2"].details == ("model", "architecture 3fa9c1d2")
    assert not any(row.architecture for row in worths.rows)
    assert "takes apart 3fa9c1d2 (yolov5n-clo-head)" in section.sentences[0]


def test_rows_of_models_that_the_search_has_not_are_left_to_the_ablations_own_report() -> None:
    found = of_search("3fa9c1d2")
    assert found.ablation is not None
    arms = found.ablation.to_dict()["arms"]
    other = {**arms[1], "identity": "eeeeeeee", "name": "other", "model": "other"}
    both = replace(found, ablation=found.ablation | {"arms": [*arms, other]})
    section = forest_section(example.winning(), both)
    assert "other" not in [row.cells[0].text for row in section.tables[0].rows]
    assert len(section.tables[0].rows) == 4 and "Rows of 1 other model are" in " ".join(section.sentences)


def test_a_placebo_without_latency_is_said_to_have_none() -> None:
    found = of_search("3fa9c1d2")
    bare = replace(found, trials=found.trials.assign(latency_ratio=math.nan))
    said = " ".join(forest_section(example.winning(), bare).sentences)
    assert "in the figure of MACs alone" in said
    assert "in the figure of MACs alone" not in " ".join(forest_section(example.winning(), found).sentences)


def test_page_and_markdown_have_placebo_and_forest() -> None:
    said = search_content(example.winning(), Beside(ablations=[of_search("3fa9c1d2")]))
    page, text = render_html(said.page), render_markdown(said.page)
    assert 'id="ablation-ablation"' in page and "placebo: the base, widened" in page
    assert page.count('data-architecture="3fa9c1d2"') == 4  # two tables, the card and the forest
    assert "## The block, or its size? Ablation ablation" in text
    assert "placebo: the base, widened" not in render_html(search_content(example.winning()).page)


def test_a_search_with_its_ablation_is_one_report_and_with_anothers_side_by_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def side_by_side(*records: StudyRecord) -> None:
        found = [(record, tmp_path / record.name) for record in records]
        write_together(found, tmp_path / "+".join(record.name for record in records), as_json=False)

    side_by_side(example.winning(), of_search("3fa9c1d2"))
    page = (tmp_path / "demo+ablation" / "report.html").read_text(encoding="utf-8")
    assert "Take 77e0b1aa: " in page and "The block, or its size?" in page
    assert "not in its report" not in capsys.readouterr().out
    side_by_side(example.winning(), ablation(name="other"))
    page = (tmp_path / "demo+other" / "report.html").read_text(encoding="utf-8")
    assert "2 studies side by side." in page
    assert "not in its report: none of its models is an architecture of the search." in capsys.readouterr().out


def test_a_hostile_ablation_is_text_in_the_searchs_page() -> None:
    name = '<script>alert(1)</script>[x](javascript:1)"'
    page = render_html(search_content(example.winning(), Beside(ablations=[of_search("3fa9c1d2", name=name)])).page)
    assert "<script>alert" not in page and "alert(1)" in page


def test_the_next_size_stands_beside_the_pick_with_its_cost() -> None:
    said = search_content(example.winning(), Beside(larger=larger({1: 0.541, 2: 0.528, 3: 0.545}, params=6.6e6)))
    section = said.page["ruler"]
    pick, size = section.tables[0].rows
    assert [cell.text for cell in pick.cells][:1] == ["77e0b1aa"]
    assert [cell.text for cell in size.cells] == ["yolov5s", "+0.040", "1.90×", "+260.0 %", "+266.7 %"]
    assert pick.cells[0].details[-1] == size.cells[0].details[-1] == "after 3 epochs"
    assert "yolov5s gains +0.040" in section.sentences[0] and "77e0b1aa gains +0.011" in section.sentences[0]
    assert "## Against the next size of the family" in render_markdown(said.page)


def test_a_larger_base_that_was_not_trained_alike_is_no_scale() -> None:
    other = larger({1: 0.541, 2: 0.528})
    other = replace(other, settings=other.settings | {"batch": 64})
    page = search_content(example.winning(), Beside(larger=other)).page
    assert "ruler" not in {section.key for section in page.sections}
