from __future__ import annotations

import dataclasses
import math
import re

import pandas as pd
import pytest

from harness.analysis.analysis import analyse
from harness.analysis.statistics import summarise
from harness.record.study import StudyRecord
from harness.report import closing
from harness.report.figures import LATENCY, MACS, Axis, front_figure
from harness.report.pick import Budget, Pick, budget, cost_of, pick
from tests.report import example


def picked(record: StudyRecord) -> Pick | None:
    return pick(analyse(record))


def sure(record: StudyRecord) -> Pick:
    found = picked(record)
    assert found is not None
    return found


def test_the_pick_is_the_cheapest_within_min_gain_of_the_best_and_its_headline_names_the_price() -> None:
    found = sure(example.winning())  # 3fa9c1d2 gains +0.014 at 1.21×
    assert (found.architecture, found.is_candidate) == ("77e0b1aa", True)
    assert found.headline == "Take 77e0b1aa: +0.011 mAP50-95 for 1.06× the latency."
    assert re.match(r"Its gain is \+0\.011 \[\+0\.00\d, \+0\.0\d\d\] mAP50-95 \(interval adjusted for 3", found.why)
    assert found.tied == ("3fa9c1d2",)
    assert "does not tell it from 3fa9c1d2, which beats the baseline too." in found.why
    assert "within 0.005 of the largest gain, the one of the lowest latency" in found.rule
    dearer = sure(preferring(example.winning(), 0.001))
    assert dearer.architecture == "3fa9c1d2" and dearer.tied == ("77e0b1aa",)
    assert dearer.headline.endswith("; 77e0b1aa, tied with it, has +0.011 for 1.06×.")  # it is cheaper


def test_a_gain_after_fewer_epochs_is_a_gain_too_so_that_the_pick_is_not_the_only_one() -> None:
    """As in a control, whose pick is trained long after the search."""
    rows = example.baseline(0, 1, 2, 3), example.candidate("short", [0.05, 0.050, 0.0505, 0.0495])
    long = example.frame(example.baseline(0, 1, 2, 3), example.candidate("long", [0.06, 0.060, 0.0605, 0.0595]))
    trials = pd.concat([example.frame(*rows), long.assign(epochs=12)], ignore_index=True)
    found = sure(example.record(trials))
    assert found.architecture == "long"
    assert "the only one" not in found.why
    assert "the only one" in sure(example.record(long)).why


def test_two_permille_of_latency_do_not_move_the_pick_from_five_points_to_half_a_point() -> None:
    for ratio in (0.999, 1.0, 1.001):
        trials = example.frame(
            example.baseline(0, 1, 2, 3),
            example.candidate("little", [0.004, 0.004, 0.0045, 0.0035], ratio=ratio),
            example.candidate("much", [0.05, 0.050, 0.0505, 0.0495], ratio=1.003),
        )
        assert sure(example.record(trials)).architecture == "much"


def test_a_headline_names_the_cost_that_the_study_minimises() -> None:
    record = example.winning()
    macs = dataclasses.replace(record, settings=record.settings | {"objectives": ["map50_95", "macs"]})
    assert sure(macs).headline == "Take 77e0b1aa: +0.011 mAP50-95 for 1.03× the MACs."
    assert "the one of the fewest MACs; else" in sure(macs).rule


def test_a_gain_that_is_real_but_too_small_to_matter_keeps_the_baseline_and_says_so() -> None:
    small = example.candidate("aaaaaaaa", [0.0010, 0.0010, 0.0011, 0.0009], ratio=1.5)
    record = example.record(example.frame(example.baseline(0, 1, 2, 3), small))
    assert summarise(record.trials).loc["aaaaaaaa", "verdict"] == "gain"
    found = sure(record)
    assert found.architecture == "baseline"
    assert found.headline == (
        "Keep the baseline: aaaaaaaa beats it, but by +0.0010 mAP50-95, less than the 0.005 that matter (--min-gain)."
    )
    assert sure(preferring(record, 0.001)).headline == "Take aaaaaaaa: +0.0010 mAP50-95 for 1.50× the latency."


def test_a_gain_just_below_what_matters_is_not_rounded_up_to_it() -> None:
    trials = example.frame(example.baseline(0, 1, 2), example.candidate("aaaaaaaa", [0.0049, 0.00499, 0.00489]))
    assert "by +0.0049" in sure(example.record(trials)).headline


def test_the_first_cost_of_the_study_decides_where_all_have_it() -> None:
    record = example.winning()
    macs = dataclasses.replace(record, settings=record.settings | {"objectives": ["map50_95", "macs"]})
    summary = summarise(record.trials)
    assert cost_of(record, summary) == ("latency_ratio", "latency")
    assert cost_of(macs, summary) == ("macs_ratio", "MACs")
    untimed = summary.assign(latency_ratio=float("nan"))
    assert cost_of(record, untimed) == ("macs_ratio", "MACs")


def test_nothing_better_means_to_keep_the_baseline() -> None:
    found = sure(example.none_gains())
    assert (found.architecture, found.is_candidate, found.headline) == ("baseline", False, "Keep the baseline.")
    assert found.why == ""  # the answer's headline says it
    assert "that beat the baseline (95 %, corrected for all judged)" in found.rule


def test_a_cheaper_candidate_that_loses_nothing_that_matters_is_named_with_its_interval() -> None:
    trials = example.frame(
        example.baseline(0, 1, 2, 3),
        example.candidate("lean", [0.001, 0.0006, -0.0005, 0.0002], ratio=0.9, macs=90e6),
        example.candidate("near", [0.002, 0.0011, 0.0001, 0.0006], ratio=0.99, macs=99e6),  # 0.97 to 1.01
        example.candidate("worse", [-0.05, -0.05, -0.05, -0.05], ratio=0.5, macs=50e6),
    )
    found = sure(example.record(trials))
    assert found.architecture == "baseline"
    assert "If latency matters more: lean is cheaper for 0.90× [0.88, 0.92] the latency" in found.why
    assert "and loses less than 0.005 mAP50-95 (95 %): its gain is +0.0001 [−0.00" in found.why
    assert sure(preferring(example.record(trials), 0.0005)).why == ""


def test_a_cheaper_candidate_with_a_gain_too_small_to_matter_is_named_beside_the_baseline() -> None:
    lean = example.candidate("lean", [0.0010, 0.0010, 0.0011, 0.0009], ratio=0.9, macs=90e6)
    found = sure(example.record(example.frame(example.baseline(0, 1, 2, 3), lean)))
    assert found.headline.startswith("Keep the baseline: lean beats it, but by +0.0010")
    assert "lean is cheaper for 0.90×" in found.why and "and beats the baseline: its gain is" in found.why


def test_a_cheaper_candidate_of_which_little_is_known_is_not_named() -> None:
    vague = example.candidate("aaaaaaaa", [-0.05, -0.02, -0.10], ratio=0.9)
    record = example.record(example.frame(example.baseline(0, 1, 2), vague))
    assert summarise(record.trials).loc["aaaaaaaa", "verdict"] == "undecided"
    assert sure(record).why == ""


@pytest.mark.parametrize(
    "groups", [[], [example.baseline(0)], [[example.row("aaaa", 0, map50_95=0.5)]]], ids=["none", "baseline", "alone"]
)
def test_nothing_is_recommended_of_what_cannot_be_compared(groups: list[list[dict[str, object]]]) -> None:
    assert picked(example.record(example.frame(*groups))) is None


def test_readings_of_one_seed_recommend_nobody() -> None:
    found = sure(example.record(example.frame(example.baseline(0), example.candidate("aaaa", [0.3]))))
    assert (found.architecture, found.headline) == ("baseline", "Keep the baseline for now.")


def test_scripts_are_told_the_pick_too() -> None:
    assert closing(example.winning())["pick"] == "77e0b1aa"
    assert closing(example.none_gains())["pick"] == "baseline"
    assert closing(example.record(example.frame()))["pick"] is None


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
    assert said == "77e0b1aa, +0.011 for 1.06× the latency, beats the baseline."  # its row has the interval


@pytest.mark.parametrize("min_gain", [0.0, 0.001, 0.003, 0.005, 0.012, 0.02])
@pytest.mark.parametrize("axis", [LATENCY, MACS])
def test_the_widest_budget_names_the_pick(min_gain: float, axis: Axis) -> None:
    record = preferring(example.winning(), min_gain)
    found = pick(analyse(record))
    assert found is not None
    assert budget_of(record, axis).steps[-1].architecture == found.architecture


def test_where_none_is_told_better_it_is_the_baseline() -> None:
    assert best(example.winning(), 1.05) == (
        "baseline",
        "the baseline; no candidate within this limit beats it by 0.005 mAP50-95 or more.",
    )
    assert best(example.none_gains(), 1.3)[0] == "baseline"
    small = example.candidate("small", [0.001, 0.001, 0.0011, 0.0009])
    assert best(example.record(example.frame(example.baseline(0, 1, 2, 3), small)), 1.3)[0] == "baseline"


def test_below_the_baselines_cost_nothing_or_a_cheaper_one_is_named() -> None:
    assert best(example.winning(), 0.9) == ("", "nothing that was judged costs so little.")
    lean = example.candidate("lean", [0.0, 0.001, -0.001, 0.001], ratio=0.9)
    name, said = best(example.record(example.frame(example.baseline(0, 1, 2, 3), lean)), 0.95)
    assert name == "lean" and said.endswith("loses less than 0.005 mAP50-95 to the baseline, which costs more.")
    vague = example.candidate("vague", [0.0, 0.02, -0.03, 0.001], ratio=0.9)
    name, said = best(example.record(example.frame(example.baseline(0, 1, 2, 3), vague)), 0.95)
    assert (name, said[:8]) == ("", "nothing;")
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
