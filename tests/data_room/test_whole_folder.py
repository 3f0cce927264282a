"""A folder that is replaced is the whole old one or the whole new one."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.common.atomic import replace_folder


def write_new(folder: Path) -> str:
    (folder / "new").write_text("new")
    return "written"


def test_what_was_there_goes_and_nothing_else_is_left(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "old").write_text("old")
    assert replace_folder(tmp_path / "x", write_new) == "written"
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_folders_above_it_are_made(tmp_path: Path) -> None:
    replace_folder(tmp_path / "a" / "b", write_new)
    assert (tmp_path / "a" / "b" / "new").is_file()


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "old").write_text("old")

    def fail(folder: Path) -> None:
        write_new(folder)
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        replace_folder(tmp_path / "x", fail)
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
