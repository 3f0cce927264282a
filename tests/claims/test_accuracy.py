"""Verdicts on accuracy follow from the numbers of an ablation by the rule of the docs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest

from harness.architecture import BASELINE
from harness.architecture.choices import Recipe
from harness.claims.accuracy import (
    ACCURACY_CHECKS,
    Evidence,
    attnconv_beats_convolution,
    attnconv_beats_local_attention,
    decide,
    gate_nonlinearity,
    head_gain,
)
from harness.claims.ledger import ClaimKind, ReproduceSettings, load_claims
from harness.claims.reproduce import ablation_files
from harness.claims.required import is_called
from harness.claims.verdict import Finding, Verdict
from harness.record.form import AblationRecord
from harness.record.study import StudyRecord
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


BARE = f"{HEAD}-bare"


def placebos(model: str, gain: float = 0.0) -> dict[str, float]:
    """Both, of a model."""
    return {f"{model}: base widened to its {size}": gain for size in ("params", "macs")}


PLACEBOS = placebos(HEAD)
NO_GAIN = {BARE: 0.0, **placebos(BARE)}
"""The other reading of the insertion, which fails."""


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
    finding = head_gain(Evidence([study({HEAD: gain, **placebos(HEAD, placebo), **NO_GAIN})]))
    assert finding.verdict is verdict


def test_one_reading_of_the_insertion_that_gains_over_everything_is_enough_and_both_must_fail() -> None:
    def verdict(residual: float, bare: float) -> Verdict:
        arms = {HEAD: residual, BARE: bare, **PLACEBOS, **placebos(BARE)}
        return head_gain(Evidence([study(arms, from_scratch=True)])).verdict

    assert verdict(0.0, 0.02) is Verdict.REPRODUCED
    assert verdict(0.0, 0.0) is Verdict.REFUTED
    assert verdict(0.0, 0.01) is Verdict.UNDECIDED


# --- A verdict needs every comparison that its rule names ------------------------------------------

WHOLE = {HEAD: 0.02, **PLACEBOS, **NO_GAIN}


def without(record: StudyRecord, name: str, *, state: str = "", left_out: str = "") -> StudyRecord:
    """A study one of whose arms was not trained, ended otherwise, or could not be built."""
    assert record.ablation is not None
    described = record.ablation.to_dict()
    arms = described["arms"]
    identity = next(arm["identity"] for arm in arms if arm["name"] == name)
    its = record.trials["architecture"] == identity
    if state:
        rows = record.trials.assign(
            state=record.trials["state"].mask(its, state), reason=record.trials["reason"].mask(its, "NaN loss")
        )
        return replace(record, trials=rows)
    if left_out:
        described["arms"] = [arm for arm in arms if arm["name"] != name]
        described["left_out"] = [f"'{name}' is left out: {left_out}"]
    return replace(record, trials=record.trials[~its], ablation=AblationRecord.of(described))


def test_with_everything_measured_it_is_reproduced() -> None:
    assert head_gain(Evidence([study(WHOLE)])).verdict is Verdict.REPRODUCED


@pytest.mark.parametrize("size", ["params", "macs"])
@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({}, "not trained yet in study base"),
        ({"state": "failed"}, "all its trainings in study base ended as failed: NaN loss"),
        ({"state": "out_of_memory"}, "all its trainings in study base ended as out of memory: NaN loss"),
        ({"state": "interrupted"}, "not trained yet in study base"),
        ({"left_out": "it cannot be widened so little"}, "study base leaves it out: it cannot be widened so little"),
    ],
)
def test_without_a_placebo_no_gain_is_reproduced_and_it_says_which_is_missing(
    size: str, how: dict[str, str], why: str
) -> None:
    finding = head_gain(Evidence([without(study(WHOLE), f"{HEAD}: base widened to its {size}", **how)]))
    assert finding.verdict is Verdict.UNDECIDED
    arm = {"params": "the base widened to its parameters", "macs": "the base widened to its MACs"}[size]
    assert f"{arm} is missing ({why})" in finding.sentence
    assert finding.to_decide.startswith(f"of {HEAD} {arm} is missing ({why}): ")
    assert any(row.get("missing") == why for row in finding.rows)


def test_a_missing_placebo_cannot_save_what_another_comparison_refutes() -> None:
    gainless = study({**WHOLE, HEAD: 0.0})
    finding = head_gain(Evidence([without(gainless, f"{HEAD}: base widened to its macs")]))
    assert finding.verdict is Verdict.REFUTED


@pytest.mark.parametrize("missing", [{}, {f"{HEAD}: base widened to its params": 0.0}, {BARE: 0.0, **placebos(BARE)}])
def test_a_model_alone_is_never_reproduced(missing: Mapping[str, float]) -> None:
    assert head_gain(Evidence([study({HEAD: 0.02, **missing})])).verdict is Verdict.UNDECIDED


def test_a_reading_that_never_ran_is_not_refuted() -> None:
    finding = head_gain(Evidence([study({HEAD: 0.003, **PLACEBOS})]))
    assert finding.verdict is Verdict.UNDECIDED
    assert finding.to_decide.startswith("of head-bare the model itself is missing (no study here trains it): ")
    failed = head_gain(Evidence([without(study({**WHOLE, HEAD: 0.0}), BARE, state="failed")]))
    assert failed.verdict is Verdict.UNDECIDED
    assert "the model itself is missing (all its trainings in study base ended as failed: NaN loss)" in failed.sentence


def test_both_kinds_of_local_attention_have_to_be_there_to_be_beaten() -> None:
    def found(**others: float) -> Finding:
        arms = {HEAD: 0.0} | {f"{HEAD}: operator {name}": gain for name, gain in others.items()}
        return attnconv_beats_local_attention(Evidence([study(arms)]))

    alone = found(window=-0.01)
    assert alone.verdict is Verdict.UNDECIDED
    assert "the arm 'operator neighbourhood' is missing (study base was run without it)" in alone.sentence
    assert found(window=0.01).verdict is Verdict.REFUTED, "who loses to one kind does not beat both"
    assert found(window=-0.01, neighbourhood=-0.01).verdict is Verdict.REPRODUCED


def test_a_study_that_does_not_try_a_part_says_nothing_of_it() -> None:
    parts = study({HEAD: 0.0, f"{HEAD}: operator conv": -0.01})
    whole = study({HEAD: 0.0}, from_scratch=True)
    assert attnconv_beats_convolution(Evidence([parts, whole])).verdict is Verdict.REPRODUCED


@pytest.mark.parametrize("recipe", list(Recipe))
def test_the_protocols_train_all_that_the_rules_name(recipe: Recipe) -> None:
    """Else a claim stays undecided for ever, for want of an arm that no command trains."""
    settings = ReproduceSettings(protocol=recipe, device="cpu", no_training=True)
    files = ablation_files(settings)
    for model in ("head", "head-bare", "backbone-last", "backbone-last-bare"):
        trying = [file for file in files if any(is_called(name, model) for name in file.models)]
        trying = [file for file in trying if file.placebos]
        assert trying and all(set(file.placebos) == {"params", "macs"} for file in trying), model


# --- Unknown noise ----------------------------------------------------------------------------------


@pytest.mark.parametrize("check", [attnconv_beats_convolution, head_gain])
@pytest.mark.parametrize(
    ("seeds", "scatter", "why"),
    [(1, NEAR, "one seed"), (3, [0.0, 0.0, 0.0], "its seeds do not differ at all")],
)
def test_of_unknown_noise_nothing_is_said_but_that_it_is_unknown(
    check: Callable[[Evidence], Finding], seeds: int, scatter: Sequence[float], why: str
) -> None:
    whole = study({**WHOLE, HEAD: 0.05, f"{HEAD}: operator conv": 0.0}, scatter=scatter)
    finding = check(Evidence([replace(whole, trials=whole.trials[whole.trials["seed"] < seeds])]))
    said = f"{finding.sentence} {finding.to_decide}"
    assert finding.verdict is Verdict.UNDECIDED
    assert f"the noise is unknown: {why}" in finding.to_decide
    assert re.search(rf"\+0\.0(498|500) \(the noise is unknown: {why}\)", finding.sentence)
    assert not re.search(r"nan|10,000|practical purpose|almost exactly", said)
    assert "NaN" not in json.dumps(finding.to_dict())
    assert finding.rows[0]["readings needed"] == "unknown"


def test_a_per_cent_of_map_is_judged_beside_a_point() -> None:
    """Of a baseline of 0.496 one per cent is 0.00496: 0.0075 is above it and below a point."""
    finding = head_gain(Evidence([study({HEAD: 0.0075, **PLACEBOS})]))
    first = dict(finding.rows[0])
    assert (first["verdict, points"], first["verdict, per cent"]) == ("refuted", "reproduced")


def test_noise_leaves_it_undecided_and_says_how_many_seeds_would_do() -> None:
    finding = head_gain(Evidence([study({**WHOLE, HEAD: 0.002}, scatter=[-0.02, 0.0, 0.02])]))
    assert finding.verdict is Verdict.UNDECIDED
    seeds = int(finding.to_decide.split()[0])
    assert seeds > 3
    assert finding.command.startswith("nox -s reproduce -- --data coco.yaml")


def test_what_lies_on_the_claim_is_not_said_to_be_alike() -> None:
    """Its distance from a point is nothing; its gain is not."""
    on_it = head_gain(Evidence([study({**WHOLE, HEAD: 0.01}, scatter=[-0.02, 0.0, 0.02])]))
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


def test_seeds_are_counted_with_the_correction_of_their_own_study() -> None:
    """Twenty comparisons in another study make no interval of this one wider."""
    small = study({HEAD: 0.0, f"{HEAD}: operator conv": -0.0001})
    many = {HEAD: 0.0} | {f"{HEAD}: kernel {kernel}": -0.001 for kernel in range(1, 40, 2)}
    alone, beside = (
        attnconv_beats_convolution(Evidence(records)) for records in ([small], [small, study(many, from_scratch=True)])
    )
    assert alone.to_decide == beside.to_decide
    assert {row["comparisons"] for row in (each.row for each in Evidence([small]).comparisons)} == {2}


def test_what_was_not_measured_is_corrected_for_neither_in_the_interval_nor_in_the_seeds() -> None:
    arms = {HEAD: 0.0, f"{HEAD}: operator conv": -0.0001}
    whole, lost = study(arms), without(study({**arms, f"{HEAD}: se": 0.0}), f"{HEAD}: se")
    alone, beside = (attnconv_beats_convolution(Evidence([record])) for record in (whole, lost))
    assert (alone.figures, alone.to_decide) == (beside.figures, beside.to_decide)


def test_the_number_of_seeds_says_what_the_estimated_noise_makes_of_it() -> None:
    finding = head_gain(Evidence([study({**WHOLE, HEAD: 0.002}, scatter=[-0.02, 0.0, 0.02])]))
    share = re.search(r"power 80 % if the noise is as estimated, (\d+) % on average", finding.to_decide)
    assert share and 50 < int(share[1]) < 80


def test_what_refutes_a_gain_is_said_where_it_is_not_the_baseline() -> None:
    """A sentence that is refuted beside an interval that holds a point would contradict itself."""
    said = head_gain(Evidence([study({HEAD: 0.02, **placebos(HEAD, 0.05)})])).sentence
    assert "refuted (minus baseline +0.0200" in said
    assert "; minus base widened to its params -0.0300 [" in said
    alone = head_gain(Evidence([study({HEAD: -0.02, **placebos(HEAD, 0.0)})])).sentence
    assert "minus base widened" not in alone.partition("bare")[0]


def on(data: str, one: StudyRecord) -> StudyRecord:
    """The same study of other data."""
    return replace(one, settings=one.settings.model_copy(update={"data": data}))


def test_each_data_set_has_its_own_verdict_and_its_own_noise() -> None:
    found = study({**WHOLE, HEAD: 0.7})
    noisy = study({**WHOLE, **NO_GAIN, HEAD: 0.0}, scatter=[-0.1, 0.0, 0.1])
    lost = study({**WHOLE, **NO_GAIN, HEAD: -0.3})
    finding = decide("accuracy.head_gain", [on("/photos/bccd/data.yaml", noisy), on("beacon", found), lost])
    told = [(each.scope, each.verdict) for each in (finding, *finding.elsewhere)]
    assert told == [
        ("digits", Verdict.REFUTED), ("beacon", Verdict.REPRODUCED), ("bccd", Verdict.UNDECIDED)
    ]  # fmt: skip
    assert finding.figures == head_gain(Evidence([lost])).figures
    assert finding.elsewhere[1].sentence.startswith("On bccd: ")
    assert Finding.from_dict(json.loads(json.dumps(finding.to_dict()))).elsewhere[0].scope == "beacon"


def test_data_that_say_nothing_of_a_claim_are_not_beside_it() -> None:
    gains, parts = on("beacon", study(WHOLE)), study({HEAD: 0.0, f"{HEAD}: operator conv": 0.01})
    finding = decide("accuracy.attnconv_beats_convolution", [gains, parts])
    assert (finding.scope, finding.elsewhere) == ("digits", ())
    assert decide("accuracy.gate_nonlinearity", [gains]).sentence == "Nothing has been trained for it yet."
    assert decide("accuracy.gate_nonlinearity", []).verdict is Verdict.UNDECIDED
