"""What the view shows is what the analysis says."""

from __future__ import annotations

from harness.terminal.answer import find
from harness.terminal.front import failures
from tests.report.ablated import ablation
from tests.report.example import baseline, failed, frame, record, row, winning
from tests.terminal.consoles import text


def test_an_ablation_has_arms() -> None:
    assert "without neck.P3" in text(find(ablation()).table)


def test_failures_are_grouped_by_reason_the_most_frequent_first() -> None:
    rows = [
        failed("a", 0, reason="loss is nan"),
        failed("b", 0, "out_of_memory", "9 GB"),
        failed("c", 0, "out_of_memory", "9 GB"),
    ]
    assert failures(record(frame(baseline(0), rows))) == (
        "2 × out of memory: 9 GB (b, c)",
        "1 × failed: loss is nan (a)",
    )


def test_trainings_under_way_are_no_failures() -> None:
    running = row("aaaaaaaa", 0, state="interrupted", finished="")
    assert failures(record(frame(baseline(0), [running]))) == ()
    assert failures(winning()) == ("1 × out of memory: 9.1 GB asked for, 4 GB free (f0f1f2f3)",)
