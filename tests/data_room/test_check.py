"""A data set is looked at before it is trained on; every fault is one sentence, nothing is downloaded."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from harness.common.errors import UserError
from harness.data import check
from harness.data.check import check_dataset, require_unchanged
from harness.data.digits import DigitsSettings


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two classes, three training images (one of them without a label file), two for validation."""
    return make(tmp_path / "pets")


def make(folder: Path) -> Path:
    for split, count in (("train", 3), ("val", 2)):
        (folder / "images" / split).mkdir(parents=True)
        (folder / "labels" / split).mkdir(parents=True)
        for index in range(count):
            image = np.full((32, 32, 3), 40 * index + (split == "val"), np.uint8)
            cv2.imwrite(str(folder / "images" / split / f"{index}.png"), image)
            if index < 2:
                label(folder, split, index).write_text(f"{index} 0.5 0.5 0.25 0.25\n", encoding="utf-8")
    return write(folder, train="images/train", val="images/val", names=["cat", "dog"])


def label(folder: Path, split: str, index: int) -> Path:
    return folder / "labels" / split / f"{index}.txt"


def write(folder: Path, /, **content: object) -> Path:
    path = folder / "data.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def edit(path: Path, /, **change: object) -> str:
    content = yaml.safe_load(path.read_text(encoding="utf-8")) | change
    write(path.parent, **{key: value for key, value in content.items() if value is not None})
    return str(path)


def sentence(data: str | Path, imgsz: int = 64) -> str:
    """The user's error, which must be one line that ends like a sentence."""
    with pytest.raises(UserError) as error:
        check_dataset(str(data), imgsz)
    text = str(error.value)
    assert "\n" not in text and text.endswith(".")
    return text


# --- What is right --------------------------------------------------------------------------------


def test_a_users_data_set_is_described(data: Path) -> None:
    info = check_dataset(str(data), 64)
    assert (info.path, info.root, info.names) == (data, data.parent, {0: "cat", 1: "dog"})
    assert (info.train_images, info.val_images, len(info.fingerprint)) == (3, 2, 64)


def test_the_embedded_data_set_goes_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = DigitsSettings(train_images=5, val_images=3)
    monkeypatch.setattr("harness.data.digits.DigitsSettings", lambda: small)
    info = check_dataset("digits", 128, cache=tmp_path)
    assert (info.train_images, info.val_images) == (5, 3)
    assert info.names == {number: str(number) for number in range(10)}
    assert info.path.is_relative_to(tmp_path)


def test_the_path_is_absolute_however_it_was_given(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data.parent)
    assert check_dataset("data.yaml", 64).path == data


def test_ultralytics_finds_the_same_images_and_names(data: Path) -> None:
    from ultralytics.data.utils import check_det_dataset

    theirs = check_det_dataset(str(data), autodownload=False)
    ours = check_dataset(str(data), 64)
    assert theirs["names"] == ours.names
    assert len(list(Path(theirs["train"]).iterdir())) == ours.train_images


@pytest.mark.parametrize(
    ("change", "train_images"),
    [
        ({"train": ["images/train", "images/val"]}, 5),
        ({"train": "images"}, 5),  # everything below a folder
        ({"train": "../images/train"}, 3),  # written by other tools, accepted by Ultralytics
        ({"train": "listed.txt"}, 2),
        ({"val": None, "validation": "images/val"}, 3),
        ({"names": None, "nc": 2}, 3),
        ({"names": {1: "dog", 0: "cat"}}, 3),
    ],
)
def test_every_way_of_writing_a_yaml_is_read(data: Path, change: dict[str, object], train_images: int) -> None:
    listed = ["./images/train/0.png", str(data.parent / "images/train/1.png"), "", "notes.md"]
    (data.parent / "listed.txt").write_text("\n".join(listed), encoding="utf-8")
    info = check_dataset(edit(data, **change), 64, allow_val_in_train=True)
    assert info.train_images == train_images and info.val_images == 2
    assert sorted(info.names) == [0, 1]


def test_polygons_count_as_labels(data: Path) -> None:
    for index in (0, 1):
        label(data.parent, "val", index).write_text("1 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n", encoding="utf-8")
    assert check_dataset(str(data), 64).val_images == 2


def test_nothing_is_written(data: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in data.parent.rglob("*")}
    check_dataset(str(data), 64)
    assert {path: path.stat().st_mtime_ns for path in data.parent.rglob("*")} == before


@pytest.mark.parametrize("change", [{"channels": [3]}, {"channels": "3"}, {"kpt_shape": 17}, {"kpt_shape": ["a", 3]}])
def test_what_would_crash_the_loader_is_a_sentence(data: Path, change: dict[str, object]) -> None:
    said = sentence(edit(data, **change))
    assert f"'{next(iter(change))}' must be " in said or "takes colour images" in said


def test_labels_of_poses_are_boxes_with_points(data: Path) -> None:
    label(data.parent, "train", 0).write_text("0 0.5 0.5 0.25 0.25 0.5 0.5 2\n", encoding="utf-8")
    assert check_dataset(edit(data, kpt_shape=[1, 3]), 64).train_images == 3
    with pytest.raises(UserError, match="of 8 columns instead of 5"):
        check_dataset(edit(data, kpt_shape=None), 64)


# --- The fingerprint ------------------------------------------------------------------------------


@pytest.fixture(params=["small", "large"])
def any_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Large sets are hashed by size and time; here four images are already many."""
    if request.param == "large":
        monkeypatch.setattr(check, "LARGE", 4)
    return str(request.param)


def test_the_same_data_elsewhere_has_the_same_fingerprint(data: Path, tmp_path: Path, any_size: str) -> None:
    shutil.copytree(data.parent, tmp_path / "copy")  # keeps times
    copy = check_dataset(str(tmp_path / "copy" / "data.yaml"), 64)
    assert copy.fingerprint == check_dataset(str(data), 64).fingerprint


def test_cache_files_of_ultralytics_do_not_change_the_fingerprint(data: Path, any_size: str) -> None:
    before = check_dataset(str(data), 64).fingerprint
    (data.parent / "labels" / "train.cache").write_bytes(b"x")
    assert check_dataset(str(data), 64).fingerprint == before


CHANGES = ["label", "new label", "image", "new image", "names", "splits swapped"]


def change_what_training_sees(data: Path, change: str) -> None:
    folder = data.parent
    if change == "label":
        label(folder, "val", 1).write_text("0 0.5 0.5 0.25 0.125\n", encoding="utf-8")
    elif change == "new label":
        label(folder, "train", 2).write_text("0 0.5 0.5 0.25 0.25\n", encoding="utf-8")
    elif change == "image":
        cv2.imwrite(str(folder / "images/train/0.png"), np.full((64, 64, 3), 7, np.uint8))
    elif change == "new image":
        shutil.copy2(folder / "images/val/0.png", folder / "images/val/9.png")
    elif change == "names":
        edit(data, names=["dog", "cat"])
    else:
        edit(data, train="images/val", val="images/train")


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_training_sees_changes_the_fingerprint(data: Path, change: str, any_size: str) -> None:
    before = check_dataset(str(data), 64).fingerprint
    change_what_training_sees(data, change)
    assert check_dataset(str(data), 64).fingerprint != before


# --- Under a search -------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [*CHANGES, "image gone", "label gone"])
def test_data_that_change_under_a_search_are_refused(data: Path, change: str) -> None:
    checked = check_dataset(str(data), 64)
    require_unchanged(checked.path, checked.fingerprint)
    if change == "image gone":
        (data.parent / "images/train/0.png").unlink()
    elif change == "label gone":
        label(data.parent, "train", 0).unlink()
    else:
        change_what_training_sees(data, change)
    with pytest.raises(UserError, match="has changed while the search ran") as error:
        require_unchanged(checked.path, checked.fingerprint)
    assert str(data) in str(error.value)


@pytest.mark.parametrize("gone", ["data.yaml", "images/val"])
def test_data_that_vanish_under_a_search_are_named_and_asked_back(data: Path, gone: str) -> None:
    checked = check_dataset(str(data), 64)
    (data.parent / gone).rename(data.parent / "elsewhere")
    with pytest.raises(UserError, match="put back what it was, then run the same command again") as error:
        require_unchanged(checked.path, checked.fingerprint)
    assert str(data.parent / gone) in str(error.value)


# --- What is wrong --------------------------------------------------------------------------------


def test_a_missing_file_says_what_can_be_given() -> None:
    assert "'nowhere/pets.yaml' does not exist; give one of digits, local" in sentence("nowhere/pets.yaml")


def test_an_unknown_name_says_what_can_be_given() -> None:
    assert "'no_such_set_8' does not exist" in sentence("no_such_set_8")


@pytest.mark.parametrize("name", ["coco8.yaml", "coco.yaml", "coco128"])
def test_a_known_set_without_images_says_where_they_belong(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.data.root.datasets_dir", lambda: tmp_path)
    text = sentence(name)
    assert "must be downloaded first" in text
    assert str(tmp_path / name.removesuffix(".yaml")) in text


def test_an_address_is_not_followed() -> None:
    assert "nothing is downloaded" in sentence("https://ultralytics.com/assets/coco8.zip")


def test_a_folder_is_not_a_yaml(data: Path) -> None:
    assert "is a folder; give the YAML file" in sentence(data.parent)


def test_an_image_is_not_a_yaml(data: Path) -> None:
    assert "must end in .yaml or .yml" in sentence(data.parent / "images/val/0.png")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("names: [cat\ntrain: x", "malformed at line 2"),
        ("- train\n- val", "not a mapping of keys to values"),
        ("just words", "not a mapping of keys to values"),
    ],
)
def test_malformed_yaml_says_where(data: Path, text: str, reason: str) -> None:
    data.write_text(text, encoding="utf-8")
    assert sentence(data) == f"Data set {data} is not a dataset YAML: it is {reason}."


def test_a_model_yaml_is_not_a_data_set() -> None:
    assert "has no key 'train'" in sentence("yolov8.yaml")


@pytest.mark.parametrize("key", ["train", "val"])
def test_both_splits_must_be_named(data: Path, key: str) -> None:
    assert f"has no key {key!r}; it must name the folder" in sentence(edit(data, **{key: None}))


def test_images_have_three_channels(data: Path) -> None:
    assert "says channels: 1; a model here takes colour images. Take that line out" in sentence(edit(data, channels=1))
    assert check_dataset(str(edit(data, channels=3)), 64).train_images == 3


def test_a_split_must_be_a_path(data: Path) -> None:
    assert "'val' must be a path or a list of paths, not 3" in sentence(edit(data, val=3))


@pytest.mark.parametrize("names", [None, []])
def test_classes_must_be_named(data: Path, names: object) -> None:
    assert "has no class names" in sentence(edit(data, names=names))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"names": "cat, dog"}, "must be a list or a mapping"),
        ({"names": {1: "cat", 2: "dog"}}, "must number its 2 classes from 0 to 1"),
        ({"nc": 80}, "names 2 classes, but its 'nc' says 80"),
    ],
)
def test_class_names_must_be_numbered_from_zero(data: Path, change: dict[str, object], reason: str) -> None:
    assert reason in sentence(edit(data, **change))


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_missing_folder_is_named(data: Path, split: str) -> None:
    shutil.rmtree(data.parent / "images" / split)
    text = sentence(data)
    assert str(data.parent / "images" / split) in text and "does not exist" in text


def test_an_image_list_may_not_name_missing_images(data: Path) -> None:
    (data.parent / "listed.txt").write_text("./images/gone.png", encoding="utf-8")
    assert "gone.png" in sentence(edit(data, train="listed.txt"))


@pytest.mark.parametrize(("split", "kind"), [("train", "training"), ("val", "validation")])
def test_a_split_without_images_is_empty(data: Path, split: str, kind: str) -> None:
    for image in (data.parent / "images" / split).iterdir():
        image.unlink()
    text = sentence(data)
    assert f"The {kind} set of {data} is empty: no images in" in text


@pytest.mark.parametrize("how", ["no files", "empty files"])
def test_a_validation_set_without_a_single_label_is_refused(data: Path, how: str) -> None:
    for index in (0, 1):
        if how == "no files":
            label(data.parent, "val", index).unlink()
        else:
            label(data.parent, "val", index).write_text("\n", encoding="utf-8")
    text = sentence(data)
    assert "validation set" in text and "not a single label" in text
    assert str(data.parent / "labels" / "val") in text


@pytest.mark.parametrize("wrong", ["2", "-1", "0.5", "cat"])
def test_a_label_of_an_unknown_class_is_named_with_its_line(data: Path, wrong: str) -> None:
    file = label(data.parent, "train", 1)
    file.write_text(f"1 0.5 0.5 0.25 0.25\n\n{wrong} 0.5 0.5 0.25 0.25\n", encoding="utf-8")
    text = sentence(data)
    where = "(labels/train/1.txt, line 3)"
    reason = "that holds a word instead of a number" if wrong == "cat" else f"of class {wrong}, which is not one of"
    assert "1 of 3 training images cannot be used" in text and reason in text and where in text


@pytest.mark.parametrize(("imgsz", "right"), [(100, 128), (0, 32), (-64, 32)])
def test_image_sizes_fit_the_coarsest_map(data: Path, imgsz: int, right: int) -> None:
    assert sentence(data, imgsz).endswith(f"is not a positive multiple of 32; {right} would be.")


@pytest.mark.parametrize("root", [["x"], True, 3, {"a": 1}])
def test_the_root_is_a_path(data: Path, root: object) -> None:
    assert "'path' must be the path of a folder" in sentence(edit(data, path=root))


@pytest.mark.parametrize(
    ("train", "why"),
    [("9" * 5000, "cannot be found: "), ("a\0b", "cannot be found: "), ("/dev/zero", "does not exist")],
)
def test_what_can_be_no_folder_of_images_is_refused_at_once(data: Path, train: str, why: str) -> None:
    assert why in sentence(edit(data, train=train))


def test_a_root_that_can_be_no_path(data: Path) -> None:
    assert "'path' can be no folder's" in sentence(edit(data, path="a\0b"))
