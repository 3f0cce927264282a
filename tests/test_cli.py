"""The command line: what scripts read is JSON alone, and what is wrong is one sentence and exit code 2."""

from __future__ import annotations

import errno
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, NoReturn

import cv2
import numpy as np
import optuna
import pandas as pd
import pytest
import torch
import typer.main
import yaml

from harness import cli, records
from harness.architecture import BASELINE, Architecture
from harness.constraints import Constraints
from harness.detectors import find_sites, load_model, resolve_base
from harness.errors import UserError
from harness.measure.accuracy import Accuracy, Training, save_checkpoint
from harness.measure.cost import model_cost
from harness.records import load_record
from harness.search import base as search_base
from harness.search import executors, train_model
from harness.search import loop as search_loop
from harness.search import run as search_run
from harness.search.outcome import Failure, State
from harness.search.study import open_study
from harness.search.trial import Job, Measured
from harness.settings import SearchSettings

SPACE = {
    "name": "mine",
    "sites": ["neck.P4"],
    "max_blocks": 1,
    "placement": {"kind": ["block"], "kernel": [3], "kv_pool": [2], "heads": [4], "local_share": [0.5]},
}


class Said(NamedTuple):
    code: int
    out: str
    err: str


Clo = Callable[..., Said]


@pytest.fixture
def clo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Clo:
    """Run a command in this process, in an empty folder; whatever would train fails the test."""

    def no_training(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a training was started")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(search_run, "start_server", lambda: None)
    monkeypatch.setattr(executors.Children, "start", no_training)
    for module in (search_base, train_model):
        monkeypatch.setattr(module, "run_in_child", no_training)

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["clo", *arguments])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        return Said(code, *capsys.readouterr())

    return run


def sentence(said: Said) -> str:
    """The error of a command: one line, exit code 2, nothing on standard output."""
    assert said.code == 2, said
    assert said.out == ""
    assert said.err.startswith("error: ") and said.err.endswith("\n") and said.err.count("\n") == 1, said.err
    return said.err


def usage_error(said: Said) -> str:
    """What the parser of the command line has to say, without its frame."""
    assert said.code == 2 and said.out == "" and "Traceback" not in said.err
    return " ".join(said.err.replace("│", " ").split())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two images to train on and two to validate on."""
    for split in ("train", "val"):
        images, labels = tmp_path / "data" / "images" / split, tmp_path / "data" / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for number in range(2):
            cv2.imwrite(str(images / f"{number}.png"), np.full((32, 32, 3), 90 * number, np.uint8))
            (labels / f"{number}.txt").write_text("0 0.5 0.5 0.25 0.25\n")
    content = {"path": str(tmp_path / "data"), "train": "images/train", "val": "images/val", "names": ["spot"]}
    return write(tmp_path / "data" / "data.yaml", content)


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """The database of study `x`, whose baseline is trained, in the folder where commands run."""
    settings = SearchSettings(study="x", results=tmp_path / "results")
    with open_study(settings, {}) as study:
        trial = study.optuna.ask()
        row = {"seed": 0, "epochs": 3, "selected_on": True}
        study.begin(trial, Architecture(base="yolov5n"), BASELINE, "nc: 10\n", row)
        costs = {"latency_ms_p50": 9.0, "latency_ratio": 1.0, "macs": 100, "flops": 200, "params": 30}
        study.end(trial, State.COMPLETE, {"map50_95": 0.5, "map50": 0.7, **costs})
        return settings.folder / "study.db"


def write(path: Path, content: object) -> Path:
    path.write_text(yaml.safe_dump(content, sort_keys=False, default_flow_style=None), encoding="utf-8")
    return path


def space_with(folder: Path, **placement: object) -> str:
    return str(write(folder / "space.yaml", {**SPACE, "placement": {**SPACE["placement"], **placement}}))  # type: ignore[dict-item]


def search(clo: Clo, *options: str) -> str:
    """The sentence that a search ends with; `--quiet` silences the lines of a search under way."""
    return sentence(clo("search", "--quiet", *options))


# --- A wrong option -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value", "right"),
    [
        ("--imgsz", "100", "a multiple of the detector's stride, 32"),
        ("--trials", "-1", "greater than or equal to 0"),
        ("--more", "0", "greater than or equal to 1"),
        ("--timeout", "abc", "write 90, 90s, 25m or 2h"),
        ("--timeout", "0", "write 90, 90s, 25m or 2h"),
        ("--timeout", "-5m", "write 90, 90s, 25m or 2h"),
        ("--objectives", "latency", "map50_95 and one or more of latency, macs, params"),
        ("--objectives", "map50_95,speed", "'map50_95', 'latency', 'macs' or 'params'"),
        ("--sampler", "cmaes", "'tpe', 'nsga2'"),
        ("--study", "a/b", "beginning with a letter or digit"),
        ("--study", "..", "beginning with a letter or digit"),
        ("--seed", "99999999999", "less than 2147483648"),
        ("--learning-rate", "inf", "finite number"),
        ("--threads", "0", "greater than or equal to 1"),
        ("--rungs", "3x3, 3x1", "a rung has more epochs or more seeds than the one before it"),
        ("--budget", "2 days", "'40 trainings', '200 epochs', '2 h' or '90 m'"),
        ("--budget", "5 trainings", "too little for one candidate: 6 trainings at least"),
        ("--device", "gpu", "use auto, cpu or a CUDA device's number"),
        ("--base", "yolov99", "no such model; give a name such as yolov5n"),
        ("--base", "mine.pt", "no such checkpoint; give the path of an existing .pt file"),
        ("--max-params", "2 million", "not a count; write 1770000, 1.77e6 or 1.77M"),
        ("--max-macs", "-5", "not a count"),
        ("--max-latency-ratio", "0", "greater than 0"),
        ("--min-map50-95", "40", "less than or equal to 1"),
        ("--with", "neck.P9", "space 'default' on yolov5n has no site 'neck.P9' to require or forbid; its sites: back"),
        ("--base", "yolov8n-seg", "only detection models can be searched"),
        ("--space", "huge", "there are: default, inside, operators, replaced, small"),
    ],
)
def test_a_wrong_option_is_named_with_what_would_be_right(clo: Clo, option: str, value: str, right: str) -> None:
    said = search(clo, option, value)
    assert value.rsplit(",", maxsplit=1)[-1] in said
    assert right in said
    assert not Path("results").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA GPU")
@pytest.mark.parametrize("command", [("search", "--quiet"), ("latency", "yolov5n", "yolov5n")])
def test_a_gpu_that_is_not_there_is_not_waited_for(clo: Clo, command: tuple[str, ...]) -> None:
    said = sentence(clo(*command, "--device", "0"))
    assert "--device 0: CUDA device 0 does not exist here, there is no CUDA GPU; use auto or cpu" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serach"], "No such command 'serach'"),
        (["search", "--trails", "3"], "No such option: --trails"),
        (["search", "--trials", "x"], "Invalid value for '--trials'"),
        (["cost"], "Missing argument 'model'"),
        (["latency", "yolov5n"], "Missing argument 'b'"),
        (["report", "x", "y"], "unexpected extra argument"),
    ],
)
def test_a_mistyped_command_says_where_help_is(clo: Clo, arguments: list[str], said: str) -> None:
    heard = usage_error(clo(*arguments))
    assert said in heard
    assert "--help' for help" in heard


def test_a_search_under_way_ends_with_the_sentence(clo: Clo) -> None:
    said = clo("search", "--json", "--data", "nowhere.yaml")
    assert (said.code, said.out) == (2, "")
    *lines, last = said.err.splitlines()
    assert lines and all(line.startswith("[0:0") for line in lines)
    assert last.startswith("error: Data set 'nowhere.yaml' does not exist")


# --- Data -----------------------------------------------------------------------------------------


def test_a_missing_data_set(clo: Clo) -> None:
    assert "Data set 'nowhere.yaml' does not exist; give 'digits'" in search(clo, "--data", "nowhere.yaml")


def test_an_empty_validation_set(clo: Clo, data: Path) -> None:
    for image in (data.parent / "images" / "val").iterdir():
        image.unlink()
    assert f"The validation set of {data} is empty: no images in" in search(clo, "--data", str(data))


def test_a_validation_set_without_labels(clo: Clo, data: Path) -> None:
    for label in (data.parent / "labels" / "val").iterdir():
        label.unlink()
    assert f"The validation set of {data} has images but not a single label" in search(clo, "--data", str(data))


# --- Spaces and architectures ---------------------------------------------------------------------


def test_an_unknown_site_is_answered_with_the_sites(clo: Clo, tmp_path: Path) -> None:
    path = write(tmp_path / "space.yaml", {**SPACE, "sites": ["neck.P9"]})
    said = search(clo, "--space", str(path))
    assert "space 'mine': unknown site 'neck.P9' in yolov5n; its sites: " in said
    assert "neck.P4" in said


def test_an_unknown_key_is_named_with_its_line(clo: Clo, tmp_path: Path) -> None:
    path = space_with(tmp_path, colour=["red"])
    line = Path(path).read_text().splitlines().index("  colour: [red]") + 1
    said = search(clo, "--space", path)
    assert f"{path}, line {line}: placement.colour: unknown key; known keys here: kind, mode" in said


def test_heads_that_divide_no_channels(clo: Clo, tmp_path: Path) -> None:
    said = search(clo, "--space", space_with(tmp_path, heads=[7]))
    assert "none of the heads [7] divides the 128 channels of neck.P4 in yolov5n" in said


def test_an_even_kernel(clo: Clo, tmp_path: Path) -> None:
    path = space_with(tmp_path, kernel=[3, 4])
    said = search(clo, "--space", path)
    assert re.search(r"space\.yaml, line \d+: placement\.kernel: kernel 4 is even; a kernel size is odd", said)


@pytest.mark.parametrize(
    ("placement", "reason"),
    [
        ({"site": "neck.P4", "global_heads": 7}, "neck.P4: 7 heads do not divide its 128 channels; allowed near it: "),
        ({"site": "neck.P4", "groups": [[4, 2]]}, "kernel 4: a kernel size is odd and positive"),
        ({"site": "neck.P9", "global_heads": 2}, "unknown site 'neck.P9' in yolov5n; its sites: "),
        ({"site": "neck.P4", "colour": "red"}, "placement has an unknown key 'colour'; known keys: "),
        ({"site": "neck.P4"}, "neck.P4: a placement needs at least one head"),
    ],
)
def test_an_architecture_file_that_makes_no_model(clo: Clo, tmp_path: Path, placement: object, reason: str) -> None:
    path = write(tmp_path / "mine.yaml", {"base": "yolov5n", "placements": [placement]})
    assert reason in sentence(clo("cost", str(path)))


@pytest.mark.parametrize("command", [("sites",), ("cost",), ("latency", "yolov5n")])
def test_an_unknown_model(clo: Clo, command: tuple[str, ...]) -> None:
    assert "yolov99: no such model; give a name such as yolov5n" in sentence(clo(*command, "yolov99"))


@pytest.mark.parametrize("imgsz", ["100", "0", "-64"])
@pytest.mark.parametrize("command", [("cost", "yolov5n"), ("latency", "yolov5n", "yolov5n")])
def test_an_image_size_that_does_not_fit_the_model(clo: Clo, command: tuple[str, ...], imgsz: str) -> None:
    said = sentence(clo(*command, "--imgsz", imgsz))
    assert re.search(rf"(?:--imgsz|image size) {imgsz}\b", said)
    assert "32" in said


@pytest.mark.parametrize(
    ("include", "reason"),
    [
        ("nobody/1", "neither an architecture file, nor a model of the article such as yolov5n-clo-head, nor STUDY/ID"),
        ("x/nobody", "study x has no architecture 'nobody'"),
        ("yolov8s-clo-head", "this model's base is yolov8s, the search's yolov5n; name yolov5n-clo-head"),
    ],
)
def test_a_candidate_to_include_that_is_not_there(clo: Clo, begun: Path, data: Path, include: str, reason: str) -> None:
    said = search(clo, "--data", str(data), "--study", "y", "--from-scratch", "--include", include)
    assert f"--include {include}: {reason}" in said


# --- Storage --------------------------------------------------------------------------------------


def commands_that_open(data: Path) -> tuple[tuple[str, ...], ...]:
    return ("search", "--quiet", "--study", "x", "--data", str(data)), ("report", "x"), ("export", "x", "baseline")


def test_a_study_that_is_not_there_is_answered_with_those_that_are(clo: Clo, begun: Path) -> None:
    said = sentence(clo("report", "y"))
    assert "study y: no results/y/study.db; studies here: x" in said


def test_a_mistyped_storage_is_not_made(clo: Clo) -> None:
    assert "storage sqlite:///typo.db does not exist" in sentence(clo("report", "x", "--storage", "sqlite:///typo.db"))
    assert not Path("typo.db").exists()


def test_a_locked_database(clo: Clo, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LOCK_SECONDS", 0.1)
    path = tmp_path / "results" / "x" / "study.db"
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE any_table (any_column)")
        other.execute("BEGIN EXCLUSIVE")
        for command in commands_that_open(data):
            said = sentence(clo(*command))
            assert "cannot be opened (database is locked)" in said
            assert "results/x/study.db" in said


def test_a_database_that_is_locked_under_a_search(
    clo: Clo, begun: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "LOCK_SECONDS", 0.1)
    with closing(sqlite3.connect(begun, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        said = search(clo, "--study", "z", "--data", str(data), "--storage", f"sqlite:///{begun}")
    assert "(database is locked)" in said
    assert load_record(f"sqlite:///{begun}", "x").trials.map50_95.tolist() == [0.5]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda content: b"not a database at all", "file is not a database"),
        (lambda content: content[: len(content) // 2], "database disk image is malformed"),
        (lambda content: os.urandom(4096) + content[4096:], "file is not a database"),
    ],
    ids=["another file", "cut short", "first page lost"],
)
def test_a_corrupt_database_is_named_and_left_as_it_is(
    clo: Clo, begun: Path, data: Path, spoil: Callable[[bytes], bytes], reason: str
) -> None:
    with closing(sqlite3.connect(begun)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for beside in begun.parent.glob("study.db-*"):
        beside.unlink()
    spoilt = spoil(begun.read_bytes())
    begun.write_bytes(spoilt)
    for command in commands_that_open(data):
        said = sentence(clo(*command))
        assert f"cannot be opened ({reason})" in said
        assert "results/x/study.db" in said
    assert begun.read_bytes() == spoilt


def test_a_disk_that_is_full_loses_nothing_that_is_finished(
    clo: Clo, begun: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small_disk(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # SQLite keeps the pages that it has

    long_story = Failure(state=State.FAILED, reason="x" * 500_000)
    monkeypatch.setattr(records, "_pragmas", small_disk)
    monkeypatch.setattr(search_loop, "Children", Trainings(lambda _: long_story))
    storage = f"sqlite:///{begun}"
    said = search(clo, "--study", "y", "--storage", storage, "--data", str(data), "--from-scratch")
    assert "the study's storage failed (database or disk is full); everything finished before is kept" in said
    assert load_record(storage, "x").trials.map50_95.tolist() == [0.5]
    assert load_record(storage, "y").trials.state.tolist() == ["interrupted"]  # to be run again


def test_a_report_on_a_full_disk_leaves_the_study_safe(clo: Clo, begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    said = sentence(clo("report", "x"))
    assert "No space left on device" in said
    assert "the study itself is safe" in said


def test_a_results_folder_that_is_a_file(clo: Clo, data: Path) -> None:
    Path("taken").write_text("")
    said = search(clo, "--data", str(data), "--results", "taken")
    assert "taken/default: cannot be made" in said


def test_a_cache_that_cannot_be_made(clo: Clo, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("taken").write_text("")
    monkeypatch.delenv("YOLO_CONFIG_DIR")
    monkeypatch.setenv("CLO_NAS_CACHE", "taken/cache")
    said = sentence(clo("sites", "yolov5n"))
    assert "taken/cache: cannot be made" in said


# --- Ctrl-C ---------------------------------------------------------------------------------------


def interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def test_ctrl_c_before_there_is_a_study_leaves_nothing(clo: Clo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_run, "search", interrupt)
    assert clo("search", "--quiet") == (130, "", "")
    assert not Path("results").exists()


def test_ctrl_c_in_a_study_ends_with_its_report(clo: Clo, begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_run, "search", interrupt)
    said = clo("search", "--study", "x", "--quiet", "--json")
    assert (said.code, said.err) == (130, "")
    assert json.loads(said.out)["study"] == "x"
    assert (begun.parent / "report.html").is_file()


def test_ctrl_c_in_any_other_command_is_no_traceback(clo: Clo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.detectors.find_detector", interrupt)
    said = clo("sites", "yolov5n")
    assert (said.code, said.out) == (130, "")
    assert "Traceback" not in said.err


# --- A whole search, its trainings pretended -------------------------------------------------------


class Trainings:
    """Yields outcomes at once, one training after the other; `then` may end the n-th otherwise."""

    def __init__(self, outcome: Callable[[Job], Measured | Failure]) -> None:
        self.outcome = outcome
        self.asked: list[Training] = []
        self.then: dict[int, BaseException] = {}
        self.all_had_ended = False
        self.beside: list[int] = []
        """How many ran when each began, itself included."""
        self._started: list[tuple[int, Job]] = []

    def __call__(self, *_: object) -> Trainings:
        return self

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._started.clear()

    def start(self, key: int, _function: object, job: Job) -> None:
        self.asked.append(job.training)
        self._started.append((key, job))
        self.beside.append(len(self._started))

    def next(self) -> tuple[int, Measured | Failure]:
        if len(self.asked) in self.then:
            raise self.then[len(self.asked)]
        key, job = self._started.pop()  # the last first: never in the order of the start
        return key, self.outcome(job)

    def ended(self) -> list[tuple[int, Measured | Failure]]:
        """All that runs has ended by then, if `all_had_ended`."""
        ended = [(key, self.outcome(job)) for key, job in self._started] if self.all_had_ended else []
        self._started = self._started[len(ended) :]
        return ended

    @property
    def trained(self) -> list[tuple[str, int]]:
        """Model descriptions and seeds in the order asked for."""
        return [(json.dumps(training.config), training.seed) for training in self.asked]


def measured(job: Job) -> Measured:
    accuracy = Accuracy(
        map50_95=0.5 + job.training.seed / 10, map50=0.7, evaluator="E", train_seconds=1.0, transferred=""
    )
    timing: Any = SimpleNamespace(p50=9.0, p90=10.0)
    latency: Any = SimpleNamespace(candidate=timing, baseline=timing, ratio=1.1, ratio_ci95=(1.0, 1.2))
    return Measured(accuracy=accuracy, latency=latency if job.measure_latency else None, cpu_seconds=1.5)


@pytest.fixture
def trainings(clo: Clo, monkeypatch: pytest.MonkeyPatch) -> Trainings:
    pretended = Trainings(measured)
    monkeypatch.setattr(search_loop, "Children", pretended)
    monkeypatch.setattr(cli, "_write", lambda _record, folder: folder)  # the report has tests of its own
    monkeypatch.setattr(search_loop, "write_parquet", lambda *_, **__: None)  # and so have the samples
    cost = model_cost(load_model("yolov5n"), 64)
    monkeypatch.setattr(search_loop, "model_cost", lambda *_: cost)  # so has the cost, and counting takes a while
    return pretended


@pytest.fixture
def small_search(tmp_path: Path, data: Path) -> tuple[str, ...]:
    """Two candidates, the better one and the baseline with two seeds."""
    space = space_with(tmp_path, kernel=[3, 5, 7])
    budget = ("--trials", "2", "--seeds", "2", "--finalists", "1", "--imgsz", "64", "--workers", "1")
    return ("search", "--study", "y", "--data", str(data), "--space", space, "--from-scratch", *budget)


def test_a_search_ends_with_one_object_that_counts_what_was_done(
    clo: Clo, trainings: Trainings, small_search: tuple[str, ...]
) -> None:
    said = clo(*small_search, "--json")
    assert said.code == 0
    found = json.loads(said.out)
    assert found | {"study": "y", "folder": "results/y", "finished": 2, "failed": 0} == found
    assert isinstance(found["front"], list)
    assert [seed for _, seed in trainings.trained] == [0, 0, 0, 1, 1]
    assert "seed 1 of baseline" in said.err
    assert clo(*small_search, "--quiet").code == 0
    assert len(trainings.asked) == 5  # nothing is trained twice


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (UserError("the disk is full; make room"), 2)])
def test_what_was_cut_short_is_run_again_and_the_rest_is_not(
    clo: Clo, trainings: Trainings, small_search: tuple[str, ...], error: BaseException, code: int
) -> None:
    trainings.then = {3: error}  # the second candidate
    said = clo(*small_search, "--quiet")
    assert said.code == code
    assert "Traceback" not in said.err
    assert clo(*small_search, "--quiet").code == 0
    third, *rest = trainings.trained[2:]
    assert third == rest[0]
    assert len(set(trainings.trained)) == len(trainings.asked) - 1 == 5
    states = load_record("sqlite:///results/y/study.db", "y").trials.sort_values("trial").state.tolist()
    assert states == ["complete", "complete", "interrupted", *["complete"] * 3]


def test_what_had_ended_at_ctrl_c_is_kept(clo: Clo, trainings: Trainings, small_search: tuple[str, ...]) -> None:
    trainings.then, trainings.all_had_ended = {3: KeyboardInterrupt()}, True
    assert clo(*small_search, "--quiet").code == 130
    assert list(load_record("sqlite:///results/y/study.db", "y").trials.state) == ["complete"] * 3


def test_what_lacks_memory_beside_others_is_run_again_alone(
    clo: Clo, trainings: Trainings, small_search: tuple[str, ...]
) -> None:
    lacking = Failure(state=State.OUT_OF_MEMORY, reason="killed")
    first = iter([lacking])

    def outcome(job: Job) -> Measured | Failure:
        return next(first, measured(job)) if trainings.beside[-1] > 1 else measured(job)

    trainings.outcome = outcome
    said = clo(*small_search, "--trials", "3", "--finalists", "0", "--workers", "3")
    assert said.code == 0
    assert "one after the other from here on" in said.err + said.out
    rows = load_record("sqlite:///results/y/study.db", "y").trials
    assert rows[rows.state == "interrupted"].reason.str.contains("run again alone").all()
    assert set(rows[rows.state != "complete"].architecture) <= set(rows[rows.state == "complete"].architecture)
    assert (rows.state == "complete").sum() == 4
    assert trainings.beside == [1, 1, 2, 3, 1]


def test_time_that_is_over_before_the_baseline_leaves_an_empty_study(
    clo: Clo, trainings: Trainings, small_search: tuple[str, ...]
) -> None:
    said = clo(*small_search, "--timeout", "0.001s")
    assert said.code == 0
    assert "time was over before the baseline" in said.err + said.out
    assert not trainings.asked


def test_several_workers_train_each_architecture_and_seed_once(
    clo: Clo, trainings: Trainings, small_search: tuple[str, ...]
) -> None:
    command = (*small_search, "--trials", "4", "--seeds", "3", "--finalists", "2", "--workers", "3", "--quiet")
    trainings.then = {4: KeyboardInterrupt()}  # the baseline and three candidates have begun
    assert clo(*command).code == 130
    assert trainings.beside == [1, 1, 2, 3]  # nothing beside the first baseline
    states = load_record("sqlite:///results/y/study.db", "y").trials.sort_values("trial")[["state", "reason"]]
    assert states.to_numpy().tolist() == [["complete", ""], *[["interrupted", "stopped by Ctrl-C"]] * 3]
    assert clo(*command).code == 0
    assert set(trainings.trained[4:7]) == set(trainings.trained[1:4])  # what was cut short goes first
    whole = trainings.trained[:1] + trainings.trained[4:]
    assert len(set(whole)) == len(whole) == 1 + 3 + 2 * 3  # the space has no fourth candidate
    assert max(trainings.beside) == 3
    base = whole[0][0]
    later = [(config, seed) for config, seed in whole if seed > 0]
    assert later[:2] == [(base, 1), (base, 2)]  # candidates wait for the control that they are compared with
    rows = load_record("sqlite:///results/y/study.db", "y").trials
    assert rows[rows.state == "complete"].gain_map50_95.notna().all()
    study = optuna.load_study(study_name="y", storage="sqlite:///results/y/study.db")
    assert all(study.trials[n].state.name == "COMPLETE" for n in rows[rows.state == "complete"].trial)


def test_what_is_over_a_bound_on_cost_is_never_trained(
    clo: Clo, trainings: Trainings, small_search: tuple[str, ...]
) -> None:
    """Three candidates: of kernels 3, 5 and 7, at one site."""
    command = (*small_search, "--trials", "3", "--finalists", "0")
    said = clo(*command, "--quiet", "--max-params", "1")
    assert said.code == 2
    least = re.search(r"at most 1 parameters; the least is ([\d,]+)", said.err)
    assert least and not trainings.asked and not Path("results/y").exists()
    bound = least[1].replace(",", "")
    said = clo(*command, "--json", "--max-params", bound)
    assert said.code == 0
    assert "3 candidates, 1 within the bounds" in said.err
    assert "all candidates within the bounds are done" in said.err
    assert len(trainings.asked) == 2  # with the baseline
    assert clo(*command, "--quiet").code == 0
    assert len(trainings.asked) == 4  # bounds may change: without one the others are candidates again
    record = load_record("sqlite:///results/y/study.db", "y")
    assert record.constraints == Constraints()
    dear = record.trials.architecture.iloc[-1]
    said = clo(*command, "--quiet", "--study", "z", "--include", f"y/{dear}", "--max-params", bound)
    assert said.code == 2
    assert f"--include y/{dear}: over --max-params or --max-macs" in said.err


def test_who_is_beyond_a_bound_on_latency_or_accuracy_is_no_finalist(
    clo: Clo, trainings: Trainings, small_search: tuple[str, ...]
) -> None:
    """All read 1.1 times the baseline's latency and an mAP50-95 of 0.5."""
    assert clo(*small_search, "--quiet", "--max-latency-ratio", "1.05").code == 0
    assert [seed for _, seed in trainings.trained] == [0, 0, 0]
    assert clo(*small_search, "--quiet", "--max-latency-ratio", "1.1", "--min-map50-95", "0.5").code == 0
    assert [seed for _, seed in trainings.trained] == [0, 0, 0, 1, 1]


def test_sites_that_are_required_or_forbidden_hold_for_the_whole_study(
    clo: Clo, trainings: Trainings, small_search: tuple[str, ...]
) -> None:
    space = small_search[small_search.index("--space") + 1]
    command = [option if option != space else "small" for option in small_search]
    command += ["--without", "neck.P3", "--with", "neck.P5"]
    assert clo(*command, "--quiet").code == 0
    architectures = load_record("sqlite:///results/y/study.db", "y").architectures
    sites = {name: [placement.site for placement in each.placements] for name, each in architectures.items()}
    assert sites.pop("baseline") == []
    assert len(sites) == 2 and all(each == ["neck.P5"] for each in sites.values())
    refused = clo(*command, "--quiet", "--without", "neck.P4")
    assert refused.code == 2
    assert "another forbidden_sites (['neck.P3'], now ['neck.P3', 'neck.P4'])" in refused.err


# --- Help -----------------------------------------------------------------------------------------

COMMANDS: dict[str, Any] = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]


def test_these_are_the_commands() -> None:
    assert set(COMMANDS) == {
        "search", "report", "fidelity", "sites", "model", "train", "cost", "latency", "export", "simulate",
        "leave-one-out",
    }  # fmt: skip


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_is_an_answer_and_no_error(clo: Clo, command: list[str]) -> None:
    said = clo(*command, "--help")
    assert (said.code, said.err) == (0, "")
    assert "Usage: " in said.out
    assert all(name in said.out for name in COMMANDS) or command


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_every_option_explains_itself(name: str) -> None:
    command = COMMANDS[name]
    assert command.help and command.help.strip().splitlines()[0].endswith(".")
    for parameter in command.params:
        assert len(getattr(parameter, "help", None) or "") > 10, f"{name} {parameter.name}"


def test_the_defaults_in_the_help_are_those_in_use() -> None:
    stated = {
        str(parameter.name): found[1]
        for parameter in COMMANDS["search"].params
        if (found := re.search(r"\[default: (\d[\d.]*)\]", getattr(parameter, "help", None) or ""))
    }
    defaults = SearchSettings().model_dump(mode="json")
    assert stated
    assert stated == {name: str(defaults[name]) for name in stated}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_read_by_a_script(name: str) -> None:
    assert "--json" in [option for parameter in COMMANDS[name].params for option in parameter.opts]


# --- Contracts: standard output is JSON alone -----------------------------------------------------


def read(said: Said) -> Any:
    assert (said.code, said.err) == (0, "")
    return json.loads(said.out)


def test_sites_is_a_list_of_places(clo: Clo) -> None:
    found = read(clo("sites", "yolov8n", "--json"))
    assert [list(site) for site in found] == [
        ["site", "layer", "channels", "stride", "modes", "inside_channels"]
    ] * len(found)
    assert found == [site.to_dict() for site in find_sites(resolve_base("yolov8n")).values()]


def test_model_is_a_description_that_ultralytics_reads(clo: Clo, tmp_path: Path) -> None:
    said = clo("model", "yolov5n-clo-head", "--classes", "3")
    assert (said.code, said.err) == (0, "")
    printed = yaml.safe_load(said.out)
    assert printed["nc"] == 3
    assert [row[2] for row in printed["head"]].count("CloBlock") == 3
    written = read(clo("model", "yolov5n-clo-head", "--classes", "3", "--out", "new/m.yaml", "--json"))
    assert written["file"] == "new/m.yaml"
    assert (tmp_path / "new" / "m.yaml").read_text() == said.out
    assert len(list(load_model(str(tmp_path / "new" / "m.yaml")).model)) == len(printed["backbone"] + printed["head"])


def test_model_of_a_plain_base_reads_back_as_that_base(clo: Clo, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(clo("model", "yolo11n").out)
    again, base = (load_model(name).state_dict() for name in (str(tmp_path / "m.yaml"), "yolo11n"))
    assert {name: tensor.shape for name, tensor in again.items()} == {n: t.shape for n, t in base.items()}


def test_train_says_what_it_yields(clo: Clo, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Training] = []

    def trained(_function: object, training: Training, *_: object) -> Accuracy:
        seen.append(training)
        return Accuracy(
            map50_95=0.5, map50=0.7, evaluator="E 1", per_class={"cat": 0.5}, train_seconds=2.0,
            transferred="trained from scratch",
        )  # fmt: skip

    monkeypatch.setattr(train_model, "run_in_child", trained)
    said = clo(
        "train", "yolov5n-clo-head", "--data", str(data), "--imgsz", "64", "--epochs", "2", "--seed", "3", "--json"
    )
    assert said.code == 0
    assert json.loads(said.out) == {
        "model": "yolov5n-clo-head", "weights": "results/train/yolov5n-clo-head.pt", "seed": 3, "epochs": 2,
        "map50_95": 0.5, "map50": 0.7, "evaluator": "E 1", "per_class": {"cat": 0.5}, "train_seconds": 2.0,
        "transferred": "trained from scratch",
    }  # fmt: skip
    [training] = seen
    assert (training.seed, training.schedule.epochs, training.schedule.imgsz) == (3, 2, 64)
    assert [row[2] for row in training.config["head"]].count("CloBlock") == 3
    people = clo("train", "yolov5n", "--data", str(data), "--imgsz", "64")
    assert "mAP50-95 0.5000, mAP50 0.7000 (E 1; one seed, 0)" in people.out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("yolov5n", "--imgsz", "70"), "--imgsz 70: a multiple of the detector's stride, 32, is wanted"),
        (("yolov8n-p6", "--imgsz", "96"), "--imgsz 96: a multiple of the detector's stride, 64, is wanted"),
        (("yolov5n", "--weights", "absent.pt"), "base absent.pt: no such checkpoint"),
        (("yolov5q",), "base yolov5q: no such model"),
        (("yolov5n", "--data", "absent.yaml"), "absent.yaml"),
    ],
)
def test_what_cannot_be_trained_is_a_sentence(clo: Clo, arguments: tuple[str, ...], reason: str) -> None:
    said = clo("train", *arguments)
    assert said.code == 2
    assert reason in said.err and "Traceback" not in said.err


def test_weights_of_another_model_are_refused(clo: Clo, data: Path, tmp_path: Path) -> None:
    save_checkpoint(resolve_base("yolov8n").build(3), tmp_path / "other.pt")
    said = clo("train", "yolov5n-clo-head", "--data", str(data), "--imgsz", "64", "--weights", "other.pt")
    assert said.code == 2
    assert re.search(
        r"--weights other.pt: \d+ of its \d+ tensors fit yolov5n; give a checkpoint of that model", said.err
    )


def test_a_model_is_not_overwritten_by_its_own_training(clo: Clo, data: Path, tmp_path: Path) -> None:
    save_checkpoint(resolve_base("yolov5n").build(3), tmp_path / "m.pt")
    said = clo("train", "m.pt", "--data", str(data), "--imgsz", "64", "--out", "m.pt")
    assert said.code == 2
    assert "--out m.pt: this is the model that is trained from; name another file" in said.err


def test_a_training_that_fails_says_why(clo: Clo, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = Failure(state=State.FAILED, reason="loss is nan at iteration 3")
    monkeypatch.setattr(train_model, "run_in_child", lambda *_: failed)
    said = clo("train", "yolov5n", "--data", str(data), "--imgsz", "64")
    assert said.code == 2
    assert "error: yolov5n cannot be trained: loss is nan at iteration 3" in said.err


def test_cost_names_parameters_macs_and_flops(clo: Clo) -> None:
    cost = read(clo("cost", "yolov5n", "--imgsz", "64", "--json"))
    assert {"params", "macs", "flops", "by_operator", "uncounted"} <= set(cost)
    assert cost["params"] == sum(parameter.numel() for parameter in load_model("yolov5n").parameters())
    assert cost["flops"] == 2 * cost["macs"]
    assert sum(cost["by_operator"].values()) == cost["macs"]
    assert cost["elementwise"]["silu"] > 0 and cost["ignored"] and not cost["uncounted"]
    assert sum(layer["macs"] for layer in cost["layers"]) == cost["macs"]
    assert cost["peak_activation_bytes"] > 0 and cost["not_counted"]


def test_cost_names_the_form_that_is_trained_and_the_one_that_is_deployed(clo: Clo) -> None:
    cost = read(clo("cost", "yolo26n", "--imgsz", "64", "--json"))
    fused = cost["fused"]
    assert (cost["form"], fused["form"]) == ("as trained: eval mode, unfused", "as deployed: eval mode, fused")
    assert set(fused) == set(cost) - {"model", "imgsz", "fused"}
    assert fused["params"] < cost["params"] and fused["macs"] < cost["macs"]


def test_cost_of_an_architecture_file_is_more_than_its_bases(clo: Clo, tmp_path: Path) -> None:
    placement = {"site": "neck.P4", "groups": [[3, 2]], "global_heads": 2, "kv_pool": 2}
    path = write(tmp_path / "mine.yaml", {"base": "yolov5n", "placements": [placement]})
    ours, base = (read(clo("cost", model, "--imgsz", "64", "--json")) for model in (str(path), "yolov5n"))
    assert ours["params"] > base["params"] and ours["macs"] > base["macs"]
    assert set(ours["by_operator"]) > set(base["by_operator"])  # attention's products


def test_latency_is_a_ratio_of_a_over_b_with_its_interval(clo: Clo) -> None:
    found = read(clo("latency", "yolov8n", "yolov5n", "--imgsz", "64", "--seconds", "0.5", "--json"))
    low, high = found["ratio_ci95"]
    assert 0 < low <= found["ratio"] <= high
    assert set(found["latency_ms_p50"]) == {"a", "b"}
    assert all(time > 0 for time in found["latency_ms_p50"].values())
    assert (found["a"]["model"], found["b"]["model"]) == ("yolov8n", "yolov5n")
    assert found["imgsz"] == 64


def test_latency_is_measured_as_asked_and_keeps_every_pass(clo: Clo) -> None:
    how = ("--dtype", "bf16", "--memory-format", "channels_last", "--no-fuse", "--batch", "2", "--precision", "50")
    small = ("yolov5n", "yolov5n", "--imgsz", "32", "--seconds", "2", "--samples", "deep/passes.parquet")
    found = read(clo("latency", *small, *how, "--json"))
    assert (found["dtype"], found["memory_format"], found["fused"]) == ("bfloat16", "channels_last", False)
    assert (found["batch"], found["target_half_width"]) == (2, 0.5)
    assert {"affinity", "threads", "engine", "before", "after", "l2_cache"} <= set(found)
    rows = pd.read_parquet("deep/passes.parquet")
    assert (rows["model"] == "candidate").sum() == found["a"]["repetitions"]


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("--mode", "quick", "--mode quick: choose one of eager, compile, cuda_graphs, onnxruntime"),
        ("--dtype", "fp8", "--dtype fp8: choose one of fp32, fp16, bf16"),
        ("--memory-format", "nhwc", "--memory-format nhwc: choose one of contiguous, channels_last"),
        ("--precision", "0", "--precision 0.0: it is above 0, in percent"),
    ],
)
def test_a_way_to_measure_latency_that_does_not_exist(clo: Clo, option: str, value: str, reason: str) -> None:
    assert reason in sentence(clo("latency", "yolov5n", "yolov5n", option, value))


def test_people_read_under_which_conditions_latency_was_measured(clo: Clo) -> None:
    said = clo("latency", "yolov5n", "yolov5n", "--imgsz", "32", "--seconds", "0.1").out
    assert "(asked: ±1.0%, 0.1 s)" in said
    assert f"eager (torch {torch.__version__}), float32, contiguous, fused, batch 1 at 32 px, NMS not included" in said
    assert "L2 warm" in said


def test_report_ends_with_the_closing_object(clo: Clo, begun: Path) -> None:
    closing_object = read(clo("report", "x", "--json"))
    assert closing_object | {"study": "x", "folder": "results/x", "finished": 0, "failed": 0} == closing_object
    assert {"front", "answer"} <= set(closing_object)


def test_export_writes_the_model_where_it_is_wanted(clo: Clo, begun: Path) -> None:
    said = read(clo("export", "x", BASELINE, "--out", "deep/down/mine.yaml", "--json"))
    assert said == {"study": "x", "architecture": BASELINE, "file": "deep/down/mine.yaml"}
    assert Path("deep/down/mine.yaml").read_text() == "nc: 10\n"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((BASELINE, "--to", "onnx"), "--to onnx: choose yaml or architecture"),
        (("nobody",), "study x has no architecture 'nobody'; it has baseline"),
    ],
)
def test_export_of_something_else(clo: Clo, begun: Path, arguments: tuple[str, ...], reason: str) -> None:
    assert reason in sentence(clo("export", "x", *arguments))


@pytest.mark.parametrize("command", [("sites", "yolov5n"), ("cost", "yolov5n", "--imgsz", "64")])
def test_people_get_a_table(clo: Clo, command: tuple[str, ...]) -> None:
    said = clo(*command)
    assert (said.code, said.err) == (0, "")
    assert len(said.out.splitlines()) > 3


# --- Outside this process -------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["90", "90s", "1.5m", "0.025h"])
def test_times_have_units(text: str) -> None:
    assert cli._duration(text) == pytest.approx(90)


@pytest.mark.slow
def test_nothing_is_written_outside_the_given_folders_and_a_report_needs_no_torch(tmp_path: Path, begun: Path) -> None:
    script = (
        "import sys; from harness.cli import main\n"
        "for command in (['report', 'x', '--json'], ['sites', 'yolov5n'], ['cost', 'yolov5n', '--imgsz', '64']):\n"
        "    sys.argv = ['clo', *command]\n"
        "    try: main()\n"
        "    except SystemExit as ended: assert not ended.code, command\n"
        "    if command[0] == 'report': assert not {'torch', 'ultralytics'} & set(sys.modules)\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    ours = {"YOLO_CONFIG_DIR", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"}
    env = {name: value for name, value in os.environ.items() if name not in ours}
    env |= {"HOME": str(home), "CLO_NAS_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not list(home.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "home", "results"]
