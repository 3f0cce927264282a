"""A COCO file that contradicts itself, or lacks its images or its sibling, is refused in one sentence."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.common.errors import UserError
from harness.data.check import check_dataset
from tests.coco_data import CocoData, Content, all_with, edit, first_with, first_without, read


def sentence(data: Path, cache: Path) -> str:
    with pytest.raises(UserError) as error:
        check_dataset(str(data), 64, cache)
    text = str(error.value)
    assert "\n" not in text and text.endswith(".")
    assert not list(cache.glob("coco-*")) and not list(cache.glob(".coco-*"))
    return text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (first_with("annotations", category_id=2), r"1 annotation of an unknown category, .* 10 with category_id 2"),
        (all_with("annotations", category_id=2), r"\d\d annotations of an unknown category, first annotation 10 with"),
        (first_with("annotations", image_id=3), r"1 annotation of an unknown image, .* 10 with image_id 3"),
        (first_with("annotations", bbox=[1, 2, 3]), r"is not a COCO annotation file: 'annotations\[0\]\.bbox"),
        (first_with("annotations", bbox=[1, 2, 3, float("nan")]), r"\.bbox\[3\]': input should be a finite number"),
        (first_with("annotations", image_id="1"), r"'annotations\[0\]\.image_id': input should be a valid integer"),
        (first_without("annotations", "bbox"), r"'annotations\[0\]\.bbox': field required"),
        (first_without("images", "width"), r"'images\[0\]\.width': field required"),
        (first_with("images", height=0), r"'images\[0\]\.height': input should be greater than 0"),
        (lambda content: content.pop("categories"), r"'categories': field required"),
        (lambda content: content.update(images=[]), r"'images': tuple should have at least 1 item"),
        (lambda content: content["images"].append(content["images"][0]), r"two images with the id 1; each may"),
        (first_with("images", file_name="000000000038.png"), r"two images with the file name '000000000038\.png'"),
        (first_with("categories", name="person"), r"two categories with the name 'person'"),
        (first_with("categories", id=1), r"two categories with the id 1"),
        (first_with("images", file_name="/etc/1.png"), r"file name '/etc/1\.png' is not a path below the folder"),
        (first_with("images", file_name="../1.png"), r"file name '\.\./1\.png' is not a path below"),
        (first_with("images", file_name="1.gif"), r"image 1\.gif is in none of the formats that Ultralytics reads"),
        (first_with("images", file_name="000000000038.jpg"), r"two images 000000000038 of different suffixes"),
        (first_with("images", file_name="a/images/1.png"), r"a/images/1\.png is in an inner folder named 'images'"),
        (first_with("images", file_name="gone.png"), r"1 of 6 images missing, first gone\.png; .*/train2017, "),
        (lambda content: content["images"][-1].update(file_name="gone.png"), r"1 of 6 images missing, first gone\.png"),
        (first_with("images", width=64, height=96), r"has 96 × 64 pixels and not 64 × 96; 1 of 6 images so"),
    ],
)  # fmt: skip
def test_a_file_that_contradicts_itself_is_refused(
    data: CocoData, cache: Path, change: Callable[[Content], object], reason: str
) -> None:
    edit(data.train, change)
    text = sentence(data.train, cache)
    assert re.search(reason, text), text
    assert text.startswith(str(data.train))


def test_only_cocoeval_needs_areas(data: CocoData, cache: Path) -> None:
    edit(data.train, first_without("annotations", "area"))
    assert check_dataset(str(data.train), 64, cache).train_images == 6
    shutil.rmtree(cache)
    edit(data.val, first_without("annotations", "area"))
    assert "1 annotation without 'area', by which COCOeval tells" in sentence(data.train, cache)


def test_a_validation_image_has_its_name_for_itself(data: CocoData, cache: Path) -> None:
    for file, folder in ((data.val, "val2017"), (data.train, "train2017")):
        one, other = (image["file_name"] for image in read(file)["images"][:2])
        (data.root / folder / "sub").mkdir()
        (data.root / folder / other).rename(data.root / folder / "sub" / one)
        edit(file, lambda content, name=f"sub/{one}": content["images"][1].update(file_name=name))  # type: ignore[misc]
    assert "instances_val2017.json has images named 000000005001.png in several folders" in sentence(data.train, cache)


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"images": [', "\ufeff{}"])
def test_what_is_no_json_object_is_refused(data: CocoData, cache: Path, text: str) -> None:
    data.train.write_text(text, encoding="utf-8")
    assert f"{data.train} is not a COCO annotation file: " in sentence(data.train, cache)


def test_an_image_that_cannot_be_read_is_named(data: CocoData, cache: Path) -> None:
    (data.root / "train2017" / "000000000038.png").write_bytes(b"no image")
    assert re.search(r"image .*/000000000038\.png cannot be read; 1 of 6 images so\.", sentence(data.train, cache))


def test_both_files_list_the_same_categories(data: CocoData, cache: Path) -> None:
    edit(data.val, lambda content: content["categories"].append({"id": 2, "name": "bicycle"}))
    text = sentence(data.train, cache)
    assert "instances_val2017.json has the category 'bicycle' and instances_train2017.json has not" in text


# --- Which files ----------------------------------------------------------------------------------


def test_the_other_set_is_the_file_of_the_same_name_or_the_only_one(data: CocoData, cache: Path) -> None:
    folder = data.val.parent
    data.val.rename(folder / "instances_val_small.json")
    (data.root / "val2017").rename(data.root / "val_small")
    assert check_dataset(str(data.train), 64, cache).val_images == 5
    shutil.rmtree(cache)
    shutil.copy(folder / "instances_val_small.json", folder / "instances_val2014.json")
    several = "there are several: instances_val2014.json, instances_val_small.json; name one of them"
    assert f"{several} instances_val2017.json" in sentence(data.train, cache)
    assert "has several: instances_val2014.json, instances_val_small.json; give the path" in sentence(data.root, cache)
    for file in folder.glob("instances_val*"):
        file.unlink()
    for given in (data.train, data.root):
        assert "needs instances_val2017.json beside it for its validation set, and there is none" in sentence(
            given, cache
        )


def test_another_json_file_is_not_guessed_at(data: CocoData, cache: Path) -> None:
    other = data.train.rename(data.train.with_name("captions_train2017.json"))
    assert "named instances_train*.json or instances_val*.json" in sentence(other, cache)
    assert "does not exist" in sentence(data.train, cache)
    with pytest.raises(UserError, match="nothing is downloaded"):
        check_dataset("https://example.com/annotations/instances_val2017.json", 64, cache)
