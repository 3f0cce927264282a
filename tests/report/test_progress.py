"""How far a search is: hypervolumes that can be reckoned by hand."""

from __future__ import annotations

import dataclasses

import pytest

from harness.record.study import StudyRecord
from harness.report.progress import how_far
from tests.report import example


def ended(rows: list[dict[str, object]], minute: int) -> list[dict[str, object]]:
    times = {"started": f"2026-01-01T00:{minute - 6:02}:00Z", "finished": f"2026-01-01T00:{minute:02}:00Z"}
    return [row | times for row in rows]


def study(*extra: list[dict[str, object]]) -> StudyRecord:
    return example.record(
        example.frame(
            ended(example.baseline(0), 6),
            ended(example.candidate("a", [0.1], ratio=2.0), 12),
            ended(example.candidate("b", [-0.2], ratio=3.0), 18),
            ended(example.candidate("c", [0.05], ratio=1.5), 24),
            *extra,
        )
    )


def test_the_hypervolume_after_each_quarter_is_that_of_the_rows_so_far() -> None:
    # Front: (0.495, 1), (0.545, 1.5), (0.595, 2); ranges 0.1 and 1, so the reference is (0.485, 2.1).
    first, second, third = 0.01 * 1.1, 0.01 * 1.1 + 0.1 * 0.1, 0.01 * 1.1 + 0.1 * 0.1 + 0.05 * 0.5
    table = how_far(study()).table
    assert table is not None
    assert [row.cells[1].text for row in table.rows] == ["1", "2", "3", "4"]
    assert [row.cells[2].text for row in table.rows] == ["0.10", "0.20", "0.30", "0.40"]
    assert [row.cells[3].sort for row in table.rows] == pytest.approx([first, second, second, third])
    assert table.rows[-1].cells[4].text == "100.0 %"


def test_the_reference_point_and_its_rule_are_named() -> None:
    said = how_far(study()).said
    assert "0.485 mAP50-95, 2.100 × latency" in said
    assert "made worse by 10 % of the front's range" in said


def test_other_seeds_and_longer_trainings_tell_nothing_new() -> None:
    longer = [row | {"epochs": 12, "map50_95": 0.9} for row in example.candidate("c", [0.3], ratio=1.5)]
    repeat = [row | {"map50_95": 0.9} for row in example.candidate("a", [0.1, 0.3], ratio=2.0)[1:]]
    assert how_far(study(ended(longer, 30), ended(repeat, 36))) == how_far(study())


def test_fewer_trainings_than_quarters_have_a_row_each_once() -> None:
    table = how_far(example.record(example.frame(ended(example.baseline(0), 6)))).table
    assert table is not None and [row.cells[1].text for row in table.rows] == ["1"]


def test_nothing_measured_is_a_sentence() -> None:
    for record in (example.record(example.frame()), example.record(example.frame([example.failed("a", 0)]))):
        assert how_far(record).table is None


def test_the_costs_are_those_of_the_studys_objectives() -> None:
    record = study()
    record = dataclasses.replace(record, settings=record.settings | {"objectives": ["map50_95", "macs", "params"]})
    found = how_far(record)
    assert found.table is not None and found.table.columns[3].unit == "mAP50-95 × MACs × parameters"
    assert "MACs, " in found.said and "latency" not in found.said
