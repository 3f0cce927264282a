from __future__ import annotations

import dataclasses

import pandas as pd
import pytest

from harness.architecture import BASELINE, Architecture, Init, Kind, Mode, Placement
from harness.record.form import StudySettings
from harness.record.surroundings import Environment, SpaceSummary
from harness.report import notes
from tests.report import example

RECORD = example.none_gains()


def test_each_number_says_how_it_came_about() -> None:
    said = dict(notes.measured(RECORD))
    assert said["mAP50-95, mAP50"].startswith("Ultralytics 8.4.190's validator, on the validation set")
    assert "interleaved" in said["Latency"]
    assert "fvcore" in said["MACs, parameters"]
    assert said["Training"].startswith("3 epochs, 32 images a batch, 128 pixels; from one trained baseline")


def test_the_evaluator_is_the_one_that_the_rows_name() -> None:
    def said(*evaluators: str) -> str:
        rows = [example.row(BASELINE, seed, evaluator=name) for seed, name in enumerate(evaluators)]
        rows.append(example.failed("a", 0))
        return dict(notes.measured(example.record(example.frame(rows))))["mAP50-95, mAP50"].partition(", on the")[0]

    assert said("COCOeval 1", "COCOeval 1") == "COCOeval 1"
    assert said("COCOeval 1", "U 8") == "COCOeval 1 and, in other rows, U 8"
    assert said("") == said() == "Ultralytics' validator"  # a study from before it was kept; one that just began


def test_how_the_blocks_began_is_what_the_architectures_say() -> None:
    def said(*placements: Placement) -> str:
        architectures = {"a": Architecture(base="yolov5n", placements=placements)}
        return dict(notes.measured(dataclasses.replace(RECORD, architectures=architectures)))["Training"]

    identity = Placement(site="neck.P3", kind="se")
    official = Placement(site="neck.P4", kind="se", init=Init.OFFICIAL, mode=Mode.REPLACE)
    bare = Placement(site="neck.P5", kind=Kind.BARE, global_heads=4)
    assert said(identity).endswith("inserted blocks start as the identity")
    assert said(official, bare).endswith(
        "inserted blocks start as published; 1 took the place of a layer, whose weights are lost"
    )
    assert "start as the identity, but 2 of 3 as published; 1 took" in said(identity, official, bare)


def test_training_from_scratch_is_said() -> None:
    scratch = dataclasses.replace(RECORD, settings=RECORD.settings | {"from_scratch": True})
    assert "random initialisation" in dict(notes.measured(scratch))["Training"]


def test_uncounted_operators_are_listed() -> None:
    record = dataclasses.replace(RECORD, environment=Environment(uncounted={"aten::softmax": 2}))
    assert dict(notes.measured(record))["Not counted in MACs"] == "aten::softmax (2×)"


def test_commands_quote_what_a_shell_would_read() -> None:
    record = dataclasses.replace(
        RECORD, name="a; rm -rf b", environment=Environment(command=("clo", "search", "--data", "my set.yaml"))
    )
    said = dict(notes.row_commands(record, "aaaaaaaa"))
    assert said["Export"] == "clo export 'a; rm -rf b' aaaaaaaa"
    assert said["Train on a full schedule, beside the baseline"] == "clo train 'a; rm -rf b' aaaaaaaa"
    assert "clo search --data 'my set.yaml'" in dict(notes.commands(record)).values()


def test_the_baseline_is_exported_and_measured_with_every_candidate() -> None:
    assert [name for name, _ in notes.row_commands(RECORD, "baseline")] == ["Export"]


def test_what_is_not_known_names_data_and_device() -> None:
    said = " ".join(notes.unknowns(RECORD))
    for part in ("digits", "Example CPU", "the space holds more"):
        assert part in said
    small = dataclasses.replace(RECORD, space=SpaceSummary(size=3))
    assert "outside the search space" in " ".join(notes.unknowns(small))


def test_provenance_is_flat_and_holds_the_space() -> None:
    said = dict(notes.provenance(RECORD))
    assert said["versions.torch"] == "2.13.0"
    assert "123456 distinct architectures" in said["search space"]
    assert "101 M to 190 M MACs" in said["search space"]
    assert "3 repeated" in said["proposals not trained"]


def test_repairs_of_the_data_are_one_entry_and_none_where_there_are_none() -> None:
    def said(*repairs: str) -> dict[str, str]:
        environment = RECORD.environment | {"data_repairs": list(repairs)}
        return dict(notes.provenance(dataclasses.replace(RECORD, environment=environment)))

    assert said("a.json: 1 box clipped.", "b.json: 2 boxes dropped.")["repairs of the data, and what is not used"] == (
        "a.json: 1 box clipped. b.json: 2 boxes dropped."
    )
    assert said().keys() == dict(notes.provenance(RECORD)).keys()
    assert "data_repairs" not in said("a.json: 1 box clipped.")


def test_cautions_about_the_data_are_among_what_is_not_known_and_in_the_provenance() -> None:
    caution = "4 of 4 validation images are training images."
    record = dataclasses.replace(RECORD, environment=RECORD.environment | {"data_cautions": [caution]})
    assert caution in notes.unknowns(record)
    assert dict(notes.provenance(record))["cautions about the data"] == caution
    assert dict(notes.settings_and_surroundings(record))["cautions about the data"] == caution  # an ablation's


def test_a_baseline_that_detects_nothing_is_said_and_one_that_does_is_not() -> None:
    def said(*readings: float) -> str:
        rows = [example.row(BASELINE, seed, map50_95=value) for seed, value in enumerate(readings)]
        return " ".join(notes.unknowns(example.record(example.frame([*rows, example.failed("a", 0)]))))

    assert "The baseline detects nothing: its mAP50-95 is 0.000 in all of its 4 trainings." in said(0, 0, 4e-4, 0)
    assert "detects nothing" not in said(0, 0, 6e-4, 0) and "detects nothing" not in said()


def test_what_was_allowed_of_the_data_is_typed_again() -> None:
    allowed = dataclasses.replace(RECORD, settings=RECORD.settings | {"allow_val_in_train": True})
    typed = dict(notes.row_commands(allowed, "a"))["Measure again, beside the baseline"]
    assert " --allow-val-in-train" in typed and "--allow-unusable" not in typed


def test_a_bare_record_needs_nothing() -> None:
    bare = dataclasses.replace(
        RECORD, settings=StudySettings(), environment=Environment(), space=SpaceSummary(), proposals={}
    )
    assert notes.measured(bare) and notes.unknowns(bare) and notes.provenance(bare)
    assert dict(notes.commands(bare)) == {"Make this report again": "clo report demo"}


def test_the_latency_check_says_whether_its_interval_holds_one() -> None:
    def check(low: float, high: float) -> str:
        environment = Environment.of({"latency_aa_check": {"ratio": 1.01, "ratio_ci95": [low, high]}})
        return dict(notes.measured(dataclasses.replace(RECORD, environment=environment)))["Latency check"]

    assert check(0.99, 1.03) == (
        "the baseline against its own copy in the same way: 1.010× [0.990, 1.030] 95 %; "
        "the interval holds 1, as it should"
    )
    assert check(1.005, 1.03).endswith("the interval misses 1: distrust small ratios")
    assert "Latency check" not in dict(notes.measured(dataclasses.replace(RECORD, environment=Environment())))


def test_the_space_and_the_proposals_say_what_the_bounds_on_cost_left_out() -> None:
    bounded = dataclasses.replace(
        RECORD,
        space=RECORD.space | {"feasible": None, "feasible_share": 0.0312},
        proposals={"duplicate": 3, "infeasible": 7},
    )
    said = dict(notes.provenance(bounded))
    assert "3.1 % within the bounds on parameters and MACs" in said["search space"]
    assert "7 were above a bound" in said["proposals not trained"]
    assert "within the bounds" not in dict(notes.provenance(RECORD))["search space"]


@pytest.mark.parametrize(
    ("control", "said"),
    [
        ({"passed": None}, "none was run with this version"),
        ({"passed": True, "quick": True, "when": "2026-11-29T10:00:00+00:00"}, "quick, 2026-11-29: passed"),
        ({"passed": False, "when": "2026-11-29T10:00:00+00:00"}, "2026-11-29: FAILED"),
    ],
)
def test_the_last_control_is_named(control: dict[str, object], said: str) -> None:
    kept = example.winning()
    environment = Environment.of({**kept.environment.to_dict(), "control": control})
    found = dict(notes.provenance(dataclasses.replace(kept, environment=environment)))
    assert found["last control"].startswith(said)
    assert not any(name.startswith("control") for name in found)
    assert "last control" not in dict(notes.provenance(kept))  # of a study from before it was kept


def test_longer_trainings_say_how_they_were_run() -> None:
    record = example.winning()
    long = record.trials[record.trials["architecture"].isin(["baseline", "77e0b1aa"])].assign(epochs=12)
    both = dataclasses.replace(record, trials=pd.concat([record.trials, long[long["seed"] > 0]], ignore_index=True))
    assert notes.trained_longer(both) == [("77e0b1aa", 12, "1,2,3")]
    assert "clo train demo 77e0b1aa --epochs 12 --seeds 1,2,3" in dict(notes.commands(both)).values()
    assert "77e0b1aa and the baseline for 12 epochs under seeds 1,2,3" in dict(notes.measured(both))["Training"]
    assert notes.trained_longer(record) == []
