"""The search spaces are found wherever the program was started from."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.common import resources


def folder_with_a_space(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "default.yaml").write_text("sites: []\n")
    return folder


def test_a_clone_reads_the_top_level_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "harness")
    beside = folder_with_a_space(tmp_path / "search_spaces")
    assert resources.search_space_folder() == beside


def test_a_wheel_reads_its_own_copy_and_not_a_stranger_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "harness")
    folder_with_a_space(tmp_path / "search_spaces")
    inside = folder_with_a_space(tmp_path / "harness" / "_search_spaces")
    assert resources.search_space_folder() == inside


def test_an_incomplete_installation_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "harness")
    with pytest.raises(FileNotFoundError, match="incomplete"):
        resources.search_space_folder()


def test_this_installation_has_its_search_spaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # from anywhere, not from the clone alone
    assert (resources.search_space_folder() / "default.yaml").is_file()
