from __future__ import annotations

import dataclasses

import pytest

from harness.analysis.noise import Noise
from harness.analysis.statistics import gain_noise, summarise
from harness.records import StudyRecord
from harness.report import words
from harness.report.closing import closing
from harness.report.pick import Pick, cost_of, pick
from tests.report import example


def picked(record: StudyRecord) -> Pick | None:
    noise: Noise = gain_noise(record.trials)
    return pick(record, summarise(record.trials), words.digits_for(noise))


def sure(record: StudyRecord) -> Pick:
    found = picked(record)
    assert found is not None
    return found


def test_the_pick_is_the_knee_of_those_told_better() -> None:
    # baseline (1.00×, 0), 77e0b1aa (1.06×, +0.011), 3fa9c1d2 (1.21×, +0.014): 0.011/0.014 − 0.06/0.21 > 0
    found = sure(example.winning())
    assert (found.architecture, found.headline, found.is_candidate) == ("77e0b1aa", "Take 77e0b1aa.", True)
    assert found.why.startswith("It gains +0.011 [+0.008, +0.014] mAP50-95 for 1.06× [1.04, 1.08] the latency")
    assert found.tied == ("3fa9c1d2",)
    assert "does not tell it from 3fa9c1d2, which beats the baseline too." in found.why
    assert "the knee" in found.rule and "gain against latency" in found.rule


def test_one_below_the_line_to_the_most_accurate_is_not_taken() -> None:
    trials = example.frame(
        example.baseline(0, 1, 2, 3),
        example.candidate("dear", [0.05, 0.050, 0.051, 0.049], ratio=1.2),
        example.candidate("poor", [0.01, 0.010, 0.011, 0.009], ratio=1.15),
    )
    assert sure(example.record(trials)).architecture == "dear"


def test_the_first_cost_of_the_study_decides_where_all_have_it() -> None:
    record = example.winning()
    macs = dataclasses.replace(record, settings=record.settings | {"objectives": ["map50_95", "macs"]})
    summary = summarise(record.trials)
    assert cost_of(record, summary.loc[["baseline", "3fa9c1d2"]]) == ("latency_ratio", "latency")
    assert cost_of(macs, summary) == ("macs_ratio", "MACs")
    untimed = summary.assign(latency_ratio=float("nan"))
    assert cost_of(record, untimed) == ("macs_ratio", "MACs")


def test_nothing_better_means_to_keep_the_baseline() -> None:
    found = sure(example.none_gains())
    assert (found.architecture, found.is_candidate, found.headline) == ("baseline", False, "Keep the baseline.")
    assert found.why == ""  # the answer's headline says it
    assert "only where repeated seeds tell it to be better" in found.rule


def test_a_cheaper_candidate_that_is_not_told_worse_is_named_with_its_interval() -> None:
    trials = example.frame(
        example.baseline(0, 1, 2, 3),
        example.candidate("lean", [0.001, 0.002, -0.004, 0.001], ratio=0.9, macs=90e6),
        example.candidate("near", [0.002, 0.004, -0.002, 0.003], ratio=0.99, macs=99e6),  # 0.97 to 1.01
        example.candidate("worse", [-0.05, -0.05, -0.05, -0.05], ratio=0.5, macs=50e6),
    )
    found = sure(example.record(trials))
    assert found.architecture == "baseline"
    assert "If latency matters more: lean is cheaper for 0.90× [0.88, 0.92] the latency" in found.why
    assert "is not told to be worse; its gain is " in found.why and found.why.endswith("] mAP50-95.")


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
