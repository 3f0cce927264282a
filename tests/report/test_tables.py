from __future__ import annotations

import dataclasses
import math

import pandas as pd

from harness.analysis.analysis import analyse
from harness.analysis.statistics import summarise
from harness.record.study import StudyRecord
from harness.report import tables, words
from tests.report import example


def candidates(record: StudyRecord, summary: pd.DataFrame | None = None) -> tables.Table:
    rows = summarise(record.trials) if summary is None else summary
    return tables.candidates(analyse(record), rows, key="k", caption="c")


def names(table: tables.Table) -> list[str]:
    return [row.cells[0].text for row in table.rows]


def test_the_baseline_is_first_then_evidence_then_gain() -> None:
    order = names(candidates(example.winning()))
    assert order[:4] == ["baseline", "3fa9c1d2", "77e0b1aa", "c41d9e02"]
    assert order[4] == "9b8c7d6e"  # the highest of the screened
    assert order[-1] == "f0f1f2f3"  # never measured


def test_every_row_has_a_cell_for_every_column() -> None:
    table = candidates(example.winning())
    assert {len(row.cells) for row in table.rows} == {len(table.columns)}


def test_whose_gain_the_head_names_has_the_heads_interval_too() -> None:
    study = analyse(example.none_gains())
    table = tables.candidates(study, study.summary, key="k", caption="c", named=("aaaaaaaa",))
    of_its_own, chosen = (
        words.interval(rows["gain_low"]["aaaaaaaa"], rows["gain_high"]["aaaaaaaa"], study.digits, sign=True)
        for rows in (study.summary, study.inside)
    )
    assert of_its_own != chosen
    found = {row.architecture: row.cells[2].details for row in table.rows}
    assert found["aaaaaaaa"] == (of_its_own, f"{chosen} (interval adjusted for 3 comparisons)")
    assert len(found["bbbbbbbb"]) == 1


def test_a_gain_carries_its_interval_and_a_screening_row_says_so() -> None:
    rows = {row.cells[0].text: row for row in candidates(example.winning()).rows}
    assert rows["3fa9c1d2"].cells[2].text == "+0.014"
    assert rows["3fa9c1d2"].cells[2].details == ("[+0.007, +0.021]",)
    assert (rows["09ab33f1"].cells[1].text, rows["09ab33f1"].kind) == ("one seed: not judged", "undecided")
    assert rows["baseline"].cells[2].details == ("by definition",)


def test_a_failure_is_named_in_its_row() -> None:
    row = candidates(example.winning()).rows[-1]
    assert row.cells[-1].details == ("1 training failed: 9.1 GB asked for, 4 GB free",)
    assert math.isnan(row.cells[2].sort or 0.0)


def test_strips_share_one_scale_with_zero_on_it() -> None:
    sparks = [row.cells[2].spark for row in candidates(example.winning()).rows]
    drawn = [spark for spark in sparks if spark]
    assert len({spark.zero for spark in drawn}) == 1
    for spark in drawn:
        assert spark.low is not None and spark.high is not None
        assert 0 <= spark.low <= spark.mid <= spark.high <= 100


def test_front_rows_say_of_which_front_they_are() -> None:
    record = example.winning()
    summary = summarise(record.trials).loc[["baseline", "3fa9c1d2"]]
    marked = summary.assign(front_latency=[True, False], front_macs=[True, True])
    details = [row.cells[1].details for row in candidates(record, marked).rows]
    assert details == [("both fronts",), ("MACs front",)]


def test_failures_are_grouped_by_reason_with_examples() -> None:
    rows = [example.failed(f"a{number}", 0) for number in range(6)] + [example.failed("b", 0, "illegal", "")]
    first, second = tables.failures(example.frame(rows)).rows
    assert [cell.text for cell in first.cells] == ["failed", "loss is NaN", "6", "a0, a1, a2, a3 and 2 more"]
    assert [cell.text for cell in second.cells] == ["illegal", "—", "1", "b"]


def test_a_study_without_failures_has_an_empty_table() -> None:
    assert tables.failures(example.frame(example.baseline(0))).rows == ()


def test_milliseconds_are_the_ratio_times_the_baselines_median() -> None:
    record = example.winning()
    table = candidates(record)
    column = [c.name for c in table.columns].index("Latency")
    baseline_ms = record.trials[record.trials.architecture == "baseline"].latency_ms_p50.iloc[0]
    for row in table.rows:
        ratio = row.cells[column].sort
        if ratio is not None and math.isfinite(ratio):
            assert row.cells[column].details[1] == words.milliseconds(ratio * baseline_ms)


def test_how_long_each_was_trained_is_said_where_it_differs() -> None:
    long = [each | {"epochs": 12} for each in example.baseline(0, 1) + example.candidate("aaaa", [0.01, 0.02])]
    table = candidates(example.record(example.frame(long, example.baseline(0), example.candidate("bbbb", [0.01]))))
    assert {row.cells[0].text: row.cells[2].details[-1] for row in table.rows} == {
        "baseline": "after 12 epochs", "aaaa": "after 12 epochs", "bbbb": "after 3 epochs",
    }  # fmt: skip
    alike = candidates(example.winning())
    assert not [detail for row in alike.rows for detail in row.cells[2].details if "epochs" in detail]


def test_who_was_given_is_named_as_such() -> None:
    record = example.winning()
    given = dataclasses.replace(record, settings=record.settings | {"include": ["files/local-only.yaml"]})
    details = {row.architecture: row.cells[1].details for row in candidates(given).rows}
    assert [name for name, said in details.items() if "included: local-only" in said] == ["3fa9c1d2"]  # tried first


def test_what_is_beyond_a_bound_is_marked() -> None:
    record = example.winning()
    bounds = {"max_latency_ratio": 1.2, "max_params": 1.9e6, "min_map50_95": 0.4975}
    marked = dataclasses.replace(record, settings=record.settings | {"constraints": bounds})
    details = {row.cells[0].text: row.cells[1].details for row in candidates(marked).rows}
    assert details["3fa9c1d2"] == ("parameters above 1.9 M", "latency above 1.2×")
    assert details["77e0b1aa"] == ()
    assert details["baseline"] == ("mAP50-95 below 0.4975",)
    assert details["f0f1f2f3"] == ()  # never measured
