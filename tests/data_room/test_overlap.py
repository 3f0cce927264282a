"""Which validation images are training images."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.common.digest import file_digest
from harness.data import usable as overlap
from harness.data.usable import shared_images


def write(folder: Path, **contents: str) -> list[str]:
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_text(content)
    return [str(folder / name) for name in contents]


def test_images_are_the_same_by_path_by_link_and_by_content(tmp_path: Path) -> None:
    train = write(tmp_path / "train", a="one", b="two", c="three")
    val = write(tmp_path / "val", x="two", y="four", z="six")
    (tmp_path / "val" / "linked").symlink_to(train[0])
    val += [str(tmp_path / "val" / "linked"), train[2]]
    assert shared_images(train, val) == sorted([val[0], val[3], val[4]])


def test_only_files_of_equal_size_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    digest = file_digest

    def noted(path: Path) -> str:
        read.append(str(path))
        return digest(path)

    monkeypatch.setattr(overlap, "file_digest", noted)
    train = write(tmp_path / "train", a="1", b="22", c="333")
    val = write(tmp_path / "val", x="44", y="55555")
    assert shared_images(train, val) == []
    assert sorted(read) == sorted([train[1], val[0]])
