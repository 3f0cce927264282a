"""What is made of COCO data is made once, whole, and again when the data change."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.common.errors import UserError
from harness.data import check, coco
from harness.data.check import DatasetInfo, check_dataset
from tests.coco_data import CocoData, Content, edit, first_with, labels, read


@pytest.fixture(params=["every label is read", "too many labels to read"])
def any_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "too many labels to read":
        monkeypatch.setattr(check, "LARGE", 3)


def test_the_same_data_elsewhere_has_the_same_fingerprint(
    data: CocoData, cache: Path, tmp_path: Path, any_size: None
) -> None:
    shutil.copytree(data.root, tmp_path / "copy")  # with the times of change
    ours, copy = (check_dataset(str(root), 64, tmp_path / root.name) for root in (data.root, tmp_path / "copy"))
    assert ours.path != copy.path
    assert ours.fingerprint == copy.fingerprint


@pytest.mark.parametrize("change", [first_with("annotations", area=1.0), lambda c: c["annotations"].pop(4)])
def test_what_only_cocoeval_sees_changes_the_fingerprint(
    data: CocoData, cache: Path, made: DatasetInfo, change: Callable[[Content], object], any_size: None
) -> None:
    """An area and a crowd."""
    before = check_dataset(str(data.train), 64, cache)
    edit(data.val, change)
    after = check_dataset(str(data.train), 64, cache)
    assert labels(after, "val2017") == labels(before, "val2017")
    assert after.path != before.path and after.fingerprint != before.fingerprint


def test_a_moved_label_changes_the_fingerprint(data: CocoData, cache: Path, any_size: None) -> None:
    before = check_dataset(str(data.train), 64, cache)
    box = read(data.train)["annotations"][0]["bbox"]
    edit(data.train, first_with("annotations", bbox=[box[0] / 2, *box[1:]]))
    assert check_dataset(str(data.train), 64, cache).fingerprint != before.fingerprint


def test_the_second_call_writes_nothing(
    data: CocoData, cache: Path, made: DatasetInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coco, "_write", lambda *_: pytest.fail("written again"))
    assert check_dataset(str(data.train), 64, cache) == made


def test_a_moved_cache_is_still_a_data_set(cache: Path, made: DatasetInfo, tmp_path: Path) -> None:
    from ultralytics.data.utils import check_det_dataset

    cache.rename(tmp_path / "moved")
    moved = tmp_path / "moved" / made.path.parent.name
    assert Path(check_det_dataset(str(moved / "data.yaml"), autodownload=False)["val"]).parent == moved.resolve()
    assert check_dataset(str(moved / "data.yaml"), 64).fingerprint == made.fingerprint


def test_without_links_images_are_there_all_the_same_and_it_is_said(
    data: CocoData, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(1, "A required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", refused)
    info = check_dataset(str(data.train), 64, cache)
    images = info.path.parent / "images" / "val2017"
    assert not images.is_symlink() and info.val_images == 5
    assert os.path.samefile(images / "000000005001.png", data.root / "val2017" / "000000005001.png")  # noqa: PTH121
    assert any("the cache takes no links to folders" in text for text in info.repairs)


def test_an_interrupted_writer_leaves_nothing_behind_and_every_image_where_it_was(
    data: CocoData, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, before = coco._link, sorted(data.root.rglob("*"))

    def interrupted(images: Any, place: Path) -> bool:
        assert link(images, place)
        raise KeyboardInterrupt

    monkeypatch.setattr(coco, "_link", interrupted)
    with pytest.raises(KeyboardInterrupt):
        check_dataset(str(data.train), 64, cache)
    assert list(cache.iterdir()) == []
    assert sorted(data.root.rglob("*")) == before


def test_a_cache_that_cannot_be_written_is_one_clear_sentence(data: CocoData, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"The labels of .* cannot be written to .*/file/coco-\w+: "):
        check_dataset(str(data.train), 64, tmp_path / "file")


def test_processes_that_write_at_once_agree(data: CocoData, cache: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from harness.data.check import check_dataset\n"
        "print(check_dataset(sys.argv[1], 64, Path(sys.argv[2])))"
    )
    command = [sys.executable, "-c", program, str(data.train), str(cache)]
    root = Path(coco.__file__).parents[2]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(2)]
    said = {process.communicate(timeout=60)[0] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(said) == 1 and len(list(cache.iterdir())) == 1
