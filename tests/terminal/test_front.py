"""The front on the terminal has the report's members and numbers."""

from __future__ import annotations

import pytest

from harness.record.constraints import Constraints
from harness.record.study import StudyRecord
from harness.report import closing
from harness.terminal.front import front_table
from tests.report import example
from tests.report.example import baseline, candidate, frame, record
from tests.terminal.consoles import text


def rows(shown: StudyRecord, width: int = 120) -> list[list[str]]:
    return [line.split() for line in text(front_table(shown, wrap=False), width).splitlines()[1:]]


@pytest.mark.parametrize("shown", [example.winning(), example.none_gains()])
def test_its_members_are_the_reports_and_the_baseline_leads(shown: StudyRecord) -> None:
    names = [row[0] for row in rows(shown)]
    assert names[0] == "baseline"
    assert set(names) == {"baseline", *closing(shown)["front"]}


def test_gain_interval_and_costs_are_those_of_the_report() -> None:
    base, first, _, screened = rows(example.winning())
    assert base[:6] == ["baseline", "reference", "0.497", "mAP50-95", "1.00×", "100"]
    assert first[:6] == ["3fa9c1d2", "gain", "+0.014", "[+0.007,", "+0.021]", "1.21×"]  # mean of the seeds that judge
    assert screened[:3] == ["09ab33f1", "not", "judged"]


def test_what_is_beyond_a_bound_is_not_on_the_front() -> None:
    shown = example.winning()
    bounds = Constraints(max_latency_ratio=1.1).model_dump(mode="json")
    bounded = record(shown.trials, settings=shown.settings | {"constraints": bounds})
    assert "3fa9c1d2" in {row[0] for row in rows(shown)}
    assert "3fa9c1d2" not in {row[0] for row in rows(bounded)}


def test_a_baseline_that_is_beaten_is_shown_all_the_same() -> None:
    names = [row[0] for row in rows(record(frame(baseline(0), candidate("aaaaaaaa", [0.01], ratio=0.9, macs=90e6))))]
    assert names == ["baseline", "aaaaaaaa"]


def test_a_study_that_has_only_begun_has_an_empty_table() -> None:
    assert rows(record(frame([]))) == []


def test_a_row_is_a_line_on_a_narrow_terminal_and_keeps_its_numbers() -> None:
    lines = text(front_table(example.winning(), wrap=False), 80).splitlines()
    assert len(lines) == 5 and max(map(len, lines)) <= 80
    assert "3fa9c1d2  gain        +0.014 [+0.007, +0.021]    1.21×  108 M  neck.P3 attentio…" in lines


def test_in_a_pipe_nothing_is_cut() -> None:
    said = text(front_table(example.winning(), wrap=True), 80)
    assert "…" not in said and all(part in said for part in ("2×k3 local", "(KV pool 2)"))
