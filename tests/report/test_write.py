from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from harness.common.atomic import write_whole
from harness.common.errors import UserError
from harness.record.study import StudyRecord
from harness.report import closing, write_report
from harness.report.search import search_content
from harness.report.write import TRIAL_COLUMNS
from tests.report import example

FILES = {
    "report.html",
    "report.md",
    "pareto.png",
    "pareto.svg",
    "trials.csv",
    "trials.parquet",
    "per_class.csv",
    "front.csv",
    "importance.csv",
    "effects.csv",
    "environment.json",
    "study.json",
    "architectures",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "demo"
    per_class = pd.DataFrame({"cat": [0.5, 0.25]}, index=pd.Index([0, 3], name="trial"))
    write_report(
        replace(example.winning(), per_class=per_class),
        folder,
        model_yamls={"baseline": "nc: 10\n", "3fa9c1d2": "nc: 11\n"},
    )
    return folder


def test_all_files_are_there_and_no_temporary_one(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == FILES
    assert (folder / "architectures" / "3fa9c1d2.yaml").read_text() == "nc: 11\n"


def test_ap_of_each_class_has_a_file_where_it_is_known(folder: Path) -> None:
    assert (folder / "per_class.csv").read_text() == "trial,cat\n0,0.5\n3,0.25\n"


def test_trials_csv_opens_with_the_contracts_columns(folder: Path) -> None:
    trials = pd.read_csv(folder / "trials.csv")
    assert tuple(trials.columns[: len(TRIAL_COLUMNS)]) == TRIAL_COLUMNS
    assert len(trials) == 4 + 3 * 4 + 8 + 1
    assert trials["architecture"].iloc[0] == "baseline"
    complete = trials[trials["state"] == "complete"]
    controls = complete[complete["architecture"] == "baseline"].set_index("seed")["map50_95"]
    differences = complete["map50_95"] - complete["seed"].map(controls)
    assert differences.tolist() == pytest.approx(complete["gain_map50_95"].tolist())


def test_trials_parquet_has_the_rows_columns_and_values_of_the_csv(folder: Path) -> None:
    csv, parquet = pd.read_csv(folder / "trials.csv"), pd.read_parquet(folder / "trials.parquet")
    assert list(parquet) == [*csv, "image_influence"]
    numbers = parquet.select_dtypes("number").columns
    pd.testing.assert_frame_equal(parquet[numbers].astype(float), csv[numbers].astype(float))
    assert parquet["architecture"].tolist() == csv["architecture"].tolist()


def test_counts_are_written_as_whole_numbers(folder: Path) -> None:
    first = (folder / "trials.csv").read_text().splitlines()[1].split(",")
    assert first[TRIAL_COLUMNS.index("macs")] == "100000000"
    assert first[TRIAL_COLUMNS.index("seed")] == "0"


def test_front_csv_says_which_front_and_on_what_evidence(folder: Path) -> None:
    front = pd.read_csv(folder / "front.csv", index_col="architecture")
    assert set(front.index) == {"baseline", "3fa9c1d2", "77e0b1aa", "09ab33f1"}
    assert front["verdict"].to_dict()["3fa9c1d2"] == "gain"
    assert front["standing"].to_dict()["09ab33f1"] == "screening only"
    assert front["front_latency"].all() and front["front_macs"].all()


def test_environment_json_holds_surroundings_settings_and_space(folder: Path) -> None:
    data = json.loads((folder / "environment.json").read_text())
    assert data["command"] == "clo search --trials 12 --study demo"
    assert data["settings"]["seeds"] == 4
    assert data["space"]["size"] == 123456
    assert data["study"] == "demo"


def test_the_records_own_models_are_written_when_none_are_given(tmp_path: Path) -> None:
    write_report(example.record(example.frame(example.baseline(0))), tmp_path)
    assert (tmp_path / "architectures" / "baseline.yaml").read_text().startswith("# baseline")


@pytest.mark.parametrize(
    "groups",
    [[], [[example.failed("a", 0), example.failed("b", 0, "interrupted", "stopped by Ctrl-C")]]],
    ids=["nothing", "only failures"],
)
def test_a_study_that_has_nothing_to_show_is_written_all_the_same(
    tmp_path: Path, groups: list[list[dict[str, object]]]
) -> None:
    write_report(example.record(example.frame(*groups)), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES - {"per_class.csv"}
    assert len(pd.read_csv(tmp_path / "trials.csv")) == sum(map(len, groups))


def test_columns_that_were_not_recorded_are_empty(tmp_path: Path) -> None:
    trials = example.frame(example.baseline(0)).drop(columns=["map50", "latency_ratio", "latency_ms_p50"])
    write_report(example.record(trials.assign(map50=float("nan"))), tmp_path)
    assert pd.read_csv(tmp_path / "trials.csv")["latency_ratio"].isna().all()


@pytest.mark.parametrize("name", ["../evil", "a/b", ".hidden", ""])
def test_an_identity_never_leaves_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a file"):
        write_report(example.record(example.frame()), tmp_path / "in", model_yamls={name: "x"})
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"cannot be written .* safe in its storage"):
        write_report(example.record(example.frame()), tmp_path / "file")


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "front.csv"
    target.write_text("old")

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(target, b"new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_importances_and_effects_have_files_in_full(tmp_path: Path) -> None:
    record = replace(example.winning(), choices=example.choices(40))
    write_report(record, tmp_path)
    shares, effects = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("importance", "effects"))
    assert list(shares.columns) == ["objective", "method", "parameter", "importance", "spread"]
    assert set(effects["parameter"]) == {"neck.P4:kind", "neck.P4:kernel"}
    assert effects["significant"].any()


def test_what_matters_is_written_without_torch() -> None:
    code = (
        "import sys; from tests.report import example; from harness.report.choices import what_matters; "
        "found = what_matters(example.choices(20), 3); "
        "print(len(found.importances), *({'torch', 'ultralytics'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 0


def test_reading_a_report_needs_neither_torch_nor_ultralytics() -> None:
    code = (
        "import sys; import harness.report, harness.analysis.statistics; "
        "print(*({'torch', 'ultralytics', 'optuna'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    "record",
    [example.winning(), example.none_gains(), example.record(example.frame())],
    ids=["winners", "no winner", "nothing"],
)
def test_the_last_words_are_the_same_from_the_record_and_from_what_its_report_says(record: StudyRecord) -> None:
    assert closing(record, search_content(record)) == closing(record)


def test_scripts_read_how_many_finished_and_who_is_on_a_front() -> None:
    found = closing(example.winning())
    assert (found["study"], found["finished"], found["failed"]) == ("demo", 11, 1)
    assert found["picked"] == {
        "gain": pytest.approx(0.011), "ci95": found["picked"]["ci95"], "verdict": "gain", "seeds": 3
    }  # fmt: skip
    low, high = found["picked"]["ci95"]
    assert 0 < low < 0.011 < high and closing(example.none_gains())["picked"] is None
    assert set(found["front"]) == {"baseline", "3fa9c1d2", "77e0b1aa", "09ab33f1"}
