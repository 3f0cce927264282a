"""`clo report --terminal`: the report's answer and its front, as plain text in a pipe."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from harness.record.study import StudyRecord
from harness.report import closing
from harness.terminal.answer import print_answer
from tests.report import example
from tests.report.ablated import ablation
from tests.terminal.consoles import plain, written


def said(record: StudyRecord, width: int = 80) -> str:
    console = plain(width)
    print_answer(record, console)
    return written(console)


@pytest.mark.parametrize("record", [example.winning(), example.none_gains(), ablation()])
def test_it_begins_with_the_reports_answer(record: StudyRecord) -> None:
    assert " ".join(said(record).split()).startswith(" ".join(closing(record)["answer"].split()))


def test_front_progress_and_failures_follow() -> None:
    text = said(example.winning())
    parts = ["3fa9c1d2  gain", "1 × out of memory: 9.1 GB"]
    assert [text.index(part) for part in parts] == sorted(text.index(part) for part in parts)


def test_an_ablation_has_both_of_its_families() -> None:
    text = said(ablation())
    assert text.count("without neck.P3") == 2 and "●" in text and "The model minus each arm" in text


def test_a_pipe_is_eighty_wide_and_has_no_colour() -> None:
    for record in (example.winning(), ablation(), example.record(example.frame([]))):
        text = said(record)
        assert "\x1b" not in text and max(map(len, text.splitlines())) <= 80


def test_a_hostile_study_gives_the_terminal_no_orders() -> None:
    record = example.record(example.frame([example.failed("aaaaaaaa", 0, reason="[red]\x1b[2J")]), name="\x1b[2J")
    assert "\x1b" not in said(record) and "[red]" in said(record)


@pytest.mark.parametrize(("environment", "has_colour"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_that_wants_no_colour_gets_none(environment: dict[str, str], has_colour: bool) -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, color_system="standard", _environ=environment)
    print_answer(example.winning(), console)
    assert ("\x1b[3" in file.getvalue()) is has_colour
