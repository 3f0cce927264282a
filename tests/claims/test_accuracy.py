"""Verdicts on accuracy follow from the numbers of an ablation by the rule of the docs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from harness.architecture import BASELINE
from harness.claims.accuracy import (
    ACCURACY_CHECKS,
    Evidence,
    attnconv_beats_convolution,
    attnconv_beats_local_attention,
    gate_nonlinearity,
    head_gain,
)
from harness.claims.ledger import ClaimKind, load_claims
from harness.claims.verdict import Verdict
from harness.records import StudyRecord
from tests.report.example import frame, record, row

LEVEL = [0.495, 0.501, 0.492]
NEAR = [-0.0002, 0.0, 0.0002]
"""Scatter of a quiet study."""
HEAD = "yolov5n-clo-head"


def study(means: Mapping[str, float], *, scatter: Sequence[float] = NEAR, from_scratch: bool = False) -> StudyRecord:
    """Arms by name, each with its mean gain; `HEAD` and its bare kin are models, all others are made of `HEAD`."""
    arms = [{"identity": BASELINE, "name": BASELINE, "role": "baseline", "model": "", "starts_as_base": True}]
    rows = [[row(BASELINE, seed, map50_95=LEVEL[seed], base_seed=0) for seed in range(3)]]
    for number, (name, mean) in enumerate(means.items()):
        is_model = ":" not in name
        arms.append(
            {
                "identity": f"{number:08}", "name": name, "role": "model" if is_model else "one factor changed",
                "model": name.partition(":")[0], "starts_as_base": True,
            }
        )  # fmt: skip
        shift = [scatter[(seed + number) % 3] for seed in range(3)]
        rows.append([row(f"{number:08}", s, mean, map50_95=LEVEL[s] + mean + shift[s], base_seed=0) for s in range(3)])
    described = {"file": {"from_scratch": from_scratch, "bases": [0]}, "arms": arms}
    return record(frame(*rows), name="scratch" if from_scratch else "base", ablation=described)


PLACEBOS = {f"{HEAD}: base widened to its params": 0.0, f"{HEAD}: base widened to its macs": 0.0}


def test_every_accuracy_claim_has_its_check() -> None:
    assert {claim.check for claim in load_claims() if claim.kind is ClaimKind.ACCURACY} == set(ACCURACY_CHECKS)


@pytest.mark.parametrize(
    ("other", "verdict"), [(-0.01, Verdict.REPRODUCED), (0.01, Verdict.REFUTED), (0.0, Verdict.UNDECIDED)]
)
def test_an_operator_is_beaten_where_the_whole_interval_is_above_zero(other: float, verdict: Verdict) -> None:
    finding = attnconv_beats_convolution(Evidence([study({HEAD: 0.0, f"{HEAD}: operator conv": other})]))
    assert finding.verdict is verdict
    assert finding.figures[0].value == pytest.approx(-other, abs=3e-4)
    assert bool(finding.to_decide) is (verdict is Verdict.UNDECIDED)


def test_local_attention_is_beaten_where_both_kinds_are() -> None:
    def verdict(neighbourhood: float, window: float) -> Verdict:
        arms = {HEAD: 0.0, f"{HEAD}: operator neighbourhood": neighbourhood, f"{HEAD}: operator window": window}
        return attnconv_beats_local_attention(Evidence([study(arms)])).verdict

    assert verdict(-0.01, -0.01) is Verdict.REPRODUCED
    assert verdict(-0.01, 0.0) is Verdict.UNDECIDED
    assert verdict(-0.01, 0.01) is Verdict.REFUTED


def test_gates_that_are_only_shown_decide_nothing() -> None:
    arms = {HEAD: 0.0, f"{HEAD}: gate none": -0.01, f"{HEAD}: gate tanh": 0.02}
    finding = gate_nonlinearity(Evidence([study(arms)]))
    assert finding.verdict is Verdict.REPRODUCED
    assert [dict(each)["minus"] for each in finding.rows] == [f"{HEAD}: gate none", f"{HEAD}: gate tanh"]


@pytest.mark.parametrize(
    ("gain", "placebo", "verdict"),
    [
        (0.02, 0.0, Verdict.REPRODUCED),
        (0.003, 0.0, Verdict.REFUTED),
        (0.02, 0.015, Verdict.REFUTED),  # a gain of size is no gain of the block
        (0.01, 0.0, Verdict.UNDECIDED),
        (-0.02, 0.0, Verdict.REFUTED),
    ],
)
def test_a_gain_has_to_be_a_point_over_the_baseline_and_over_both_placebos(
    gain: float, placebo: float, verdict: Verdict
) -> None:
    finding = head_gain(Evidence([study({HEAD: gain, **dict.fromkeys(PLACEBOS, placebo)})]))
    assert finding.verdict is verdict


def test_one_reading_of_the_insertion_that_gains_is_enough_and_both_must_fail() -> None:
    def verdict(residual: float, bare: float) -> Verdict:
        arms = {HEAD: residual, f"{HEAD}-bare": bare, **PLACEBOS}
        return head_gain(Evidence([study(arms, from_scratch=True)])).verdict

    assert verdict(0.0, 0.02) is Verdict.REPRODUCED
    assert verdict(0.0, 0.0) is Verdict.REFUTED
    assert verdict(0.0, 0.01) is Verdict.UNDECIDED


def test_a_per_cent_of_map_is_judged_beside_a_point() -> None:
    """Of a baseline of 0.496 one per cent is 0.00496: 0.0075 is above it and below a point."""
    finding = head_gain(Evidence([study({HEAD: 0.0075, **PLACEBOS})]))
    first = dict(finding.rows[0])
    assert (first["verdict, points"], first["verdict, per cent"]) == ("refuted", "reproduced")


def test_noise_leaves_it_undecided_and_says_how_many_seeds_would_do() -> None:
    finding = head_gain(Evidence([study({HEAD: 0.002, **PLACEBOS}, scatter=[-0.02, 0.0, 0.02])]))
    assert finding.verdict is Verdict.UNDECIDED
    seeds = int(finding.to_decide.split()[0])
    assert seeds > 3
    assert finding.command.startswith("nox -s reproduce -- --data coco.yaml")


def test_what_lies_on_the_claim_is_not_said_to_be_alike() -> None:
    """Its distance from a point is nothing; its gain is not."""
    on_it = head_gain(Evidence([study({HEAD: 0.01, **PLACEBOS}, scatter=[-0.02, 0.0, 0.02])]))
    assert "lies almost exactly on what is claimed" in on_it.to_decide
    alike = attnconv_beats_convolution(Evidence([study({HEAD: 0.0, f"{HEAD}: operator conv": 0.0})]))
    assert "nothing for any practical purpose" in alike.to_decide


def test_nothing_trained_is_undecided() -> None:
    finding = head_gain(Evidence([]))
    assert finding.verdict is Verdict.UNDECIDED
    assert finding.sentence == "Nothing has been trained for it yet."


def test_a_verdict_says_what_data_it_is_about() -> None:
    finding = head_gain(Evidence([study({HEAD: 0.02, **PLACEBOS})]))
    assert finding.sentence.startswith("On digits: ")


def test_the_family_is_every_comparison_that_a_study_offers() -> None:
    many = {HEAD: 0.0} | {f"{HEAD}: kernel {kernel}": -0.001 for kernel in range(1, 40, 2)}
    assert Evidence([study({HEAD: 0.0, f"{HEAD}: operator conv": -0.001})]).family == 2
    assert Evidence([study(many)]).family == 21
