"""What a report leaves in a folder is enough for its record: nothing is lost, and nothing bad is believed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal

from harness.architecture import BASELINE, Architecture
from harness.common.errors import UserError
from harness.record.study import (
    ARCHITECTURE,
    ENVIRONMENT,
    EXPECTED_GAINS,
    MODEL_YAML,
    ROLE,
    ROW,
    SETTINGS,
    SPACE,
    TRAINING,
    StudyRecord,
)
from harness.record.tables import DESIGN, SURROUNDINGS, TRIALS, design, is_study, read_study
from harness.report import write_report
from harness.report.write import trials_parquet
from harness.storage.records import record_of
from tests.report import example
from tests.report.ablated import ablation


def stored(source: StudyRecord) -> StudyRecord:
    """The record of an Optuna study of these trainings, as a search leaves it: with choices, classes and failures."""
    study = optuna.create_study(study_name="stored", directions=["maximize", "minimize"])
    study.set_metric_names(["map50_95", "latency"])
    for name, value in {
        SETTINGS: source.settings.to_dict(), SPACE: source.space.to_dict(), EXPECTED_GAINS: [0.1, 0.025],
        ENVIRONMENT: {**source.environment.to_dict(), "time": "2026-01-01T00:00:00+00:00"},
    }.items():  # fmt: skip
        study.set_user_attr(name, value)
    for row in source.trials.to_dict("records"):
        trial = study.ask()
        kind = trial.suggest_categorical("neck.P4:kind", ["none", "attention"])
        if kind != "none":
            trial.suggest_categorical("neck.P4:local_share", [0.0, 0.5])
            trial.suggest_categorical("neck.P4:aggregate_qk", [True, False])
        known = {name: value for name, value in row.items() if not pd.isna(value)}
        for moment in ("started", "finished"):
            known[moment] = known[moment].replace("Z", "+00:00")
        trial.set_user_attr(ROLE, TRAINING)
        trial.set_user_attr(ROW, {**known, "trial": trial.number, "per_class": {"cat": 0.5, "0": 1 / 3}})
        trial.set_user_attr(ARCHITECTURE, source.architectures[row["architecture"]].to_dict())
        trial.set_user_attr(MODEL_YAML, f"# {row['architecture']}: 中文\nnc: 10\n")
        complete = row["state"] == "complete"
        values = [row["map50_95"], row["latency_ms_p50"]] if complete else None
        study.tell(trial, values, state=None if complete else optuna.trial.TrialState.FAIL)
    return record_of(study)


SEARCH = stored(example.winning())
NAMES = ["search", "ablation"]


@pytest.mark.parametrize("record", [SEARCH, replace(ablation(), model_yamls={BASELINE: "nc: 10\n"})], ids=NAMES)
def test_a_record_comes_back_from_its_folder_as_it_was(record: StudyRecord, tmp_path: Path) -> None:
    record = replace(record, trials=record.trials.replace({"started": "Z$", "finished": "Z$"}, "+00:00", regex=True))
    write_report(record, tmp_path)
    found = read_study(tmp_path)
    assert_frame_equal(found.trials, record.trials)
    assert_frame_equal(found.per_class, record.per_class)
    assert_frame_equal(found.choices.chosen, record.choices.chosen, check_index_type=False, check_column_type=False)
    assert_frame_equal(found.choices.outcomes, record.choices.outcomes, check_index_type=False, check_column_type=False)
    assert (found.choices.levels, found.choices.minimized) == (record.choices.levels, record.choices.minimized)
    for each in (found, record):  # a detail that makes no difference is not kept
        assert {name: one.to_dict() for name, one in each.architectures.items()} == design(record)["architectures"]
    for name in ("name", "settings", "environment", "space", "proposals", "expected_gains"):
        assert getattr(found, name) == getattr(record, name), name
    assert (found.model_yamls, found.ablation) == (record.model_yamls, record.ablation)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    write_report(SEARCH, folder)
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A folder of its own for who spoils it."""
    return shutil.copytree(written, tmp_path / "demo")


def test_a_report_of_the_tables_is_byte_for_byte_that_of_the_storage(written: Path, tmp_path: Path) -> None:
    write_report(read_study(written), tmp_path)
    for path in (each for each in written.rglob("*") if each.is_file()):
        assert path.read_bytes() == (tmp_path / path.relative_to(written)).read_bytes(), path.name


def test_gains_are_taken_anew(folder: Path) -> None:
    wrong = SEARCH.trials.assign(gain_map50_95=0.9)
    (folder / TRIALS).write_bytes(trials_parquet(wrong))
    assert_frame_equal(read_study(folder).trials, SEARCH.trials)


def changed(name: str, change: Callable[[Any], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        data = json.loads((folder / name).read_text())
        change(data)
        (folder / name).write_text(json.dumps(data))

    return apply


def of_version(number: int) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        table = pq.read_table(folder / TRIALS)
        pq.write_table(table.replace_schema_metadata({"schema_version": str(number)}), folder / TRIALS)

    return apply


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / DESIGN).unlink(), "there is no study.json"),
        (lambda folder: (folder / TRIALS).write_bytes(b"no table"), "not as clo-nas writes it"),
        (lambda folder: (folder / DESIGN).write_text("{"), "JSONDecodeError"),
        (lambda folder: (folder / SURROUNDINGS).write_text("[]"), "environment.json is no mapping"),
        (of_version(99), "has version 99 of the columns, and this clo-nas reads 1; update it"),
        (changed(SURROUNDINGS, lambda data: data.update(study="../up")), "its study '../up' cannot name a file"),
        (changed(SURROUNDINGS, lambda data: data.pop("settings")), "settings"),
        (changed(SURROUNDINGS, lambda data: data["settings"].update(imgsz="wide")), "settings.imgsz"),
        (changed(DESIGN, lambda data: data["architectures"].update(x={"base": 1, "placements": 2})), "placements"),
        (changed(DESIGN, lambda data: data["choices"].update(parameters=["unknown"])), "parameters of one part"),
        (changed(DESIGN, lambda data: data["choices"]["minimized"].update(beauty=True)), "choices.minimized.beauty"),
        (changed(DESIGN, lambda data: data.update(expected_gains=["much"])), "expected_gains"),
    ],
)
def test_a_folder_that_clo_nas_did_not_leave_so_is_refused_in_one_sentence(
    folder: Path, spoil: Callable[[Path], None], said: str
) -> None:
    spoil(folder)
    with pytest.raises(UserError) as refused:
        read_study(folder)
    assert said in str(refused.value) and str(folder) in str(refused.value) and "\n" not in str(refused.value)


def test_a_column_that_an_older_table_lacks_is_blank(folder: Path) -> None:
    table = pq.read_table(folder / TRIALS)
    pq.write_table(table.drop_columns(["evaluator", "base_seed", "cpu_seconds"]), folder / TRIALS)
    found = read_study(folder).trials
    assert set(found["evaluator"]) == {""} and set(found["base_seed"]) == {0} and found["cpu_seconds"].isna().all()


def test_what_is_a_study_needs_its_trainings_and_its_surroundings(folder: Path) -> None:
    assert is_study(folder) and not is_study(folder.parent)
    assert Architecture(base="yolov5n") == read_study(folder).architectures[BASELINE]
    assert isinstance(read_study(folder).choices.chosen, pd.DataFrame)
