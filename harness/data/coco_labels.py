"""COCO annotations as YOLO labels, by Ultralytics' own converter, from boxes that were made to fit their images.

`convert_coco` takes boxes as they are, and Ultralytics then leaves out an image with all its objects if the
centre or size of one box is more than 1 % beyond it (`verify_image_label`). So the converter is given a
repaired copy, and what was repaired is counted.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.data.coco_file import CocoFile, CocoImage, counted

# Left, top, width, height in pixels.
Box = tuple[float, float, float, float]
_CLIPPED = "out of the image, clipped in the labels"
_DROPPED = "outside the image or without area, not in the labels"
_TWICE = "of an object that is listed twice, once in the labels"
_ROUNDING = 1e-6  # pixels


@dataclass(frozen=True, kw_only=True)
class Repaired:
    """Annotations that the converter may have, and what was done to them, in sentences."""

    content: dict[str, Any]
    repairs: tuple[str, ...]


def repair(file: CocoFile, where: str, numbers: Mapping[int, int], names: Mapping[int, str]) -> Repaired:
    """Clip boxes to their images, and leave out what has no area there.

    Crowds are left as they are: the converter makes no labels of them.

    Args:
        file: As it was read.
        where: The file's name, for the sentences.
        numbers: Category id to class number from 0.
        names: Image id to the path that the image's label is named after.
    """
    images = {image.id: image for image in file.images}
    rows: list[dict[str, Any]] = []
    seen: set[tuple[int, int, Box]] = set()
    said: dict[str, list[int]] = {_CLIPPED: [], _DROPPED: [], _TWICE: []}
    for each in file.annotations:
        row = {"image_id": each.image_id, "category_id": numbers[each.category_id] + 1}  # the converter subtracts it
        if each.iscrowd:
            rows.append(row | {"bbox": each.bbox, "iscrowd": 1})
            continue
        box = _inside(each.bbox, images[each.image_id])
        if box is None:
            said[_DROPPED].append(each.id)
            continue
        if _moved(each.bbox, box) > _ROUNDING:
            said[_CLIPPED].append(each.id)
        if (key := (each.image_id, each.category_id, box)) in seen:
            said[_TWICE].append(each.id)
        seen.add(key)
        rows.append(row | {"bbox": box, "iscrowd": 0})
    return Repaired(
        content={
            "images": [
                {"id": image.id, "width": image.width, "height": image.height, "file_name": names[image.id]}
                for image in file.images
            ],
            "annotations": rows,
        },
        repairs=tuple(
            f"{where}: {counted(len(ids), 'box')} {what} (first: annotation {ids[0]})."
            for what, ids in said.items()
            if ids
        ),
    )


def _corners(box: Box) -> Box:
    left, top, width, height = box
    return left, top, left + width, top + height


def _inside(box: Box, image: CocoImage) -> Box | None:
    """Return the part of a box that lies in its image; None if it has no area."""
    left, top, right, bottom = _corners(box)
    left, top, right, bottom = max(left, 0.0), max(top, 0.0), min(right, image.width), min(bottom, image.height)
    return (left, top, right - left, bottom - top) if right > left and bottom > top else None


def _moved(before: Box, after: Box) -> float:
    """Return by how much a side was moved at most, in pixels."""
    return max(abs(one - other) for one, other in zip(_corners(before), _corners(after), strict=True))


def write_labels(splits: Mapping[str, Repaired], folder: Path) -> None:
    """Write `labels/<split>/` for each split into an empty folder.

    Raises:
        OSError: They cannot be written.
    """
    from ultralytics.data.converter import convert_coco

    with tempfile.TemporaryDirectory(dir=folder) as work:
        source, converted = Path(work) / "annotations", Path(work) / "converted"  # the latter must not be there yet
        source.mkdir()
        for split, repaired in splits.items():
            (source / f"instances_{split}.json").write_text(json.dumps(repaired.content), encoding="utf-8")
        convert_coco(str(source), str(converted), cls91to80=False)
        for split in splits:
            (converted / "labels" / split).mkdir(exist_ok=True)  # there is none where no image has an annotation
        (converted / "labels").rename(folder / "labels")
