from __future__ import annotations

from harness.analysis.statistics import summarise
from harness.record.study import StudyRecord
from harness.report.comparison import Ties, ties_on
from harness.report.interactive import plotly_figure
from harness.report.search import search_content
from tests.report import example


def ties(record: StudyRecord, names: list[str]) -> Ties:
    return ties_on(summarise(record.trials).loc[names], record.trials)


def test_two_that_the_noise_does_not_tell_apart_share_a_letter() -> None:
    found = ties(example.winning(), ["baseline", "3fa9c1d2", "77e0b1aa", "09ab33f1"])
    assert found.letters == {"3fa9c1d2": ("a",), "77e0b1aa": ("a",)}  # neither the baseline nor one of a single seed
    assert found.tied == {"3fa9c1d2": ("77e0b1aa",), "77e0b1aa": ("3fa9c1d2",)}
    assert found.said.startswith("2 of the 2 judged candidates on the fronts are tied")


def test_who_is_told_from_all_has_no_letter() -> None:
    found = ties(example.winning(), ["77e0b1aa", "c41d9e02"])
    assert found.letters == {}
    assert found.said == "The noise tells all 2 judged candidates on the fronts from each other."
    assert ties(example.winning(), ["77e0b1aa"]) == Ties()


def test_ties_are_in_the_table_the_hover_text_and_as_one_ring() -> None:
    said = search_content(example.winning())
    rows = {row.architecture: row for key in ("front", "all") for table in said.page[key].tables for row in table.rows}
    assert "tied: a" in rows["3fa9c1d2"].cells[1].details
    assert not any("tied" in detail for detail in rows["baseline"].cells[1].details)
    point = next(p for p in said.figures[0].points if p.architecture == "77e0b1aa")
    assert point.ties == ("a",) and point.notes[-1] == "not told from 3fa9c1d2"
    (ring,) = [t for t in plotly_figure(said.figures[0])["data"] if t.get("meta", {}).get("role") == "tie"]
    assert sorted(ring["x"]) == [1.06, 1.21]


def test_the_pick_is_named_in_the_tables_and_the_figures() -> None:
    said = search_content(example.winning())
    rows = {row.architecture: row for row in said.page["all"].tables[0].rows}
    assert [name for name, row in rows.items() if "the pick" in row.cells[1].details] == ["77e0b1aa"]
    for figure in said.figures:
        texts = [text for trace in plotly_figure(figure)["data"] for text in trace.get("text", [])]
        assert "77e0b1aa (a): the pick" in texts
    none = search_content(example.none_gains())
    assert not any("the pick" in row.cells[1].details for row in none.page["all"].tables[0].rows)
    assert all(figure.pick == "" for figure in none.figures)
