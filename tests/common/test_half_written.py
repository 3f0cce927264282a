"""What a kill left half written is removed; what somebody writes now is not."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from harness.common import atomic as half_written
from harness.common.atomic import part_of, remove_left_overs


def leave_a_part(path: Path) -> None:
    part_of(path).write_bytes(b"half")


@pytest.fixture
def left_over(tmp_path: Path) -> Path:
    """Of a process that has ended."""
    process = multiprocessing.get_context("spawn").Process(target=leave_a_part, args=(tmp_path / "report.html",))
    process.start()
    process.join()
    [part] = tmp_path.iterdir()
    return part


def test_what_an_ended_process_left_is_removed_and_nothing_else(left_over: Path) -> None:
    folder = left_over.parent
    leave_a_part(folder / "trials.csv")
    others = {part_of(folder / "trials.csv").name, "report.html", ".somebodys.part", "a.part"}
    for name in others:
        (folder / name).touch()
    remove_left_overs(folder)
    assert {path.name for path in folder.iterdir()} == others


def test_of_another_machines_processes_nothing_is_known(left_over: Path) -> None:
    theirs = left_over.with_name(left_over.name.replace(half_written._HOST, "elsewhere"))
    left_over.rename(theirs)
    remove_left_overs(theirs.parent)
    assert theirs.exists()


def test_a_folder_that_is_not_there_has_none(tmp_path: Path) -> None:
    remove_left_overs(tmp_path / "none")
    assert not (tmp_path / "none").exists()
