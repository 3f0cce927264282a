"""`clo report --terminal` prints, and writes nothing."""

from __future__ import annotations

import json
from pathlib import Path

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
