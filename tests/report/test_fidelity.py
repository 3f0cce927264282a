"""What a fidelity study says of itself, and what the report of a search at the same setting quotes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.analysis.fidelity import fidelity
from harness.architecture import BASELINE
from harness.common.resources import reference_folder
from harness.report.fidelity import known_fidelity, write_fidelity, write_setting

SCHEDULE = {"epochs": 3, "learning_rate": 1e-3, "block_rate_factor": 5.0, "from_scratch": False}
PLAN = {"name": "demo", "base": "yolov5n", "data": "digits", "imgsz": 128, "batch": 16, "base_epochs": 20}
SETTING: dict[str, Any] = {
    "plan": PLAN
    | {
        "cohort": {"default": 6},
        "long": SCHEDULE | {"name": "long", "epochs": 24, "averaged_tail": 0.3},
        "short": [SCHEDULE | {"name": "short", "averaged_tail": 0.3}],
    },
    "base_fingerprint": "b",
    "data_fingerprint": "d",
    "environment": {},
}
STUDY = PLAN | SCHEDULE | {"base_fingerprint": "b", "data_fingerprint": "d", "device_kind": "cpu", "space": "default"}


def trainings(long: bool = True) -> pd.DataFrame:
    def rows(schedule: str, seed: int, sign: int) -> list[dict[str, Any]]:
        names = [BASELINE, *(f"a{n}" for n in range(6))]
        return [
            {
                "schedule": schedule,
                "seed": seed,
                "architecture": name,
                "space": "default",
                "state": "complete",
                "map50_95": 0.4 + sign * n / 100,
                "cpu_seconds": 20.0,
            }
            for n, name in enumerate(names)
        ]

    return pd.DataFrame(rows("short", 0, 1) + (rows("long", 9, 1) + rows("long", 10, 1) if long else []))


def said_of(study: dict[str, Any], folders: list[Path]) -> str:
    """What is known; for studies of which something is."""
    said = known_fidelity(study, folders)
    assert said is not None
    return said


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_setting(SETTING, tmp_path / "demo")
    write_fidelity(trainings(), SETTING["plan"], tmp_path / "demo")
    return tmp_path


def test_a_study_at_the_same_setting_quotes_it(folder: Path) -> None:
    said = said_of(STUDY, [folder / "empty", folder])
    assert "3 epochs order 6 random architectures of default as 24 epochs do" in said
    assert "Kendall's τ 1.00 no interval with one seed" in said  # all resamples agree
    assert "Of 15 pairs that differ by 0.01 mAP or more" in said
    assert "100 % are ordered alike (1 seed); 5 architectures carry them: every pair holds one of these." in said
    assert "different seeds agree with τ 1.00" in said


@pytest.mark.parametrize(
    "change",
    [{"epochs": 4}, {"data_fingerprint": "other"}, {"imgsz": 640}, {"base": "yolov8n"}, {"device_kind": "NVIDIA"},
     {"space_file": {"placement": {"init": ["residual"]}}}],
)  # fmt: skip
def test_a_study_at_another_setting_says_that_none_is_known(folder: Path, change: dict[str, Any]) -> None:
    assert known_fidelity(STUDY | change, [folder]) is None


def test_a_study_whose_blocks_start_as_those_that_were_measured_quotes_it(tmp_path: Path, folder: Path) -> None:
    study = STUDY | {"space_file": {"placement": {"init": ["residual"]}}}
    assert said_of(STUDY | {"space_file": {"placement": {"init": ["identity"]}}}, [folder])
    setting = SETTING | {"plan": SETTING["plan"] | {"init": "residual"}}
    write_setting(setting, tmp_path / "new" / "demo")
    write_fidelity(trainings(), setting["plan"], tmp_path / "new" / "demo")
    assert said_of(study, [tmp_path / "new"])


def test_a_study_of_another_space_hears_which_spaces_the_architectures_are_of(tmp_path: Path) -> None:
    setting = SETTING | {"plan": SETTING["plan"] | {"cohort": {"default": 6, "inside": 6}}}
    rows = trainings()
    rows.loc[rows.architecture.isin(["a0", "a1"]), "space"] = "inside"
    write_setting(setting, tmp_path / "demo")
    write_fidelity(rows, setting["plan"], tmp_path / "demo")
    assert "6 random architectures of default and inside" in said_of(STUDY | {"space": "mine"}, [tmp_path])
    assert known_fidelity(STUDY, [tmp_path]) is None  # four of its own space are too few


def test_architectures_that_do_not_differ_are_said_to(tmp_path: Path) -> None:
    rows = trainings()
    rows["map50_95"] = 0.4 + (rows["map50_95"] - 0.4) / 100
    write_setting(SETTING, tmp_path / "demo")
    write_fidelity(rows, SETTING["plan"], tmp_path / "demo")
    assert "No two of them differ by 0.01 mAP" in said_of(STUDY, [tmp_path])


def test_a_long_training_without_its_baseline_is_no_conclusion(tmp_path: Path) -> None:
    rows = trainings()
    rows.loc[(rows.schedule == "long") & (rows.architecture == BASELINE), "state"] = "failed"
    assert write_fidelity(rows, SETTING["plan"], tmp_path / "demo").empty


def test_the_long_schedule_with_another_seed_says_what_noise_leaves(tmp_path: Path) -> None:
    again = trainings()
    again.loc[again.seed == 10, "schedule"] = "again"
    short = [*SETTING["plan"]["short"], SCHEDULE | {"name": "again", "epochs": 24, "averaged_tail": 0.3}]
    setting = SETTING | {"plan": SETTING["plan"] | {"short": short}}
    write_setting(setting, tmp_path / "demo")
    write_fidelity(again, setting["plan"], tmp_path / "demo")
    assert "different seeds agree with τ 1.00 no interval on 6 of them" in said_of(STUDY, [tmp_path])


def test_before_the_first_long_training_nothing_is_known(tmp_path: Path) -> None:
    write_setting(SETTING, tmp_path / "demo")
    table = write_fidelity(trainings(long=False), SETTING["plan"], tmp_path / "demo")
    assert table.empty
    assert "7 trainings" in (tmp_path / "demo" / "README.md").read_text()
    assert known_fidelity(STUDY, [tmp_path]) is None


def test_the_page_has_a_table_for_the_cohort_and_for_each_space(folder: Path) -> None:
    page = (folder / "demo" / "README.md").read_text()
    assert "## The whole cohort" in page and "## Architectures of space `default` alone" in page
    assert "| short | 1 | 6 | 20 | — | — | — | 1.00 no interval | 1.00 no interval | 15 | 5 |" in page
    assert json.loads((folder / "demo" / "setting.json").read_text()) == SETTING


def test_the_reference_study_is_what_its_trainings_say() -> None:
    """The committed table follows from the committed trainings, by today's code."""
    folder = reference_folder() / "fidelity" / "default"
    long = json.loads((folder / "setting.json").read_text())["plan"]["long"]["name"]
    computed = fidelity(pd.read_csv(folder / "trainings.csv"), long)
    committed = pd.read_csv(folder / "fidelity.csv")
    pd.testing.assert_frame_equal(computed, committed, check_dtype=False, atol=2e-5)


def test_pairs_that_all_hold_one_architecture_are_said_to_be_one_observation(tmp_path: Path) -> None:
    rows = trainings()
    other = rows.architecture.isin([BASELINE, "a5"])
    rows.loc[~other, "map50_95"] = 0.4 + (rows.loc[~other, "map50_95"] - 0.4) / 100
    write_setting(SETTING, tmp_path / "demo")
    write_fidelity(rows, SETTING["plan"], tmp_path / "demo")
    said = said_of(STUDY, [tmp_path])
    assert "Of 5 pairs that differ by 0.01 mAP or more after the long training, 100 % are ordered alike" in said
    assert "all of them hold one architecture, so that this is one observation." in said
