"""Nothing is dropped in silence: what a training will not use is counted by reason, and too much of it is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytest

from harness.common.errors import UserError
from harness.data.check import check_dataset, description
from harness.data.loader import UserDataset
from tests.data_room.photographs import BOX, image, label, photographs

Spoil = Callable[[Path, Path], object]
"""Spoils an image, or its labels."""


def rows(text: str) -> Spoil:
    return lambda _image, label: label.write_text(text, encoding="utf-8")


def shrink(image: Path, _label: Path) -> None:
    cv2.imwrite(str(image), np.zeros((1, 16, 3), np.uint8))


def cut(image: Path, _label: Path) -> None:
    image.write_bytes(image.read_bytes()[:-60])


FAULTS: dict[str, tuple[Spoil, str]] = {
    "one pixel tall": (shrink, "under 10 pixels wide or high"),
    "truncated": (cut, "corrupt or truncated"),
    "a page": (lambda image, _: image.write_text("<!DOCTYPE html><html>"), "an HTML page"),
    "a note": (lambda image, _: image.write_text("no image"), "not an image"),
    "empty": (lambda image, _: image.write_bytes(b""), "of 0 bytes"),
    "heic": (lambda image, _: image.write_bytes(b"\0\0\0\x18ftypheic" + bytes(40)), "HEIC"),
    "pixels": (rows(f"{BOX}0 120 80 40 30\n"), "in pixels"),
    "centre above 1": (rows("0 1.2 0.5 0.25 0.25"), "outside the image"),
    "negative centre": (rows("0 -0.2 0.5 0.25 0.25"), "outside the image"),
    "negative size": (rows("0 0.5 0.5 -0.25 0.25"), "negative width or height"),
    "six columns": (rows("0 0.5 0.5 0.25 0.25 0.9"), "of 6 columns instead of 5"),
    "four columns": (rows("0 0.5 0.5 0.25"), "of 4 columns instead of 5"),
    "a word": (rows("cat 0.5 0.5 0.25 0.25"), "a word instead of a number"),
    "another class": (rows("2 0.5 0.5 0.25 0.25"), "of class 2, which is not one of the classes 0 to 1"),
    "half a class": (rows("0.5 0.5 0.5 0.25 0.25"), "of class 0.5"),
    "boxes and polygons": (rows(f"{BOX}0 0.1 0.1 0.5 0.1 0.5 0.5\n"), "boxes and of polygons"),
}


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("fault", FAULTS)
def test_an_image_that_is_not_used_is_counted_and_named_with_its_reason(fault: str, split: str, tmp_path: Path) -> None:
    spoil, reason = FAULTS[fault]
    yaml = photographs(tmp_path)
    spoil(image(tmp_path, split, 7), label(tmp_path, split, 7))
    info = check_dataset(str(yaml), 64)
    kind = {"train": "training", "val": "validation"}[split]
    [said] = info.repairs
    assert said.startswith(f"1 of 60 {kind} images not used: ") and reason in said and f"{split}/007" in said
    assert {"train": info.train_images, "val": info.val_images} == {"train": 60, "val": 60} | {split: 59}
    assert sum(info.counts[split]["images_unused"].values()) == 1


def used_by_a_training(yaml: Path, split: Literal["train", "val"]) -> set[str]:
    from ultralytics.utils import DEFAULT_CFG

    data = description(yaml)
    return {*UserDataset(img_path=data[split], data=data, augment=split == "train", hyp=DEFAULT_CFG).im_files}


def test_what_is_counted_as_used_is_what_ultralytics_loads(tmp_path: Path) -> None:
    yaml = photographs(tmp_path, train=len(FAULTS) + 4, val=4)
    for number, (spoil, _) in enumerate(FAULTS.values()):
        spoil(image(tmp_path, "train", number), label(tmp_path, "train", number))
    info = check_dataset(str(yaml), 64, allow_unusable=True)
    loaded = used_by_a_training(yaml, "train")
    assert info.train_images == len(loaded) == 4
    assert sum(info.counts["train"]["images_unused"].values()) == len(FAULTS)


@pytest.mark.parametrize("split", ["train", "val"])
def test_more_than_two_in_a_hundred_are_refused_with_counts_and_names(split: str, tmp_path: Path) -> None:
    yaml = photographs(tmp_path)
    shrink(image(tmp_path, split, 1), label(tmp_path, split, 1))
    rows("0 120 80 40 30")(image(tmp_path, split, 3), label(tmp_path, split, 3))
    with pytest.raises(UserError) as error:
        check_dataset(str(yaml), 64)
    said = str(error.value)
    assert "2 of 60" in said and "give --allow-unusable" in said and "to go on with 58" in said
    assert f"1 under 10 pixels wide or high (images/{split}/001.png)" in said
    assert f"in pixels, not in shares of the image's sides (labels/{split}/003.txt, line 1)" in said
    assert check_dataset(str(yaml), 64, allow_unusable=True).counts[split]["images_used"] == 58


def test_a_set_of_which_nothing_is_left_is_refused_whatever_is_allowed(tmp_path: Path) -> None:
    yaml = photographs(tmp_path, train=2, val=2)
    for number in range(2):
        rows("9 0.5 0.5 0.25 0.25")(tmp_path, label(tmp_path, "train", number))
    with pytest.raises(UserError, match="2 of 2 training images cannot be used") as error:
        check_dataset(str(yaml), 64, allow_unusable=True)
    assert "--allow-unusable" not in str(error.value)


@pytest.mark.parametrize("suffix", [".gif", ".GIF", ".jfif", ".cr2"])
def test_images_that_ultralytics_does_not_list_are_counted(suffix: str, tmp_path: Path) -> None:
    yaml = photographs(tmp_path)
    image(tmp_path, "train", 5).rename(image(tmp_path, "train", 5, suffix))
    info = check_dataset(str(yaml), 64)
    assert (info.train_images, info.counts["train"]["images_listed"]) == (59, 60)
    assert f"in a format that Ultralytics does not list (images/train/005{suffix})" in info.repairs[0]
    assert info.counts["train"]["label_files_without_image"] == 0  # its label has one


def test_labels_without_an_image_are_counted(tmp_path: Path) -> None:
    yaml = photographs(tmp_path)
    image(tmp_path, "train", 5).unlink()
    label(tmp_path, "train", 99).with_name("classes.txt").write_text("cat\ndog\n")  # as labelling programs write it
    [said] = check_dataset(str(yaml), 64).repairs
    assert said == "1 training label file without an image not used (labels/train/005.txt)."
    image(tmp_path, "train", 6).unlink()
    with pytest.raises(UserError, match=r"2 of 60 training label rows would not be used: 2 label files without"):
        check_dataset(str(yaml), 64)


def test_labels_of_images_that_a_list_leaves_out_are_not_missing_theirs(tmp_path: Path) -> None:
    yaml = photographs(tmp_path, train=10, val=4)
    listed = [f"./images/train/{number:03}.png" for number in range(4)]
    (tmp_path / "some.txt").write_text("\n".join(listed))
    yaml.write_text(yaml.read_text().replace("images/train", "some.txt"))
    info = check_dataset(str(yaml), 64)
    assert info.train_images == 4 and info.repairs == ()


def test_a_row_that_is_there_twice_is_counted_and_used_once(tmp_path: Path) -> None:
    yaml = photographs(tmp_path)
    label(tmp_path, "val", 0).write_text(BOX + BOX)
    info = check_dataset(str(yaml), 64)
    assert info.repairs == ("1 validation label row used once, though they are in their files twice.",)
    assert info.counts["val"]["duplicate_label_rows"] == 1 and info.counts["val"]["objects"] == 60


def test_images_without_labels_are_said_and_not_refused(tmp_path: Path) -> None:
    yaml = photographs(tmp_path)
    for number in range(20):
        label(tmp_path, "train", number).unlink()
    label(tmp_path, "train", 30).write_text("\n")
    info = check_dataset(str(yaml), 64)
    assert info.repairs == ("20 training images without a label file used as images without objects.",)
    counts = info.counts["train"]
    assert (counts["images_without_label_file"], counts["images_with_empty_label_file"]) == (20, 1)
    assert info.train_images == 60


def test_sound_data_need_no_words(tmp_path: Path) -> None:
    info = check_dataset(str(photographs(tmp_path)), 64)
    assert info.repairs == info.cautions == ()


# --- What the data can tell -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "said"), [(1, "1 image with 1 object"), (29, "29 images with 29 objects"), (30, "")]
)
def test_a_validation_set_too_small_to_judge_by_is_said(images: int, said: str, tmp_path: Path) -> None:
    cautions = check_dataset(str(photographs(tmp_path, val=images)), 64).cautions
    assert said in " ".join(cautions) and bool(cautions) == bool(said)


@pytest.mark.parametrize("change", ["names", "copies"])
def test_validation_images_that_are_training_images_are_refused_by_name_or_content(change: str, tmp_path: Path) -> None:
    yaml = photographs(tmp_path)
    if change == "names":
        yaml.write_text(yaml.read_text().replace("val: images/val", "val: images/train"))
    else:
        for number in range(60):
            image(tmp_path, "val", number).write_bytes(image(tmp_path, "train", 59 - number).read_bytes())
    with pytest.raises(UserError, match="60 of 60 validation images are training images") as error:
        check_dataset(str(yaml), 64)
    assert "--allow-val-in-train" in str(error.value)
    [said] = check_dataset(str(yaml), 64, allow_val_in_train=True).cautions
    assert "60 of 60" in said and "says nothing of other images" in said


def test_a_single_validation_image_that_is_a_training_image_is_said(tmp_path: Path) -> None:
    yaml = photographs(tmp_path)
    image(tmp_path, "val", 9).write_bytes(image(tmp_path, "train", 3).read_bytes())
    [said] = check_dataset(str(yaml), 64).cautions
    assert said.startswith("1 of 60 validation images are training images") and "images/val/009.png" in said


# --- Class names ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["cell", "cell", "cell"], ["cell", "cell (2)", "cell (3)"]),
        (["cell", "cell (2)", "cell"], ["cell", "cell (2)", "cell (3)"]),
        ({0: "a", 1: 1, 2: "1"}, ["a", "1", "1 (2)"]),
        (["cat", "dog"], ["cat", "dog"]),
    ],
)
def test_classes_of_one_name_are_told_apart(given: Any, names: list[str], tmp_path: Path) -> None:
    import yaml as writer

    yaml = photographs(tmp_path)
    yaml.write_text(writer.safe_dump({"train": "images/train", "val": "images/val", "names": given}))
    info = check_dataset(str(yaml), 64)
    assert [*info.names.values()] == [*description(yaml)["names"].values()] == names
    assert bool(info.repairs) == (names != ["cat", "dog"])
