"""What a tracker is sent is what `trials.csv` says; sent twice, it is there once. Each is read by its own reader.

The trackers are optional: what needs one is skipped where it is not installed.
"""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import io
import math
import os
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.common.errors import UserError
from harness.export.trackers import KEY, Run, Tracker, require, runs_of, send, study_run
from harness.record.study import StudyRecord
from harness.report.write import trials_csv
from harness.training.curve import curve_of_epochs, curve_path, write_curve
from harness.training.image_matches import matches_path, read_matches, write_matches
from tests.report import example, test_images, test_learning_curves

FIRST = "baseline-3epochs-base0-seed0"
NOT_INSTALLED = "needs {0}: pip install 'clo-nas[{0}]'"


def study(folder: Path, record: StudyRecord) -> Path:
    """The folder of a report, as far as trackers read it."""
    test_learning_curves.kept(folder, record)
    (folder / "trials.csv").write_text(trials_csv(record.trials), encoding="utf-8")
    (folder / "report.html").write_text("<p>the report</p>", encoding="utf-8")
    return folder


def named(runs: tuple[Run, ...]) -> dict[str, Run]:
    found = {run.name: run for run in runs}
    assert len(found) == len(runs)
    return found


def with_rows(record: StudyRecord, *rows: dict[str, Any]) -> StudyRecord:
    known = [{str(name): value for name, value in row.items()} for row in record.trials.to_dict("records")]
    return dataclasses.replace(record, trials=example.frame(known, list(rows)))


def small() -> StudyRecord:
    """A baseline and a candidate under two seeds, and a training that ran out of memory."""
    failed = example.failed("f0f1f2f3", 0, "out_of_memory", "9.1 GB asked for")
    return example.record(
        example.frame(example.baseline(0, 1), example.candidate("77e0b1aa", [0.018, 0.012]), [failed])
    )


def hostile() -> StudyRecord:
    """Texts that are commands, no UTF-8, or endless; values that are no numbers; settings of another version."""
    bad = example.row("3fa9c1d2", 3, 0.1, latency_ratio=math.inf, macs=math.nan, train_seconds=1e30)
    texts = {"reason": "\x1b[2J\n\x00 <b>" + "x" * 20_000, "started": "never", "finished": "9999-99-99"}
    record = with_rows(small(), bad | texts, example.row("baseline", 3))
    settings = {"base": "../\x00", "new\n../option": 1, "learning_rate": math.nan, "block_files": {"\ud800": "a"}}
    return dataclasses.replace(record, name="-a.b@c", settings=record.settings | settings)


def test_runs_are_the_rows_of_trials_csv(tmp_path: Path) -> None:
    for record in (example.winning(), example.none_gains()):
        rows = list(csv.DictReader(io.StringIO(trials_csv(record.trials))))
        runs = runs_of(record, tmp_path)
        assert len(runs) == len(rows) == len(named(runs))
        for run, row in zip(runs, rows, strict=True):
            assert run.params.keys().isdisjoint(run.metrics)
            assert {*run.params, *run.metrics} == {name for name, text in row.items() if text}
            assert {name: float(row[name]) for name in run.metrics} == run.metrics
            assert {name: row[name] for name in run.params} == {name: str(value) for name, value in run.params.items()}
            assert run.name == f"{row['architecture']}-{row['epochs']}epochs-base{row['base_seed']}-seed{row['seed']}"
            assert run.points == ({0: run.metrics} if run.metrics else {})


def test_a_curve_is_logged_by_step_and_ends_with_the_metrics(tmp_path: Path) -> None:
    record = small()
    runs = named(runs_of(record, study(tmp_path, record)))
    run = runs[FIRST]
    assert list(run.points) == list(range(1, test_learning_curves.STEPS + 1))
    assert run.points[1] == {"cls_loss": 1.2, "learning_rate": 0.001, "learning_rate_blocks": 0.005}
    assert run.points[300].items() >= run.metrics.items() and run.points[300]["cls_loss"] == pytest.approx(0.2)
    assert list(runs["f0f1f2f3-3epochs-base0-seed0"].points) == [0]


def test_a_curve_of_epochs_is_logged_by_epoch_and_what_is_no_curve_is_not(tmp_path: Path) -> None:
    rows = [{"epoch": str(n), "train/cls_loss": str(1 / n), "metrics/mAP50-95(B)": str(n / 10)} for n in (1, 2, 3)]
    write_curve(curve_of_epochs(rows), curve_path(tmp_path / "curves", "baseline", 3, 0, 0))
    strange = pd.DataFrame({"epoch": ["a", "1", "2"], "step": [math.inf, -1, 1e300], "other": 1, "cls_loss": 2.0})
    strange.to_parquet(curve_path(tmp_path / "curves", "baseline", 3, 0, 1))
    runs = named(runs_of(small(), tmp_path))
    assert [run.get("cls_loss") for run in runs[FIRST].points.values()] == [1, 1 / 2, pytest.approx(1 / 3)]
    assert [run.get("ultralytics_map50_95") for run in runs[FIRST].points.values()] == [0.1, 0.2, pytest.approx(0.3)]
    assert list(runs["baseline-3epochs-base0-seed1"].points) == [0]


def test_a_training_that_was_run_again_does_not_take_the_others_name(tmp_path: Path) -> None:
    again = example.failed("77e0b1aa", 2, "interrupted", "killed"), example.row("77e0b1aa", 2, 0.01)
    runs = runs_of(with_rows(small(), *again), tmp_path)
    assert [(run.name, run.state) for run in runs[-2:]] == [
        ("77e0b1aa-3epochs-base0-seed2-trial5", "interrupted"), ("77e0b1aa-3epochs-base0-seed2", "complete"),
    ]  # fmt: skip


def test_settings_are_the_studys_parameters_without_what_is_empty() -> None:
    params = study_run(small()).params
    assert params.items() >= {"base": "yolov5n", "imgsz": 128, "from_scratch": False}.items()
    assert params["objectives"] == '["map50_95", "latency"]'
    changed = dataclasses.replace(small(), settings=small().settings | {"space": None, "include": [], "rungs": ""})
    assert study_run(changed).params.keys() == params.keys() - {"space", "include", "rungs"}


def test_what_is_hostile_is_text_without_commands_of_bounded_length(tmp_path: Path) -> None:
    record = hostile()
    run = runs_of(record, tmp_path)[-2]
    assert run.metrics["train_seconds"] == 1e30 and not {"latency_ratio", "macs"} & run.metrics.keys()
    assert (
        str(run.params["reason"]).startswith("\ufffd[2J\ufffd\ufffd <b>xxx") and len(str(run.params["reason"])) == 5_000
    )
    assert (run.when("started"), run.when("finished")) == (None, None)
    params = study_run(record).params
    assert params["base"] == "../\ufffd" and not {"new\n../option", "learning_rate"} & params.keys()


@pytest.mark.parametrize("tracker", Tracker)
def test_a_tracker_that_is_not_installed_is_named_with_what_installs_it(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, tracker.value, None)  # as Python marks what cannot be imported
    said = f'--log {tracker} needs {tracker}, which is not installed: pip install "clo-nas[{tracker}]"'
    with pytest.raises(UserError) as refused:
        require([tracker])
    assert str(refused.value) == said
    monkeypatch.delitem(sys.modules, tracker.value)
    (tmp_path / tracker).mkdir()  # W&B's own folder, where `python -m harness` is run
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(UserError):
        require([tracker])


# --- FiftyOne -----------------------------------------------------------------------------------


@pytest.fixture
def fiftyone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """FiftyOne with a database: its own, or that of FIFTYONE_DATABASE_URI. After MLflow it cannot be imported."""
    if importlib.util.find_spec("fiftyone") is None:
        pytest.skip(NOT_INSTALLED.format("fiftyone"))
    monkeypatch.setenv("FIFTYONE_DO_NOT_TRACK", "true")
    monkeypatch.setenv("FIFTYONE_DATABASE_DIR", str(tmp_path / "database"))
    try:
        import fiftyone as found

        found.list_datasets()
    except Exception as error:  # noqa: BLE001 - whatever keeps MongoDB from starting
        pytest.skip(f"FiftyOne's database cannot start: {error}")
    return found


def test_fiftyone_shows_what_is_there_what_the_baseline_found_and_what_the_pick_found(
    tmp_path: Path, fiftyone: Any
) -> None:
    paths = test_images.photographs(tmp_path / "data")
    record = dataclasses.replace(test_images.kept(tmp_path, paths), name=f"clo-nas-test-{os.getpid()}")
    Path(paths[7]).unlink()
    file = matches_path(tmp_path / "matches", "77e0b1aa", 3, 0, 1)
    write_matches(dataclasses.replace(read_matches(file), classes=["\x1b[2J", ""]), file)
    try:
        for _ in range(2):
            said = send(Tracker.FIFTYONE, record, tmp_path)
            assert said.startswith("fiftyone: 39 images") and said.endswith("; not found: 1")
        made = fiftyone.load_dataset(record.name)
        assert len(made) == 39 and made.persistent
        sample = made[paths[test_images.BETTER[0]]]
        assert [len(sample[name].detections) for name in ("ground_truth", "baseline", "77e0b1aa")] == [2, 2, 2]
        cat, dog = sample["ground_truth"].detections
        assert (cat.label, dog.label) == ("cat", "dog <b>") and cat.confidence is None
        np.testing.assert_allclose(dog.bounding_box, [0.5, 0.5, 0.4, 0.3], atol=1e-4)
        assert [each.confidence for each in sample["baseline"].detections] == pytest.approx([0.9, 0.3])
        assert [each.label for each in sample["77e0b1aa"].detections] == ["\ufffd[2J", ""]
        made.info = {}
        made.save()
        with pytest.raises(UserError, match=r"there is a data set .* that clo-nas did not make"):
            send(Tracker.FIFTYONE, record, tmp_path)
    finally:
        fiftyone.delete_dataset(record.name)


# --- MLflow -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real server on this machine."""
    pytest.importorskip("mlflow", reason=NOT_INSTALLED.format("mlflow"))
    folder, address = tmp_path_factory.mktemp("mlflow"), f"http://127.0.0.1:{_free_port()}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", address.rpartition(":")[2]]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder / 'runs.db'}"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    paths = os.pathsep.join(filter(None, sys.path))
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    with (folder / "log").open("w") as log, subprocess.Popen(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": paths, **quiet}, stdout=log, stderr=log
    ) as server:  # fmt: skip
        try:
            _wait_for(f"{address}/health", server)
            yield address
        finally:
            server.terminate()


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def _wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(240):
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            assert server.poll() is None, "the server ended"
            time.sleep(0.5)
    raise AssertionError("the server does not answer")


class Logged:
    """An experiment as MLflow's client reads it."""

    def __init__(self, address: str, name: str) -> None:
        from mlflow import MlflowClient

        self.client = MlflowClient(tracking_uri=address)
        experiment = self.client.get_experiment_by_name(name)
        self.runs = {run.info.run_name: run for run in self.client.search_runs([experiment.experiment_id])}
        self.parent = self.runs.pop(name)

    @property
    def identities(self) -> dict[str, str]:
        return {name: run.info.run_id for name, run in self.runs.items()}

    def __getitem__(self, name: str) -> Any:
        return self.runs[name]


@pytest.mark.slow
def test_mlflow_has_the_study_its_trainings_and_their_curves_once(
    tmp_path: Path, mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    record = with_rows(small(), example.failed("77e0b1aa", 2, "interrupted", "killed"))
    folder = study(tmp_path, record)
    assert send(Tracker.MLFLOW, record, folder) == f"mlflow: 6 trainings in experiment demo at {mlflow_server}"
    first = Logged(mlflow_server, "demo")
    expected = named(runs_of(record, folder))
    assert first.runs.keys() == expected.keys()
    for name, run in expected.items():
        data = first[name].data
        assert data.metrics == {**run.points[max(run.points)], **run.metrics}  # by name the latest
        assert data.params == {name: str(value) for name, value in run.params.items()}
        assert data.tags[KEY] == name and data.tags["mlflow.parentRunId"] == first.parent.info.run_id
    losses = first.client.get_metric_history(first[FIRST].info.run_id, "cls_loss")
    assert [(each.step, each.value) for each in losses] == [
        (at, e["cls_loss"]) for at, e in expected[FIRST].points.items()
    ]
    assert first[FIRST].info.end_time - first[FIRST].info.start_time == 30_000
    states = [
        first[name].info.status for name in (FIRST, "f0f1f2f3-3epochs-base0-seed0", "77e0b1aa-3epochs-base0-seed2")
    ]
    assert states == ["FINISHED", "FAILED", "KILLED"]
    assert first.parent.data.params["imgsz"] == "128"
    artefacts = first.client.list_artifacts(first.parent.info.run_id)
    assert sorted(each.path for each in artefacts) == ["report.html", "trials.csv"]

    send(Tracker.MLFLOW, record, folder)
    again = Logged(mlflow_server, "demo")
    assert again.identities == first.identities and again.parent.info.run_id == first.parent.info.run_id
    assert len(again.client.get_metric_history(again[FIRST].info.run_id, "cls_loss")) == len(losses)

    more = with_rows(small(), example.row("77e0b1aa", 2, 0.011))  # the interrupted one was run again, with more to do
    send(Tracker.MLFLOW, dataclasses.replace(more, settings=more.settings | {"trials": 40}), folder)
    last = Logged(mlflow_server, "demo")
    assert {name for name, run in last.identities.items() if first.identities[name] != run} == {
        "77e0b1aa-3epochs-base0-seed2"
    }
    assert last.parent.data.params["trials"] == "40"
    assert {run.data.tags["mlflow.parentRunId"] for run in last.runs.values()} == {last.parent.info.run_id}


@pytest.mark.slow
def test_mlflow_without_a_server_is_a_folder_of_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow", reason=NOT_INSTALLED.format("mlflow"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    record = hostile()
    folder = study(tmp_path / "results ?%", record)
    said = send(Tracker.MLFLOW, record, folder)
    assert said.startswith("mlflow: 7 trainings in experiment -a.b@c at sqlite:///")
    assert len(Logged(said.rpartition(" at ")[2], record.name).runs) == 7
    assert [path.name for path in (folder / "mlruns" / "artifacts").rglob("*.html")] == ["report.html"]
    assert list(Path.cwd().iterdir()) == []


def test_a_server_that_is_away_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow", reason=NOT_INSTALLED.format("mlflow"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:hidden@127.0.0.1:{_free_port()}")
    folder = study(tmp_path, small())
    before = sorted(folder.rglob("*"))
    with pytest.raises(
        UserError, match=r"^--log mlflow: .*; the study is whole in .*, and `clo report` with --log mlflow"
    ) as refused:
        send(Tracker.MLFLOW, small(), folder)
    assert "hidden" not in str(refused.value)
    assert sorted(folder.rglob("*")) == before


# --- TensorBoard --------------------------------------------------------------------------------


def events(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()


def test_tensorboard_reads_every_training_written_anew(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason=NOT_INSTALLED.format("tensorboard"))
    record = hostile()
    folder = study(tmp_path, record)
    own = folder / "tensorboard" / FIRST / "events.out.tfevents.1.mine"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"")
    for _ in range(2):
        assert send(Tracker.TENSORBOARD, record, folder).startswith("tensorboard: 7 trainings in ")
        assert len(list((folder / "tensorboard").rglob("*.clo_nas"))) == 7
    assert own.is_file()
    for name, run in named(runs_of(record, folder)).items():
        read = events(folder / "tensorboard" / name)
        tags = {tag for values in run.points.values() for tag in values}
        assert set(read.Tags()["scalars"]) == tags
        for tag in tags:
            found = {each.step: each.value for each in read.Scalars(tag)}
            expected = {step: values[tag] for step, values in run.points.items() if tag in values}
            assert found == {step: pytest.approx(np.float32(value)) for step, value in expected.items()}


# --- Weights & Biases ---------------------------------------------------------------------------


def records(file: Path) -> Iterator[Any]:
    """What W&B's file of an offline run holds: LevelDB's log, in blocks of 32 KiB, of its own messages."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, part = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        left = 32_768 - at % 32_768
        if left < 7:
            at += left
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        part += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in {1, 4}:  # whole, or the last part
            yield Record.FromString(part)
            part = b""


def test_wandb_keeps_a_group_of_runs_here_where_nobody_is_logged_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason=NOT_INSTALLED.format("wandb"))
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    record = hostile()
    folder = study(tmp_path / "results", record)
    for _ in range(2):
        said = send(Tracker.WANDB, record, folder)
        assert (
            said.startswith("wandb: 7 trainings in group -a.b@c, by way of ") and "; offline, since nobody is" in said
        )
        files = sorted((folder / "wandb").glob("offline-run-*/run-*.wandb"))
        assert len(files) == 8
    found = {each.run.display_name: list(records(file)) for file in files for each in records(file) if each.run.run_id}
    expected = named(runs_of(record, folder))
    assert found.keys() == {"-a.b@c", *expected}
    assert {e.run.job_type for each in found.values() for e in each if e.run.run_id} == {"study", "training"}
    assert {e.run.run_group for each in found.values() for e in each if e.run.run_id} == {"-a.b@c"}
    for name, run in expected.items():
        steps = [each.history for each in found[name] if each.HasField("history")]
        assert [each.step.num for each in steps] == list(run.points)
        last = {each.key or ".".join(each.nested_key): float(each.value_json) for each in steps[-1].item}
        assert last.items() >= run.metrics.items()
    assert {each.run.host for file in files for each in records(file) if each.run.run_id} == {"-"}
    assert {path.name for path in (folder / "wandb").glob("*/files/*.*")} >= {"report.html", "trials.csv"}
