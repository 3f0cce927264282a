from __future__ import annotations

import dataclasses
import math

import pytest

from harness.analysis.analysis import analyse
from harness.record.study import StudyRecord
from harness.report.figures import LATENCY, MACS, Axis, front_figure
from harness.report.pick import Budget, budget, pick
from tests.report import example


def budget_of(record: StudyRecord, axis: Axis = LATENCY) -> Budget:
    study = analyse(record)
    found = budget(study, front_figure(study, axis))
    assert found is not None
    return found


def best(record: StudyRecord, ratio: float, axis: Axis = LATENCY) -> tuple[str, str]:
    """What the slider would look up."""
    step = [step for step in budget_of(record, axis).steps if step.cost <= ratio][-1]
    return step.architecture, step.said


def preferring(record: StudyRecord, min_gain: float) -> StudyRecord:
    return dataclasses.replace(record, settings=record.settings | {"min_gain": min_gain})


def test_the_best_is_what_the_picks_rule_names_within_the_budget() -> None:
    record = preferring(example.winning(), 0.001)
    assert best(record, 1.5)[0] == best(record, 1.21)[0] == "3fa9c1d2"
    name, said = best(record, 1.20)
    assert name == "77e0b1aa"
    assert said.startswith("77e0b1aa, gain +0.011 [") and " for 1.06× [1.04, 1.08] the latency" in said
    assert said.endswith("beats the baseline.")


@pytest.mark.parametrize("min_gain", [0.0, 0.001, 0.003, 0.005, 0.012, 0.02])
@pytest.mark.parametrize("axis", [LATENCY, MACS])
def test_the_widest_budget_names_the_pick(min_gain: float, axis: Axis) -> None:
    record = preferring(example.winning(), min_gain)
    found = pick(analyse(record))
    assert found is not None
    assert budget_of(record, axis).steps[-1].architecture == found.architecture


def test_where_none_is_told_better_it_is_the_baseline_and_who_reads_highest() -> None:
    assert best(example.winning(), 1.05) == (
        "baseline",
        "the baseline: no candidate within this budget beats it by 0.005 mAP50-95 or more.",
    )
    name, said = best(example.none_gains(), 1.3)
    assert name == "baseline"
    assert "The highest reading: aaaaaaaa, gain +0.002 [" in said and said.endswith(": undecided.")
    small = example.candidate("small", [0.001, 0.001, 0.0011, 0.0009])
    name, said = best(example.record(example.frame(example.baseline(0, 1, 2, 3), small)), 1.3)
    assert name == "baseline" and said.endswith(": beats it by less.")


def test_below_the_baselines_cost_nothing_or_a_cheaper_one_is_named() -> None:
    assert best(example.winning(), 0.9) == ("", "nothing that was judged costs so little.")
    lean = example.candidate("lean", [0.0, 0.001, -0.001, 0.001], ratio=0.9)
    name, said = best(example.record(example.frame(example.baseline(0, 1, 2, 3), lean)), 0.95)
    assert name == "lean" and said.endswith("loses less than 0.005 mAP50-95 to the baseline, which costs more.")
    vague = example.candidate("vague", [0.0, 0.02, -0.03, 0.001], ratio=0.9)
    name, said = best(example.record(example.frame(example.baseline(0, 1, 2, 3), vague)), 0.95)
    assert (name, said[:8]) == ("", "nothing:")
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
        assert budget(analyse(record), front_figure(analyse(record), LATENCY)) is None
