from __future__ import annotations

import dataclasses
import math

from harness.analysis.statistics import summarise
from harness.records import StudyRecord
from harness.report.budget import Budget, budget
from harness.report.figures import LATENCY, MACS, Axis, front_figure
from tests.report import example


def budget_of(record: StudyRecord, axis: Axis = LATENCY) -> Budget:
    summary = summarise(record.trials)
    found = budget(record, summary, front_figure(record, summary, axis, 3))
    assert found is not None
    return found


def best(record: StudyRecord, ratio: float, axis: Axis = LATENCY) -> tuple[str, str]:
    """What the slider would look up."""
    step = [step for step in budget_of(record, axis).steps if step.cost <= ratio][-1]
    return step.architecture, step.said


def test_the_best_is_the_largest_gain_told_better_within_the_budget() -> None:
    record = example.winning()
    assert best(record, 1.5)[0] == best(record, 1.21)[0] == "3fa9c1d2"
    name, said = best(record, 1.20)
    assert name == "77e0b1aa"
    assert said.startswith("77e0b1aa, gain +0.011 [+0.008, +0.014] mAP50-95 for 1.06× [1.04, 1.08] the latency")
    assert said.endswith("told to be better than the baseline.")


def test_every_step_is_what_a_search_through_all_rows_finds() -> None:
    record = example.winning()
    summary = summarise(record.trials)
    judged = summary[summary["verdict"] == "gain"]
    for step in budget_of(record).steps:
        affordable = judged[judged["latency_ratio"] <= step.cost]
        if len(affordable):
            assert step.architecture == affordable["gain_map50_95"].idxmax()
        else:
            assert step.architecture in {"", "baseline"}


def test_where_none_is_told_better_it_is_the_baseline_and_who_reads_highest() -> None:
    assert best(example.winning(), 1.05) == (
        "baseline",
        "the baseline: no candidate within this budget is told to be better.",
    )
    name, said = best(example.none_gains(), 1.3)
    assert name == "baseline"
    assert "aaaaaaaa reads highest, gain +0.002 [−0.007, +0.011] mAP50-95" in said and said.endswith("undecided.")


def test_below_the_baselines_cost_nothing_or_a_cheaper_one_is_named() -> None:
    assert best(example.winning(), 0.9) == ("", "nothing that was judged costs so little.")
    lean = example.candidate("lean", [0.0, 0.002, -0.004, 0.001], ratio=0.9)
    name, said = best(example.record(example.frame(example.baseline(0, 1, 2, 3), lean)), 0.95)
    assert name == "lean" and said.endswith("not told from the baseline, which is dearer.")
    worse = example.candidate("worse", [-0.1, -0.102, -0.099, -0.1], ratio=0.9)
    assert best(example.record(example.frame(example.baseline(0, 1, 2, 3), worse)), 0.95)[0] == ""


def test_readings_of_one_seed_and_what_is_beyond_the_bounds_are_not_named() -> None:
    record = example.winning()
    bounded = dataclasses.replace(record, settings=record.settings | {"constraints": {"max_macs": 107e6}})
    named = {step.architecture for step in budget_of(bounded).steps}
    assert named == {"", "baseline", "77e0b1aa"}  # 3fa9c1d2 has 108 M


def test_the_slider_holds_every_point_and_its_scale_is_the_figures() -> None:
    record = example.winning()
    latency, macs = budget_of(record), budget_of(record, MACS)
    assert latency.least < 1.0 and latency.most == 1.42
    assert (latency.to_x, macs.to_x) == (1.0, 100.0)  # the baseline has 100 M MACs
    assert macs.steps[0].cost == -math.inf
    assert best(record, 1.03, MACS)[0] == "77e0b1aa"


def test_what_reads_as_the_budget_is_within_it() -> None:
    rows = example.candidate("edge", [0.05, 0.050, 0.051, 0.049], ratio=1.124)
    assert best(example.record(example.frame(example.baseline(0, 1, 2, 3), rows)), 1.12)[0] == "edge"


def test_without_two_points_there_is_nothing_to_choose() -> None:
    for record in (example.record(example.frame()), example.record(example.frame(example.baseline(0)))):
        summary = summarise(record.trials)
        assert budget(record, summary, front_figure(record, summary, LATENCY, 3)) is None
