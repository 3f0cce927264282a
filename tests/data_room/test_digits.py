"""The embedded data set: real digits, each in one split, the same bytes everywhere."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from harness.common.errors import UserError
from harness.data import embedded as module
from harness.data.digits import DigitsSettings, ensure_digits, split_digits

SMALL = DigitsSettings(train_images=6, val_images=4)
LABELS = load_digits().target.astype(np.int64)


def scenes_of(data: Path, split: str) -> dict[str, list[dict[str, Any]]]:
    record = json.loads((data.parent / "scenes.json").read_text(encoding="utf-8"))
    return {name: digits for name, digits in record.items() if name.startswith(f"{split}/")}


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# --- Which digits ---------------------------------------------------------------------------------


def test_no_digit_image_is_in_both_splits(digits: Path) -> None:
    used = {
        split: {one["digit"] for scene in scenes_of(digits, split).values() for one in scene}
        for split in ("train", "val")
    }
    assert used["train"].isdisjoint(used["val"])
    # Nearly all of the 1,797 are used: variety is what a detector learns from.
    assert len(used["train"] | used["val"]) > 1_750


def test_the_split_divides_every_class_in_the_same_proportion() -> None:
    split = split_digits(LABELS, DigitsSettings(train_share=0.6))
    assert sorted(split["train"] + split["val"]) == list(range(1797))
    for label in range(10):
        train = sum(LABELS[i] == label for i in split["train"])
        assert train == int(0.6 * (label == LABELS).sum())


@pytest.mark.parametrize("split", ["train", "val"])
def test_all_classes_are_about_equally_common(digits: Path, split: str) -> None:
    count = Counter(one["label"] for scene in scenes_of(digits, split).values() for one in scene)
    mean = sum(count.values()) / 10
    assert sorted(count) == list(range(10))
    assert all(0.85 * mean < number < 1.15 * mean for number in count.values())


def test_recorded_classes_are_those_of_scikit_learn(digits: Path) -> None:
    placed = [one for scene in scenes_of(digits, "val").values() for one in scene]
    assert [one["label"] for one in placed] == LABELS[[one["digit"] for one in placed]].tolist()


# --- What is written ------------------------------------------------------------------------------


def test_it_is_an_ordinary_ultralytics_data_set(digits: Path) -> None:
    content = yaml.safe_load(digits.read_text(encoding="utf-8"))
    assert Path(content["path"]) == digits.parent and digits.is_absolute()
    assert content["names"] == {label: str(label) for label in range(10)}
    for split, count in (("train", DigitsSettings().train_images), ("val", DigitsSettings().val_images)):
        images = sorted(p.stem for p in (digits.parent / content[split]).glob("*.png"))
        labels = sorted(p.stem for p in (digits.parent / "labels" / split).glob("*.txt"))
        assert images == labels and len(images) == count


def test_source_and_licence_travel_with_the_data(digits: Path) -> None:
    text = (digits.parent / "SOURCE.txt").read_text(encoding="utf-8")
    assert all(word in text for word in ("UCI", "10.24432/C50P49", "CC BY 4.0", "scikit-learn", "Alpaydin"))


@pytest.mark.parametrize("split", ["train", "val"])
def test_label_files_hold_the_recorded_boxes_within_the_image(digits: Path, split: str) -> None:
    size = DigitsSettings().image_size
    for name, placed in scenes_of(digits, split).items():
        rows = np.loadtxt(digits.parent / "labels" / f"{name}.txt", ndmin=2)
        boxes = np.array([one["box"] for one in placed])
        middle, extent = rows[:, 1:3] * size, rows[:, 3:] * size
        np.testing.assert_allclose(np.hstack([middle - extent / 2, middle + extent / 2]), boxes, atol=1e-5)
        assert rows[:, 0].tolist() == [one["label"] for one in placed]
        assert (extent > 0).all() and boxes.min() >= 0 and boxes.max() <= size


def test_scenes_hold_the_promised_number_of_digits(digits: Path) -> None:
    lengths = {len(scene) for scene in scenes_of(digits, "train").values()}
    assert max(lengths) == DigitsSettings().digits_max and min(lengths) >= 1


@given(height=st.integers(1, 150), width=st.integers(1, 160), seed=st.integers(0, 99))
def test_opencv_reads_back_the_pixels_that_were_stored(height: int, width: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    read = cv2.imdecode(np.frombuffer(module._png(image), np.uint8), cv2.IMREAD_COLOR)
    assert read is not None
    np.testing.assert_array_equal(cv2.cvtColor(read, cv2.COLOR_BGR2RGB), image)


# --- Once, whole, the same ------------------------------------------------------------------------


def test_two_caches_hold_the_same_bytes(tmp_path: Path) -> None:
    first, second = (files_of(ensure_digits(tmp_path / name, SMALL).parent) for name in "ab")
    assert len(first) == 2 * (6 + 4) + 3
    del first["data.yaml"], second["data.yaml"]  # holds the absolute path
    assert first == second


def test_the_bytes_are_those_of_every_other_machine(tmp_path: Path) -> None:
    """Change this hash only together with `v1` in the folder's name."""
    files = files_of(ensure_digits(tmp_path, SMALL).parent)
    pixels = b"".join(files[name] for name in sorted(files) if name.startswith(("images", "labels")))
    assert hashlib.sha256(pixels).hexdigest()[:16] == "be8b7511589fe997"


def test_another_seed_gives_other_scenes_in_another_folder(tmp_path: Path) -> None:
    first = ensure_digits(tmp_path, SMALL)
    second = ensure_digits(tmp_path, DigitsSettings(train_images=6, val_images=4, seed=1))
    assert first != second
    image = "images/train/00000.png"
    assert (first.parent / image).read_bytes() != (second.parent / image).read_bytes()


def test_the_second_call_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ensure_digits(tmp_path, SMALL)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    monkeypatch.setattr(module, "_write", lambda *_: pytest.fail("written again"))
    assert ensure_digits(tmp_path, SMALL) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_moved_cache_gets_its_new_path(tmp_path: Path) -> None:
    ensure_digits(tmp_path / "old", SMALL)
    (tmp_path / "old").rename(tmp_path / "new")
    data = ensure_digits(tmp_path / "new", SMALL)
    assert yaml.safe_load(data.read_text(encoding="utf-8"))["path"] == str(data.parent)


def test_an_interrupted_writer_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(folder: Path, *_: object) -> None:
        (folder / "images").mkdir()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "_write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ensure_digits(tmp_path, SMALL)
    assert list(tmp_path.iterdir()) == []
    assert ensure_digits(tmp_path, SMALL).is_file()


def test_the_folder_appears_only_when_it_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, seen = module._write, []

    def spying(folder: Path, *given: Any) -> None:
        write(folder, *given)
        seen.append([path.name for path in tmp_path.iterdir() if not path.name.startswith(".")])

    monkeypatch.setattr(module, "_write", spying)
    data = ensure_digits(tmp_path, SMALL)
    assert seen == [[]] and data.is_file()


def test_processes_that_write_at_once_agree(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from harness.data.digits import *\n"
        "print(ensure_digits(Path(sys.argv[1]), DigitsSettings(train_images=6, val_images=4)))"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    root = Path(module.__file__).parents[2]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(2)]
    paths = {process.communicate(timeout=60)[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(paths) == 1
    folder = Path(paths.pop()).parent
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert len(files_of(folder)) == 2 * (6 + 4) + 3


def test_who_loses_the_race_uses_the_winners_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = module._write

    def overtaken(folder: Path, *given: Any) -> None:
        write(folder, *given)
        with monkeypatch.context() as patch:
            patch.setattr(module, "_write", write)
            ensure_digits(tmp_path, SMALL)  # another process, meanwhile

    monkeypatch.setattr(module, "_write", overtaken)
    data = ensure_digits(tmp_path, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == [data.parent.name]


def test_a_cache_that_cannot_be_written_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"digits data set cannot be written to .*/file/digits-v1-\w+: "):
        ensure_digits(tmp_path / "file", SMALL)


def test_a_full_disk_is_one_clear_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write", full)
    with pytest.raises(UserError, match="No space left on device"):
        ensure_digits(tmp_path, SMALL)
    assert list(tmp_path.iterdir()) == []
