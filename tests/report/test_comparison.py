from __future__ import annotations

import dataclasses
import re

import pandas as pd

from harness.analysis.statistics import summarise
from harness.record.study import StudyRecord
from harness.report.comparison import FACTS, MOST, Comparison, Ties, difference, ties_on
from harness.report.interactive import plotly_figure
from harness.report.renderers import page_data
from harness.report.search import search_content
from tests.report import example

BASE = ["# baseline: unmodified base", "nc: 10", "backbone:", "  - a", "  - b", "head:", "  - c"]
CHANGED = ["# 1a2b: block", "nc: 10", "backbone:", "  - a", "  - CloBlock", "  - b", "head:", "  - d"]


def compared() -> Comparison:
    record = example.winning()
    yamls = record.model_yamls | {"baseline": "\n".join(BASE), "3fa9c1d2": "\n".join(CHANGED)}
    (found,) = search_content(dataclasses.replace(record, model_yamls=yamls)).page.drawn(Comparison)
    return found


def test_the_difference_has_added_and_removed_lines_and_no_comments() -> None:
    found = difference(BASE, CHANGED)
    assert [line for line in found if line[0] in "+-"] == ["+  - CloBlock", "-  - c", "+  - d"]
    assert not any("#" in line for line in found)
    assert difference(BASE, BASE) == () == difference([], CHANGED) == difference(BASE, [])


def test_the_difference_applied_to_the_base_gives_the_model() -> None:
    kept = [line[1:] for line in difference(BASE, CHANGED) if line[0] in "+ "]
    assert [line for line in CHANGED[1:] if line in kept] == kept


def test_every_measured_architecture_can_be_compared_and_a_failed_one_cannot() -> None:
    found = compared()
    assert "f0f1f2f3" not in found.entries
    assert len(found.entries) == 12 and next(iter(found.entries)) == "baseline"
    assert all(len(entry.facts) == len(FACTS) for entry in found.entries.values())


def test_an_entry_says_each_number_with_its_interval() -> None:
    entry = compared().entries["3fa9c1d2"]
    facts = dict(zip(FACTS, entry.facts, strict=True))
    assert facts["Verdict"] == "gain"
    assert compared().entries["77e0b1aa"].facts[0] == "gain; the pick"
    assert re.fullmatch(r"\+0\.014 \[.*\] mAP50-95 \(interval adjusted for 3 comparisons\)", facts["Gain"])
    assert facts["Latency"] == "1.21× [1.19, 1.23] the baseline's"
    assert facts["MACs"] == "108 M (+8.0 %)"
    assert facts["Tied with"] == "77e0b1aa"
    assert [block.site for block in entry.blocks] == ["neck.P3"]


def test_the_pick_comes_first_and_the_baseline_never() -> None:
    chosen = compared().chosen
    assert chosen[:2] == ("77e0b1aa", "3fa9c1d2")
    assert "baseline" not in chosen and len(chosen) <= MOST
    (none,) = search_content(example.none_gains()).page.drawn(Comparison)
    assert none.chosen  # the largest gains, though none is on a front
    alone = search_content(example.record(example.frame(example.baseline(0))))
    assert alone.page.drawn(Comparison) == []


def test_the_pages_data_hold_the_same_texts() -> None:
    page = search_content(example.winning()).page
    data, (found,) = page_data(page), page.drawn(Comparison)
    texts = data["texts"]
    for name, entry in found.entries.items():
        kind, facts, latency, macs, blocks, lines = data["entries"][name]
        assert texts[kind] == entry.kind
        assert tuple(texts[at] for at in facts) == entry.facts
        assert (latency, macs) == (round(entry.latency_ratio, 2), round(entry.macs_ratio, 3))
        assert [texts[block[3]] for block in blocks] == [block.text for block in entry.blocks]
        assert tuple(texts[at] for at in lines) == entry.difference
    assert data["budgets"]["latency"]["steps"][0][0] is None  # minus infinity


def test_commands_hold_for_every_architecture() -> None:
    found = compared()
    typed = {name: text.replace(found.token, "3fa9c1d2") for name, text in found.commands}
    assert typed["Export"] == "clo export demo 3fa9c1d2"
    assert "demo/3fa9c1d2 --study demo-3fa9c1d2" in typed["Measure again, beside the baseline"]


def ties(record: StudyRecord, names: list[str]) -> Ties:
    return ties_on(summarise(record.trials).loc[names], record.trials)


def test_two_that_the_noise_does_not_tell_apart_share_a_letter() -> None:
    found = ties(example.winning(), ["baseline", "3fa9c1d2", "77e0b1aa", "09ab33f1"])
    assert found.letters == {"3fa9c1d2": ("a",), "77e0b1aa": ("a",)}  # neither the baseline nor one of a single seed
    assert found.tied == {"3fa9c1d2": ("77e0b1aa",), "77e0b1aa": ("3fa9c1d2",)}


def test_who_is_told_from_all_has_no_letter() -> None:
    found = ties(example.winning(), ["77e0b1aa", "c41d9e02"])
    assert found == Ties() == ties(example.winning(), ["77e0b1aa"]) == Ties()


def test_gains_after_different_numbers_of_epochs_are_never_tied() -> None:
    record = example.winning()
    trials = record.trials
    long = trials.loc[trials["architecture"].isin(["baseline", "3fa9c1d2"])].assign(epochs=12)
    both = dataclasses.replace(record, trials=pd.concat([trials, long], ignore_index=True))
    assert ties(both, ["3fa9c1d2", "77e0b1aa"]) == Ties()


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
