"""What matters: the findings in words, on choices whose effects are known."""

from __future__ import annotations

import dataclasses

from harness.record.study import Choices
from harness.report.choices import EFFECTS_SHOWN, what_matters
from harness.report.renderers import render_html, render_markdown
from harness.report.search import search_content
from harness.report.tables import Row, Table
from tests.report import example


def rows(table: Table) -> dict[str, Row]:
    return {row.cells[0].text: row for row in table.rows}


def test_too_few_architectures_are_one_sentence_with_how_many_it_takes() -> None:
    found = what_matters(example.choices(19), 3)
    (said,) = found.said
    assert "19 architectures" in said and "it takes 20" in said
    assert found.tables == () and found.effects.empty and found.importances.empty
    assert "0 architectures" in what_matters(Choices(), 3).said[0]


def test_the_largest_significant_effect_is_said_with_its_unit_interval_and_numbers() -> None:
    accuracy, latency, *_ = what_matters(example.choices(40), 3).said
    assert accuracy.startswith("mAP50-95: 2 of 4 choices make a difference at 95 % confidence")
    assert "+0.020 mAP50-95 [+0.0" in accuracy or "−0.020 mAP50-95 [−0.0" in accuracy
    assert "20 architectures with it and 20 without" in accuracy
    assert "2.000 ms [" in latency


def test_significant_choices_are_marked_by_the_side_that_is_better() -> None:
    _, accuracy, latency = what_matters(example.choices(40), 3).tables
    block = {table.key: rows(table)["neck.P4 block"] for table in (accuracy, latency)}
    assert block["effects-map50_95"].kind == "gain" and block["effects-map50_95"].cells[1].text == "better"
    assert block["effects-latency"].kind == "loss" and block["effects-latency"].cells[1].text == "worse"
    kernel = rows(accuracy)["neck.P4 kernel 3"]
    assert kernel.kind == "undecided" and kernel.cells[3].text == "10 / 10"
    assert "no block at neck.P4" in rows(accuracy)


def test_importance_has_a_column_for_each_objective_and_method_and_a_dash_where_it_was_not_asked() -> None:
    choices = example.choices(40)
    # A second site that does nothing, so that fANOVA has something to compare.
    chosen = choices.chosen.assign(**{"neck.P5:kind": ["none", "none", "block", "block"] * 10})
    levels = {**choices.levels, "neck.P5:kind": ("none", "block")}
    table = what_matters(dataclasses.replace(choices, chosen=chosen, levels=levels), 3).tables[0]
    assert [column.name for column in table.columns] == ["Choice", "mAP50-95", "mAP50-95", "latency", "latency"]
    cells = rows(table)["neck.P4 kind"].cells
    assert cells[1].text.startswith("100 ±") or (cells[1].sort or 0) > 0.95
    assert rows(table)["neck.P4 kernel"].cells[1].text == "—"


def test_counts_of_macs_have_a_prefix_and_a_sign() -> None:
    choices = example.choices(40, ("map50_95", "macs"))
    scaled = dataclasses.replace(choices, outcomes=choices.outcomes.assign(macs=choices.outcomes["macs"] * 1e6))
    table = what_matters(scaled, 3).tables[-1]
    assert rows(table)["neck.P4 block"].cells[2].text == "+2 M"
    assert rows(table)["no block at neck.P4"].cells[2].text == "−2 M"


def test_without_any_effect_none_is_claimed() -> None:
    choices = example.choices(40)
    flat = choices.outcomes.assign(map50_95=[(number * 13 % 17) / 1000 for number in range(40)])
    said = what_matters(dataclasses.replace(choices, outcomes=flat), 3).said[0]
    assert said.startswith("mAP50-95: none of 4 choices makes a difference that 40 architectures show")


def test_tables_are_bounded_and_say_of_how_many() -> None:
    choices = example.choices(60)
    more = {f"neck.P5:c{number}": [(at + number) % 3 for at in range(60)] for number in range(10)}
    levels = {**choices.levels, **dict.fromkeys(more, (0, 1, 2))}
    wide = dataclasses.replace(choices, chosen=choices.chosen.assign(**more), levels=levels)
    table = what_matters(wide, 3).tables[1]
    assert len(table.rows) == EFFECTS_SHOWN
    assert table.caption.endswith(f"{EFFECTS_SHOWN} of 34")


def test_both_reports_have_the_sections() -> None:
    said = search_content(dataclasses.replace(example.winning(), choices=example.choices(40)))
    page, text = render_html(said.page), render_markdown(said.page)
    assert ">What matters</h2>" in page
    assert text.index("## All architectures") < text.index("## What matters\n") < text.index("## How it was measured")
    assert "no block at neck.P4" in page and "no block at neck.P4" in text
