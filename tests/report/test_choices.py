"""Choices: which ones matter, in words, and every architecture as a line that crosses each axis where its choice is."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest

from harness.architecture import BASELINE, Architecture, LocalGroup, Placement
from harness.record.study import Choices, StudyRecord
from harness.report.choices import (
    EFFECTS_SHOWN,
    MOST_LINES,
    Parallel,
    parallel_coordinates,
    plotly_parallel,
    what_matters,
)
from harness.report.renderers import json_for_page, render_html, render_markdown
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
    table = what_matters(replace(choices, chosen=chosen, levels=levels), 3).tables[0]
    assert [column.name for column in table.columns] == ["Choice", "mAP50-95", "mAP50-95", "latency", "latency"]
    cells = rows(table)["neck.P4 kind"].cells
    assert cells[1].text.startswith("100 ±") or (cells[1].sort or 0) > 0.95
    assert rows(table)["neck.P4 kernel"].cells[1].text == "—"


def test_counts_of_macs_have_a_prefix_and_a_sign() -> None:
    choices = example.choices(40, ("map50_95", "macs"))
    scaled = replace(choices, outcomes=choices.outcomes.assign(macs=choices.outcomes["macs"] * 1e6))
    table = what_matters(scaled, 3).tables[-1]
    assert rows(table)["neck.P4 block"].cells[2].text == "+2 M"
    assert rows(table)["no block at neck.P4"].cells[2].text == "−2 M"


def test_without_any_effect_none_is_claimed() -> None:
    choices = example.choices(40)
    flat = choices.outcomes.assign(map50_95=[(number * 13 % 17) / 1000 for number in range(40)])
    said = what_matters(replace(choices, outcomes=flat), 3).said[0]
    assert said.startswith("mAP50-95: none of 4 choices makes a difference that 40 architectures show")


def test_tables_are_bounded_and_say_of_how_many() -> None:
    choices = example.choices(60)
    more = {f"neck.P5:c{number}": [(at + number) % 3 for at in range(60)] for number in range(10)}
    levels = {**choices.levels, **dict.fromkeys(more, (0, 1, 2))}
    wide = replace(choices, chosen=choices.chosen.assign(**more), levels=levels)
    table = what_matters(wide, 3).tables[1]
    assert len(table.rows) == EFFECTS_SHOWN
    assert table.caption.endswith(f"{EFFECTS_SHOWN} of 34")


def test_both_reports_have_the_sections() -> None:
    said = search_content(replace(example.winning(), choices=example.choices(40)))
    page, text = render_html(said.page), render_markdown(said.page)
    assert ">What matters</h2>" in page
    assert text.index("## All architectures") < text.index("## What matters\n") < text.index("## How it was measured")
    assert "no block at neck.P4" in page and "no block at neck.P4" in text


def drawn(record: StudyRecord) -> Parallel:
    (found,) = search_content(record).page.drawn(Parallel)
    return found


def placed(site: str, kernel: int, **values: object) -> Architecture:
    values = {"global_heads": 2, "kv_pool": 2} | values
    placement = Placement(site=site, groups=(LocalGroup(kernel, 2),), **values)  # type: ignore[arg-type]
    return Architecture(base="yolov5n", placements=(placement,))


def study(architectures: dict[str, Architecture], gains: dict[str, float]) -> StudyRecord:
    trials = example.frame(example.baseline(0), *(example.candidate(name, [gain]) for name, gain in gains.items()))
    base = {BASELINE: Architecture(base="yolov5n")}
    return replace(example.record(trials), architectures=base | architectures)


def test_axes_are_the_choices_that_differ_and_the_last_height_is_the_gain() -> None:
    models = {"aa": placed("neck.P3", 3), "bb": placed("neck.P3", 7), "cc": placed("neck.P4", 7)}
    found = drawn(study(models, {"aa": 0.02, "bb": 0.01, "cc": -0.02}))
    assert [(axis.title, axis.levels) for axis in found.axes] == [
        ("neck.P3", ("–", "block")),
        ("neck.P4", ("–", "block")),
        ("local kernel, px", ("3", "7")),  # all have the same heads and pool
    ]
    heights = {line.architecture: line.heights for line in found.lines}
    assert heights["aa"][-1] == 1 and heights["cc"][-1] == 0 and heights["bb"][-1] == pytest.approx(0.75)
    assert heights["aa"][0] > heights["bb"][0] > 0.5 > heights["cc"][0]  # ordered by gain within a choice
    assert found.ticks == ((0, "−0.020"), (0.5, "0.000"), (1, "+0.020"))


def test_what_all_have_is_said_and_what_was_trained_less_is_dotted() -> None:
    models = {"aa": placed("neck.P3", 3), "bb": placed("neck.P3", 7), "cc": placed("neck.P3", 7, kv_pool=8)}
    record = study(models, {"aa": 0.02, "bb": 0.01, "cc": -0.02})
    long = record.trials[record.trials["architecture"].isin([BASELINE, "aa"])].assign(epochs=12)
    found = drawn(replace(record, trials=pd.concat([record.trials, long], ignore_index=True)))
    assert "neck.P3" not in {axis.title for axis in found.axes} and "all have neck.P3: block" in found.about
    dashes = {each["meta"]["names"][0]: each["line"]["dash"] for each in plotly_parallel(found)["data"]}
    assert dashes == {"aa": "solid", "bb": "dot", "cc": "dot"}


def test_several_shapes_of_one_architecture_are_named_together() -> None:
    two = replace(placed("neck.P3", 3), placements=(*placed("neck.P3", 9).placements, *placed("neck.P4", 3).placements))
    models = {"aa": two, "bb": placed("neck.P3", 3, kv_pool=8), "cc": placed("neck.P3", 3, global_heads=0)}
    axes = {axis.title: axis.levels for axis in drawn(study(models, dict.fromkeys(models, 0.0))).axes}
    assert axes["local kernel, px"] == ("3", "3, 9")
    assert axes["KV pool"] == ("–", "2", "8")  # without global heads nothing is pooled
    assert axes["global heads"] == ("0 of 2", "2 of 4")


def test_few_or_equal_architectures_are_not_drawn() -> None:
    models = {"aa": placed("neck.P3", 3), "bb": placed("neck.P3", 7)}
    assert search_content(study(models, dict.fromkeys(models, 0.0))).page.drawn(Parallel) == []
    figure = search_content(example.winning()).figures[-1]
    same = dict.fromkeys(example.winning().architectures, placed("neck.P3", 3))
    assert parallel_coordinates(figure, same) is None


def test_of_very_many_the_largest_gains_are_drawn_and_the_rest_is_counted() -> None:
    models = {f"{at:04x}": placed("neck.P3", 3 + 2 * (at % 3)) for at in range(MOST_LINES + 20)}
    found = drawn(study(models, {name: at / 1e4 for at, name in enumerate(models)}))
    assert len(found.lines) == MOST_LINES and "20 of smaller gains" in found.about
    assert "0000" not in {line.architecture for line in found.lines}


def test_every_crossing_names_its_architecture_and_the_pick_lies_on_top() -> None:
    content = search_content(example.winning())
    (found,) = content.page.drawn(Parallel)
    assert found.lines[-1].architecture == found.pick == "77e0b1aa"
    figure = plotly_parallel(found)
    for trace in figure["data"]:
        assert len(trace["x"]) == len(trace["y"]) == len(trace["meta"]["names"]) == len(found.axes) + 1
    assert 'data-figure="parallel"' in render_html(content.page)


def test_a_hostile_block_name_is_text() -> None:
    drawing = drawn(example.winning())
    axes = (replace(drawing.axes[0], levels=("<img src=x>",)), *drawing.axes[1:])
    text = json.dumps(plotly_parallel(replace(drawing, axes=axes)))
    assert "<img" not in text and "<" not in json_for_page(json.loads(text))
