"""What does not fit its image is repaired in the labels, and every repair is counted."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.data.check import DatasetInfo, check_dataset
from tests.coco_data import CocoData, Content, edit, labels


def added(data: CocoData, *boxes: list[float], **others: Any) -> list[int]:
    """Objects added to the first training image, which is 96 × 64; their ids."""
    numbers = list(range(9001, 9001 + len(boxes)))

    def add(content: Content) -> None:
        common = {"image_id": content["images"][0]["id"], "category_id": 7, "iscrowd": 0, "area": 9.0} | others
        content["annotations"] += [common | {"id": n, "bbox": box} for n, box in zip(numbers, boxes, strict=True)]

    edit(data.train, add)
    return numbers


def test_a_box_that_sticks_out_is_clipped_and_counted(data: CocoData, cache: Path) -> None:
    edit(data.train, lambda content: content.update(annotations=[]))
    added(data, [-10.0, -8.0, 30.0, 20.0], [80.0, 50.0, 40.0, 40.0], [0.0, 0.0, 96.0, 64.0])
    info = check_dataset(str(data.train), 64, cache)
    corners = [[0, 0, 20, 12], [80, 50, 96, 64], [0, 0, 96, 64]]
    expected = sorted([1.0, (a + c) / 192, (b + d) / 128, (c - a) / 96, (d - b) / 64] for a, b, c, d in corners)
    np.testing.assert_allclose(labels(info, "train2017")["000000000001"], expected, atol=1e-5)
    assert info.repairs[0] == (
        "instances_train2017.json: 2 boxes out of the image, clipped in the labels (first: annotation 9001)."
    )


def test_without_the_repair_ultralytics_would_lose_the_image(tmp_path: Path, data: CocoData) -> None:
    from ultralytics.data.converter import convert_coco
    from ultralytics.data.utils import verify_image_label

    added(data, [-10.0, 60.0, 30.0, 20.0])  # its centre is 6 pixels below an image of 64
    (tmp_path / "raw").mkdir()
    shutil.copy(data.train, tmp_path / "raw")
    convert_coco(str(tmp_path / "raw"), str(tmp_path / "converted"), cls91to80=False)
    image = data.root / "train2017" / "000000000001.png"
    label = tmp_path / "converted" / "labels" / "train2017" / "000000000001.txt"
    assert len(label.read_text().splitlines()) == 5
    *_, corrupt, reason = verify_image_label((str(image), str(label), "", False, 90, 0, 0, False))
    assert corrupt == 1 and "out of bounds" in reason


def test_a_side_that_is_beyond_by_rounding_alone_is_no_repair(data: CocoData, cache: Path) -> None:
    for file in (data.train, data.val):
        edit(file, lambda content: content["annotations"].pop(3))  # the box that sticks out
    added(data, [72.07, 10.0, 23.9300001, 9.0])
    assert 72.07 + 23.9300001 > 96
    assert check_dataset(str(data.train), 64, cache).repairs == ()


@pytest.mark.parametrize(
    "box",
    [[96.0, 0.0, 9.0, 9.0], [-9.0, 5.0, 9.0, 9.0], [5.0, 70.0, 9.0, 9.0], [5.0, 5.0, 0.0, 9.0], [9.0, 9.0, -5.0, 5.0]],
)
def test_a_box_outside_or_without_area_is_dropped_and_counted(data: CocoData, cache: Path, box: list[float]) -> None:
    before = labels(check_dataset(str(data.train), 64, cache), "train2017")
    added(data, box)
    info = check_dataset(str(data.train), 64, cache)
    assert labels(info, "train2017") == before
    assert (
        "instances_train2017.json: 1 box outside the image or without area, not in the labels (first: annotation 9001)."
        in info.repairs
    )


def test_an_object_that_is_listed_twice_is_one_label_and_counted(data: CocoData, cache: Path) -> None:
    before = len(labels(check_dataset(str(data.train), 64, cache), "train2017")["000000000001"])
    added(data, [5.0, 5.0, 9.0, 9.0], [5.0, 5.0, 9.0, 9.0])
    info = check_dataset(str(data.train), 64, cache)
    assert len(labels(info, "train2017")["000000000001"]) == before + 1
    assert any("1 box of an object that is listed twice" in text and "9002" in text for text in info.repairs)


def test_a_crowd_is_no_repair_and_no_label(data: CocoData, cache: Path, made: DatasetInfo) -> None:
    added(data, [80.0, 50.0, 40.0, 40.0], iscrowd=1)
    info = check_dataset(str(data.train), 64, cache)
    assert info.repairs == made.repairs and labels(info, "train2017") == labels(made, "train2017")


def test_repairs_are_said_again_when_the_labels_are_there_already(
    data: CocoData, cache: Path, made: DatasetInfo
) -> None:
    assert len(made.repairs) == 2  # the data have a box that sticks out in either split
    assert check_dataset(str(data.train), 64, cache).repairs == made.repairs
