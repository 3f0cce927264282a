"""What is wrong is one sentence and exit code 2, and nothing is lost."""

from __future__ import annotations

import errno
import json
import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

from harness.cli.search import count
from harness.record.state import Failure, State
from harness.search import run as search_run
from harness.storage import records
from harness.storage.records import load_record
from tests.cli.command_line import SPACE, Clo, search, sentence, space_with, usage_error, write
from tests.cli.pretended import Trainings

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
        ("--budget", "5 trainings", "too little for one candidate: 8 trainings at least"),
        ("--device", "gpu", "use auto, cpu or a CUDA device's number"),
        ("--base", "yolov99", "no such model; give a name such as yolov5n"),
        ("--base", "mine.pt", "no such checkpoint; give the path of an existing .pt file"),
        ("--max-params", "2 million", "not a count; write 1770000, 1.77e6 or 1.77M"),
        ("--max-macs", "-5", "not a count"),
        ("--max-params", "2.6", "a detector has far more; for 2.6 million write 2.6M"),
        ("--storage", "study.db", "not a URL; of a SQLite file write sqlite:///"),
        ("--max-latency-ratio", "0", "greater than 0"),
        ("--min-map50-95", "40", "less than or equal to 1"),
        ("--with", "neck.P9", "space 'default' on yolov5n has no site 'neck.P9' to require or forbid; its sites: back"),
        ("--base", "yolov8n-seg", "only detection models can be searched"),
        ("--space", "huge", "there are: control, default, inside, landscape, operators, replaced, small"),
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
        (["export", "x", "y", "z"], "unexpected extra argument"),
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
    assert "Data set 'nowhere.yaml' does not exist; give one of digits, local" in search(clo, "--data", "nowhere.yaml")


def test_an_empty_validation_set(clo: Clo, data: Path) -> None:
    for image in (data.parent / "images" / "val").iterdir():
        image.unlink()
    assert f"The validation set of {data} is empty: no images in" in search(clo, "--data", str(data))


def test_a_validation_set_without_labels(clo: Clo, data: Path) -> None:
    for label in (data.parent / "labels" / "val").iterdir():
        label.unlink()
    assert f"The validation set of {data} has images but not a single label" in search(clo, "--data", str(data))


# --- Somebody's files ---


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (("train", "yolov5n", "--epochs", "1", "--out"), "data.yaml"),
        (("train", "yolov5n", "--epochs", "1", "--out"), "mine.pt"),
        (("latency", "yolov5n", "yolov5n", "--samples"), "mine.parquet"),
        (("model", "yolov5n", "--out"), "data.yaml"),
        (("export", "x", "baseline", "--to", "architecture", "--out"), "data.yaml"),
        (("simulate", "t.csv", "--parameters", "a", "--maximize", "b", "--minimize", "c", "--plot"), "mine.png"),
    ],
)
def test_no_command_writes_over_somebodys_file(clo: Clo, begun: Path, command: tuple[str, ...], name: str) -> None:
    Path(name).write_text("mine")
    said = sentence(clo(*command, name))
    assert "clo-nas did not write it; name another file" in said or "end its name in .pt" in said
    assert Path(name).read_text() == "mine"


def test_a_search_does_not_write_into_somebodys_folder(clo: Clo, data: Path) -> None:
    Path("results/mine").mkdir(parents=True)
    Path("results/mine/report.html").write_text("mine")
    said = search(clo, "--study", "mine", "--data", str(data), "--imgsz", "64")
    assert "holds report.html, which clo-nas did not write; choose another folder with --results" in said
    assert [path.name for path in Path("results/mine").iterdir()] == ["report.html"]


def test_a_thousand_may_be_written_with_either_k() -> None:
    assert count("--max-macs", "1K") == count("--max-macs", "1k") == 1000


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
        ("yolov8s-clo-head", "this model's base is yolov8s, not yolov5n; name yolov5n-clo-head"),
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
def test_a_corrupt_database_without_a_copy_is_named_and_left_as_it_is(
    clo: Clo, begun: Path, data: Path, spoil: Callable[[bytes], bytes], reason: str
) -> None:
    with closing(sqlite3.connect(begun)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for beside in begun.parent.glob("study.db[-.]*"):
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
    most: list[int] = []

    def small_disk(connection: Any, _record: object) -> None:
        """Room for what a search says of itself, and not for the long story."""
        most[1:] = []
        most.extend([connection.execute("PRAGMA page_count").fetchone()[0] + 50] if not most else [])
        connection.execute(f"PRAGMA max_page_count = {most[0]}")

    long_story = Failure(state=State.FAILED, reason="x" * 500_000)
    monkeypatch.setattr(records, "_pragmas", small_disk)
    monkeypatch.setattr("harness.jobs.place.Children", Trainings(lambda _: long_story))
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


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("[enforce fail]\nDefaultCPUAllocator: can't allocate memory")]
)
def test_too_little_memory_is_one_sentence(clo: Clo, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def lack(*_: object) -> NoReturn:
        raise error

    monkeypatch.setattr("harness.detectors.find_detector", lack)
    assert "too little memory" in sentence(clo("sites", "yolov5n"))


# --- Ctrl-C ---------------------------------------------------------------------------------------


def interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def test_ctrl_c_before_there_is_a_study_leaves_nothing(clo: Clo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_run, "search", interrupt)
    assert clo("search", "--quiet") == (130, "", "")
    assert not Path("results").exists()


def test_ctrl_c_in_a_study_ends_with_its_report(clo: Clo, begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise search_run.StoppedError(load_record(f"sqlite:///{begun}", "x"))

    monkeypatch.setattr(search_run, "search", stop)
    said = clo("search", "--study", "x", "--quiet", "--json")
    assert (said.code, said.err) == (130, "")
    assert json.loads(said.out)["study"] == "x"
    assert (begun.parent / "report.html").is_file()


def test_ctrl_c_in_any_other_command_is_no_traceback(clo: Clo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.detectors.find_detector", interrupt)
    said = clo("sites", "yolov5n")
    assert (said.code, said.out) == (130, "")
    assert "Traceback" not in said.err


@pytest.mark.parametrize("number", ["²", "9" * 5000, "1,²", "٣"])
def test_a_number_that_python_does_not_read_is_refused_as_any_other_text(clo: Clo, number: str) -> None:
    assert "neither a number of seeds" in sentence(clo("ablate", "--quiet", "--seeds", number))
    assert "not a device" in search(clo, "--device", number)
