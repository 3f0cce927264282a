"""Controls: each check passes on what a working instrument finds, and fails on what a broken one does."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from harness.architecture import BASELINE, Architecture, Kind, LocalGroup, Placement
from harness.claims.control import (
    LEAST_GAIN,
    Control,
    ControlSettings,
    has_global_heads,
    long_check,
    null_check,
    picked_of,
    planted_checks,
    sees_too_little,
)
from harness.detectors import read_architecture
from harness.jobs.plan import too_few_steps
from harness.record.run_settings import RunSettings
from harness.record.study import StudyRecord
from tests.report.example import frame, record, row

ALL_GLOBAL, HALF, LOCAL = "aaaaaaaa", "bbbbbbbb", "cccccccc"
CHANCE = 0.254
SHAPES = {ALL_GLOBAL: (0, 4), HALF: (2, 2), LOCAL: (4, 0)}


def study(gains: dict[str, list[float]], *, chance: float = CHANCE, epochs: int = 3, first: int = 0) -> StudyRecord:
    """A search whose baseline reaches `chance` under each seed; gains by architecture, the first seed's picks."""
    seeds = range(first, first + max(map(len, gains.values())))
    rows: list[list[dict[str, Any]]] = [[reading(BASELINE, seed, 0.0, chance, epochs) for seed in seeds]]
    for name, values in gains.items():
        rows.append([reading(name, seed, gain, chance, epochs) for seed, gain in zip(seeds, values, strict=False)])
    made = record(frame(*rows))
    shapes = {name: placed(*SHAPES[name]) for name in gains}
    return StudyRecord(**{**vars(made), "architectures": {BASELINE: Architecture(base="nearsighted"), **shapes}})


def reading(name: str, seed: int, gain: float, chance: float, epochs: int) -> dict[str, Any]:
    wobble = 0.001 * (seed % 3)
    return row(name, 0, gain) | {
        "seed": seed,
        "map50_95": chance + wobble + gain,
        "epochs": epochs,
        "selected_on": seed == 0,
    }


def placed(local: int, others: int) -> Architecture:
    groups = (LocalGroup(3, local),) if local else ()
    one = Placement(site="backbone.P3", kind=Kind.ATTENTION, groups=groups, global_heads=others)
    return Architecture(base="nearsighted", placements=(one,))


FOUND = {ALL_GLOBAL: [0.71, 0.705, 0.712, 0.70, 0.708], HALF: [0.70, 0.69, 0.71, 0.705, 0.70], LOCAL: [0.001]}


def test_a_block_without_global_heads_is_tried_whatever_the_sampler_proposes() -> None:
    (file,) = ControlSettings().of_task("beacon").include
    named = read_architecture(file)
    assert named is not None and named.base == "nearsighted" and sees_too_little(named)


def failed(found: StudyRecord) -> list[str]:
    return [check.what for check in planted_checks(found) if not check.passed]


def test_all_checks_hold_where_the_planted_effect_is_found() -> None:
    found = study(FOUND)
    assert failed(found) == []
    assert picked_of(found) in {ALL_GLOBAL, HALF}
    assert "10 of 10 trainings" in planted_checks(found)[1].found


def test_a_search_that_misses_it_fails() -> None:
    said = failed(study({ALL_GLOBAL: [0.0, 0.001, -0.001, 0.0, 0.001], LOCAL: [0.001]}))
    assert len(said) == 3 and said[0].startswith(f"a candidate's observed gain is {LEAST_GAIN:g}")


def test_a_pick_without_global_heads_fails() -> None:
    said = failed(study({LOCAL: FOUND[ALL_GLOBAL], HALF: [0.0]}))
    assert said == ["the pick has global heads"]


def test_a_baseline_that_knows_the_classes_is_no_control() -> None:
    assert failed(study(FOUND, chance=0.6)) == ["the baseline guesses the classes"]


def test_the_table_says_how_many_trainings_learnt() -> None:
    found = study({ALL_GLOBAL: [0.71, 0.705, 0.0, 0.70, 0.708]})
    assert "4 of 5 trainings" in planted_checks(found)[1].found


@pytest.mark.parametrize(("long", "holds"), [([0.72, 0.71, 0.72], True), ([0.60, 0.61, 0.60], False)])
def test_a_long_training_has_to_be_as_good(long: list[float], holds: bool) -> None:
    short, longer = study(FOUND), study({ALL_GLOBAL: long}, epochs=12, first=5)
    both = StudyRecord(**{**vars(short), "trials": pd.concat([short.trials, longer.trials], ignore_index=True)})
    assert long_check(both, ALL_GLOBAL, 12).passed is holds
    assert failed(both) == []  # trainings that came after the pick do not judge it


def test_nothing_may_be_called_on_the_null_task() -> None:
    nothing = study({ALL_GLOBAL: [0.002, 0.001, -0.002, 0.001, 0.0], LOCAL: [0.0]}, chance=0.7)
    assert null_check(nothing).passed and "0 of 1 judged" in null_check(nothing).found
    assert not null_check(study(FOUND, chance=0.2)).passed
    assert not null_check(study({LOCAL: [0.0]}, chance=0.7)).passed  # nothing was judged


def test_global_heads_are_told_from_local_ones() -> None:
    assert [has_global_heads(placed(*shape)) for shape in SHAPES.values()] == [True, True, False]


def test_a_wide_kernel_may_tell_the_nearest_rings() -> None:
    wide = Placement(site="backbone.P3", kind=Kind.ATTENTION, groups=(LocalGroup(9, 4),))
    assert not sees_too_little(Architecture(base="nearsighted", placements=(wide,)))
    assert [sees_too_little(placed(*shape)) for shape in SHAPES.values()] == [False, False, True]


def test_both_searches_are_a_search_s_defaults_but_for_base_data_and_space() -> None:
    for task in ("beacon", "local"):
        given = ControlSettings().of_task(task).model_dump(exclude_unset=True)
        assert set(given) <= {
            "base", "data", "space", "include", "base_epochs", "study", *RunSettings.model_fields,
        }  # fmt: skip
    quick = ControlSettings(quick=True).of_task("beacon")
    assert not too_few_steps(epochs=quick.epochs, images=1280, batch=quick.batch)


def test_scripts_read_whether_it_passed_and_each_check() -> None:
    checks = planted_checks(study(FOUND))
    found = Control(checks=checks, planted=study(FOUND), null=study(FOUND)).to_dict()
    assert found["passed"] is True and set(found) == {"passed", "checks"}
    assert all(set(each) == {"task", "what", "found", "passed"} for each in found["checks"])
    assert json.loads(json.dumps(found)) == found
