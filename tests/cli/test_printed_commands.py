"""Every command that a report prints is one that works, from another folder than the search's too."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.architecture import BASELINE
from harness.common.machine import environment
from harness.common.printable import quoted
from harness.export import export as export_module
from harness.export.verify import Compared
from harness.record.storage_url import sqlite_url
from harness.record.study import StudyRecord
from harness.record.surroundings import Environment
from harness.report import notes
from harness.storage.records import load_record
from tests.cli.command_line import Clo, Said
from tests.cli.pretended import Trainings
from tests.report import example

Typed = Callable[[str], Said]


@pytest.fixture
def searched(
    clo: Clo, trainings: Trainings, small_search: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> StudyRecord:
    """A small search in a folder of an awkward name, whose data and results are named relative to it."""
    folder = tmp_path / "my search's"
    folder.mkdir()
    monkeypatch.chdir(folder)
    relative = [os.path.relpath(word, folder) if Path(word).is_absolute() else word for word in small_search]
    said = clo(*relative, "--results", "out?", "--quiet")
    assert said.code == 0, said.err
    compared = Compared(engine="torch 9", output_shape=(1, 6, 84), max_difference=0.0)
    monkeypatch.setattr(export_module, "compare_in_fresh_process", lambda *_: compared)
    return load_record(sqlite_url(folder / "out?" / "y" / "study.db"), "y")


@pytest.fixture
def typed(clo: Clo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Type a printed line in another folder, as a shell would take it."""

    def run(line: str) -> Said:
        monkeypatch.chdir(tmp_path)
        change, folder, both, program, *words = shlex.split(line)
        assert (change, both, program) == ("cd", "&&", "clo")
        monkeypatch.chdir(Path(folder).expanduser())
        return clo(*words)

    return run


@pytest.mark.slow
def test_every_command_of_a_report_works_from_another_folder(searched: StudyRecord, typed: Typed) -> None:
    candidate = next(name for name in searched.trials["architecture"] if name != BASELINE)
    printed = [*notes.commands(searched), *notes.row_commands(searched, candidate)]
    printed += notes.row_commands(searched, BASELINE)
    assert len(printed) == 6
    for what, line in printed:
        said = typed(line)
        assert said.code == 0, (what, line, said.err)


def test_under_nox_the_program_is_a_session_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLO_NAS_PROGRAM", "nox -s clo --")
    here = environment(device="cpu", data_fingerprint=None, command=["nox", "-s", "clo"])
    record = replace(example.winning(), environment=Environment.of(here))
    line = dict(notes.commands(record))["Make this report again"]
    assert line.endswith("&& nox -s clo -- report demo")


def test_a_home_folder_is_a_tilde_that_the_shell_still_reads() -> None:
    assert [quoted(word) for word in ("~/my data/x", "~/x", "~", "a b", "x~", "~me/x")] == [
        "~/'my data/x'", "~/x", "~", "'a b'", "'x~'", "'~me/x'",
    ]  # fmt: skip
