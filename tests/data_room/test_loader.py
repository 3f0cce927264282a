"""What trainings read the data with: nothing of the user's is taken for something else, written or deleted."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import cv2
import numpy as np
import pytest
from ultralytics.cfg import get_cfg
from ultralytics.data import build

from harness.data.check import check_dataset, description
from harness.data.loader import UserDataset
from harness.training.quiet import make_ultralytics_quiet
from tests.data_room.photographs import image, photographs


def built(yaml: Path, split: Literal["train", "val"], **options: Any) -> Any:
    """What Ultralytics' trainers and validators load images with."""
    make_ultralytics_quiet()
    data = description(yaml)
    cfg = get_cfg(overrides={"imgsz": 32, "task": "detect", **options})
    return build.build_yolo_dataset(cfg, data[split], 2, data, mode=split)


def state(folder: Path) -> dict[Path, tuple[bytes, int]]:
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("cache", [False, "disk", "ram", True])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_users_npy_beside_an_image_is_neither_read_nor_written(
    split: Literal["train", "val"], cache: Any, channels: int, tmp_path: Path
) -> None:
    yaml = photographs(tmp_path, train=2, val=2)
    pixels = cv2.imread(str(image(tmp_path, split, 0)))
    assert pixels is not None
    beside = image(tmp_path, split, 0).with_suffix(".npy")
    np.save(beside, np.full((16, 16, channels), 200, np.uint8))
    image(tmp_path, split, 1).with_suffix(".npy").write_bytes(b"no array")
    before = state(tmp_path)
    loaded = built(yaml, split, cache=cache)
    assert isinstance(loaded, UserDataset)
    found = [loaded.load_image(number)[0] for number in range(2)]
    assert np.array_equal(found[0], cv2.resize(pixels, (32, 32)))
    assert state(tmp_path) == before


def test_training_images_are_kept_in_memory_where_they_fit_and_are_the_same_images(tmp_path: Path) -> None:
    yaml = photographs(tmp_path, train=3, val=2)
    plain, kept = built(yaml, "train"), built(yaml, "train", cache="ram")
    image(tmp_path, "train", 1).unlink()
    assert np.array_equal(kept.load_image(0)[0], plain.load_image(0)[0])
    kept.load_image(1)
    with pytest.raises(FileNotFoundError):
        plain.load_image(1)


def test_validation_images_are_read_once_and_not_kept(tmp_path: Path) -> None:
    assert built(photographs(tmp_path), "val", cache="ram").cache is None


@pytest.mark.parametrize(("gpus", "is_kept"), [(1, True), (2, False)])
def test_whether_images_fit_depends_on_machine_and_data_alone(
    gpus: int, is_kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mosaic draws otherwise from images in memory; two trainings of one seed see the same batches."""
    needed = 3 * 32 * 32 * 3
    memory = SimpleNamespace(total=2 * needed, available=0)
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory)
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    dataset = built(photographs(tmp_path, train=3), "train", cache="ram")
    assert (dataset.cache == "ram") is is_kept
    assert dataset.transforms.transforms[0].transforms[0].buffer_enabled is not is_kept


def test_a_copy_of_the_loader_in_an_image_loading_process_reads_none_either(tmp_path: Path) -> None:
    yaml = photographs(tmp_path, train=2, val=2)
    image(tmp_path, "train", 0).with_suffix(".npy").write_bytes(b"no array")
    copy = pickle.loads(pickle.dumps(built(yaml, "train")))
    copy.load_image(0)
    assert image(tmp_path, "train", 0).with_suffix(".npy").read_bytes() == b"no array"


def test_label_caches_beside_the_data_are_neither_read_nor_written(tmp_path: Path) -> None:
    yaml = photographs(tmp_path, train=2, val=2)
    other = {"labels": [], "hash": "any", "version": "1.0.12", "msgs": [], "results": (0, 0, 0, 0, 0)}
    with (tmp_path / "labels" / "train.cache").open("wb") as file:
        np.save(file, other)  # type: ignore[arg-type]
    before = state(tmp_path)
    assert check_dataset(str(yaml), 64).train_images == 2
    assert len(built(yaml, "train")) == len(built(yaml, "val")) == 2
    assert state(tmp_path) == before


@pytest.mark.parametrize(("ending", "said"), [(b"padding", True), (b"", False)])
def test_a_jpeg_that_goes_on_after_its_end_is_used_and_left_as_it_is(ending: bytes, said: bool, tmp_path: Path) -> None:
    yaml = photographs(tmp_path, train=2, val=2, suffix=".jpg")
    path = image(tmp_path, "train", 0, ".jpg")
    path.write_bytes(path.read_bytes() + ending)
    before = state(tmp_path)
    info = check_dataset(str(yaml), 64)
    assert info.train_images == 2
    assert any("after the JPEG's end used as they are" in each for each in info.repairs) is said
    assert len(built(yaml, "train")) == 2
    assert state(tmp_path) == before


def test_a_truncated_jpeg_is_left_out_and_left_as_it_is(tmp_path: Path) -> None:
    yaml = photographs(tmp_path, suffix=".jpg")
    path = image(tmp_path, "train", 0, ".jpg")
    path.write_bytes(path.read_bytes()[: -path.stat().st_size // 4])
    before = state(tmp_path)
    [said] = check_dataset(str(yaml), 64).repairs
    assert "corrupt or truncated (images/train/000.jpg)" in said
    assert len(built(yaml, "train")) == 59
    assert state(tmp_path) == before


def test_a_second_look_at_the_data_reads_no_image_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    yaml = photographs(tmp_path, train=2, val=2)
    first = check_dataset(str(yaml), 64)
    monkeypatch.setattr("ultralytics.data.dataset.verify_image_label", lambda *_: pytest.fail("read again"))
    assert check_dataset(str(yaml), 64) == first


def test_two_lists_of_images_in_one_folder_are_both_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    yaml = photographs(tmp_path, train=4, val=2)
    for split, numbers in (("a", (0, 1)), ("b", (2, 3))):
        (tmp_path / f"{split}.txt").write_text("".join(f"./images/train/{number:03}.png\n" for number in numbers))
    yaml.write_text("train: a.txt\nval: b.txt\nnames: [cat, dog]\n")
    check_dataset(str(yaml), 64)
    monkeypatch.setattr("ultralytics.data.dataset.verify_image_label", lambda *_: pytest.fail("read again"))
    assert check_dataset(str(yaml), 64).train_images == 2
