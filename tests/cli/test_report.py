"""`clo report --terminal` prints and writes nothing; a study of several devices has a report of each."""

from __future__ import annotations

import json
from pathlib import Path

from harness.architecture import BASELINE, Architecture
from harness.record.settings import SearchSettings
from harness.record.state import State
from harness.storage.opening import open_study
from tests.cli.command_line import Clo


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith((".", "study.db"))}


def test_the_answer_is_printed_and_no_file_written(clo: Clo, begun: Path) -> None:
    said = clo("report", "x", "--terminal")
    assert (said.code, said.err) == (0, "")
    assert "Only the baseline has been measured." in said.out and "baseline  reference" in said.out
    assert "\x1b" not in said.out and max(map(len, said.out.splitlines())) <= 80
    assert files(begun.parent) == set()


def test_a_script_gets_the_same_object_as_ever(clo: Clo, begun: Path) -> None:
    terminal = clo("report", "x", "--terminal", "--json")
    assert files(begun.parent) == set()
    assert json.loads(terminal.out) == json.loads(clo("report", "x", "--json").out)
    assert "trials.parquet" in files(begun.parent)


def test_a_study_on_two_kinds_of_devices_has_a_front_of_each_and_a_page_of_both(clo: Clo, begun: Path) -> None:
    results = begun.parent.parent
    kinds = "GPU A", "GPU B"
    for kind in kinds:
        with open_study(SearchSettings(study="z", results=results), {"device_kind": kind}) as study:
            trial = study.optuna.ask()
            row = {"seed": 0, "epochs": 3, "selected_on": True}
            study.begin(trial, Architecture(base="yolov5n"), BASELINE, "nc: 10\n", row)
            figures = {"map50_95": 0.5, "map50": 0.7, "latency_ms_p50": 9.0, "latency_ratio": 1.0}
            study.end(trial, State.COMPLETE, {**figures, "macs": 100, "flops": 200, "params": 30})
    said = json.loads(clo("report", "z", "--json").out)
    assert said["studies"] == ["z", "z@gpu-b"]
    assert "they ran on different kinds of device" in (results / "z+z@gpu-b" / "report.md").read_text()
    for name in said["studies"]:
        assert "report.html" in files(results / name)


def test_a_folder_without_storage_is_rendered_from_its_tables(clo: Clo, begun: Path, tmp_path: Path) -> None:
    storage = begun.parent / "study.db"
    assert clo("report", "x").code == 0
    before = (begun.parent / "report.md").read_bytes()
    storage.unlink()
    (begun.parent / "report.md").unlink()
    by_path, by_name = clo("report", str(begun.parent), "--json"), clo("report", "x", "--json")
    assert (by_path.code, by_name.code) == (0, 0)
    assert json.loads(by_path.out)["answer"] == json.loads(by_name.out)["answer"]
    assert (begun.parent / "report.md").read_bytes() == before
    elsewhere = clo("report", str(begun.parent), "--out", str(tmp_path / "there"))
    assert elsewhere.code == 0 and (tmp_path / "there" / "report.md").read_bytes() == before
    assert not storage.exists()


def test_the_folder_of_a_stored_study_is_its_name(clo: Clo, begun: Path, tmp_path: Path) -> None:
    said = clo("report", str(begun.parent), "--out", str(tmp_path / "there"))
    assert said.code == 0 and "report.html" in files(tmp_path / "there")
    assert files(begun.parent) == set()


def test_other_commands_say_that_they_read_no_tables(clo: Clo, begun: Path) -> None:
    clo("report", "x")
    (begun.parent / "study.db").unlink()
    said = clo("export", "x", "baseline")
    assert said.code == 2 and "has a report's tables and no storage (study.db)" in said.err


def test_a_path_to_nothing_that_can_be_rendered_is_refused(clo: Clo, begun: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for given, reason in [(tmp_path / "no", "no such folder"), (tmp_path / "empty", "holds nothing to render")]:
        said = clo("report", str(given))
        assert said.code == 2 and reason in said.err and str(given) in said.err
