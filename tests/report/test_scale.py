"""What a pick is held against, as sections of a search's report."""

from __future__ import annotations

from dataclasses import replace

from harness.report.renderers import render_markdown
from harness.report.search import Beside, search_content
from tests.analysis.test_ruler import larger
from tests.report import example


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
