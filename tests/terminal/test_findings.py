"""What the view shows is what the analysis says."""

from __future__ import annotations

import pytest

from harness.analysis.hypervolume import hypervolume, reference_point
from harness.terminal.findings import find, hypervolume_line, sparkline
from harness.terminal.front import failures
from tests.report.ablated import ablation
from tests.report.example import baseline, candidate, failed, frame, record, row, winning
from tests.terminal.consoles import text


def test_the_hypervolume_is_that_of_the_analysis() -> None:
    gains, ratios = [0.004, 0.010, 0.002, 0.021], [1.05, 1.1, 1.2, 1.3]
    rows = [candidate(f"{n}" * 8, [gain], ratio) for n, (gain, ratio) in enumerate(zip(gains, ratios, strict=True))]
    trials = frame(baseline(0), *rows)
    trials["finished"] = [f"2026-01-01T00:0{n}:30Z" for n in range(5)]
    objectives = (["map50_95"], ["latency_ratio"])
    reference = reference_point(trials, *objectives)
    values = [hypervolume(trials.iloc[: n + 1], *objectives, reference) for n in range(5)]
    assert hypervolume_line(record(trials)) == (
        f"hypervolume {sparkline(values, 24)} {values[-1]:.3g} mAP50-95 × latency after 5 trainings"
    )


@pytest.mark.parametrize("rows", [[], [failed("aaaaaaaa", 0)]])
def test_before_anything_is_measured_there_is_no_hypervolume(rows: list[dict[str, object]]) -> None:
    assert hypervolume_line(record(frame(rows))) == ""


def test_an_ablation_has_arms_and_no_hypervolume() -> None:
    found = find(ablation())
    assert found.hypervolume == ""
    assert "without neck.P3" in text(found.table)


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
