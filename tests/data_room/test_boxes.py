"""The boxes of a data set as they are at the size of a training, against counts by hand."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from harness.data.boxes import MOST_DETECTIONS, boxes_at, cautions_of
from harness.data.check import check_dataset
from tests.data_room.photographs import image, label, photographs

NAMES = {0: "cat", 1: "dog"}


def boxes(*rows: tuple[int, int, float]) -> np.ndarray:
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def test_counts_quantiles_and_shares_are_those_of_the_boxes() -> None:
    found = boxes_at(boxes((0, 0, 0.05), (0, 1, 0.1), (0, 1, 0.2), (2, 1, 0.4)), 3, NAMES, 100)
    assert found["objects_by_class"] == {"cat": 1, "dog": 3}
    assert found["objects_per_image"] == [1.0, 2.8, 3.0] and found["images_over_detections"] == 0
    assert found["box_side_px"][1] == 15.0  # between 10 and 20 px
    assert found["below_a_cell"] == {"8": 0.25, "16": 0.5, "32": 0.75}


def test_a_size_is_named_at_which_few_boxes_are_below_a_cell() -> None:
    tiny = boxes(*((at, 0, 0.02) for at in range(40)), *((at, 0, 0.5) for at in range(60)))
    (said,) = cautions_of(tiny, 60, 128)
    assert said == (
        "40 % of the validation boxes are below one cell of the map P3 (8 px) at 128 px: --imgsz 416 leaves less than "
        "5 % so."
    )  # 0.02 × 416 = 8.3
    assert cautions_of(tiny, 60, 416) == []
    (said,) = cautions_of(boxes(*((0, 0, 0.001) for _ in range(10))), 1, 640)
    assert said.endswith("at 640 px: tiling the images may help.")


def test_more_objects_than_are_detected_are_said() -> None:
    many = boxes(*((0, 0, 0.5) for _ in range(MOST_DETECTIONS + 100)), (1, 0, 0.5))
    assert cautions_of(many, 2, 640) == [
        "1 validation image has more than 300 objects, the most that are detected in an image."
    ]
    assert boxes_at(many, 2, NAMES, 640)["images_over_detections"] == 1


def test_a_wide_image_is_scaled_by_its_longer_side(tmp_path: Path) -> None:
    yaml = photographs(tmp_path, train=1, val=1)
    for split in ("train", "val"):
        cv2.imwrite(str(image(tmp_path, split, 0)), np.zeros((50, 200, 3), np.uint8))
        label(tmp_path, split, 0).write_text("1 0.5 0.5 0.2 0.2\n")  # 40 × 10 px: a side of 20 px of 200
    val = check_dataset(str(yaml), 640, allow_val_in_train=True).counts["val"]
    assert val["box_side_px"] == [64.0, 64.0, 64.0] and val["objects_by_class"] == {"cat": 0, "dog": 1}
