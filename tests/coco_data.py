"""Writes small data sets in COCO's format, with all that makes COCO's own awkward.

Category ids with gaps, image ids with gaps, images of several shapes, images without objects, crowds with a
run-length mask, areas smaller than the boxes, a box that reaches beyond its image.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from harness.data.check import DatasetInfo

CATEGORIES = {1: "person", 7: "train", 90: "toothbrush"}
"""Id to name; the file lists them in another order."""
SHAPES = ((96, 64), (64, 96), (80, 80), (112, 48))
"""Width and height of the images, in turns."""
_COLOURS = {1: (40, 40, 220), 7: (40, 200, 40), 90: (220, 120, 30)}

Content = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class CocoData:
    """Where a data set lies; its annotation files are in `annotations/`."""

    root: Path
    train: Path
    val: Path


def write_coco(root: Path, *, train: int = 6, val: int = 5, seed: int = 0, images: str = "{split}") -> CocoData:
    """Write a data set whose every fifth image has no object and whose every third has a crowd.

    Args:
        root: Folder to write.
        train: Images to train on.
        val: Images to validate on, five or more for all that is awkward.
        seed: Of what is where.
        images: Folder of the images below the root.
    """
    rng = np.random.default_rng(seed)
    files = {}
    for split, count in (("train2017", train), ("val2017", val)):
        content = _content(rng, count, first_id=1 if split.startswith("train") else 5001)
        folder = root / images.format(split=split)
        folder.mkdir(parents=True, exist_ok=True)
        for image in content["images"]:
            own = [each for each in content["annotations"] if each["image_id"] == image["id"]]
            _draw(folder / image["file_name"], image, own, rng)
        files[split] = root / "annotations" / f"instances_{split}.json"
        files[split].parent.mkdir(exist_ok=True)
        files[split].write_text(json.dumps(content))
    return CocoData(root=root, train=files["train2017"], val=files["val2017"])


def edit(file: Path, change: Callable[[Content], object]) -> None:
    """Change an annotation file's content in place."""
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def read(file: Path) -> Content:
    """An annotation file's content."""
    content: Content = json.loads(file.read_text())
    return content


def labels(info: DatasetInfo, split: str) -> dict[str, list[list[float]]]:
    """Rows of class, centre and size, by the image's name."""
    files = (info.path.parent / "labels" / split).iterdir()
    return {f.stem: sorted([float(x) for x in line.split()] for line in f.read_text().splitlines()) for f in files}


def first_with(key: str, **change: object) -> Callable[[Content], object]:
    """A change of the first entry."""
    return lambda content: content[key][0].update(change)


def first_without(key: str, name: str) -> Callable[[Content], object]:
    """The first entry without a key."""
    return lambda content: content[key][0].pop(name)


def all_with(key: str, **change: object) -> Callable[[Content], object]:
    """A change of all entries."""
    return lambda content: [each.update(change) for each in content[key]]


def _content(rng: np.random.Generator, count: int, first_id: int) -> Content:
    images, annotations = [], []
    for number in range(count):
        width, height = SHAPES[number % len(SHAPES)]
        identity = first_id + 37 * number
        image = {"id": identity, "width": width, "height": height, "file_name": f"{identity:012d}.png"}
        images.append(image)
        if number % 5 == 4:
            continue
        for _ in range(3):
            box = [*rng.uniform(0, (width - 26, height - 26)).round(2), *rng.uniform(12, 24, 2).round(2)]
            annotations.append(_object(image, int(rng.choice(list(CATEGORIES))), box, float(rng.uniform(0.4, 0.9))))
        if number == 0:
            annotations.append(_object(image, 7, [width - 20.0, 10.0, 30.0, 20.0], 0.6))  # 10 pixels beyond the edge
        if number % 3 == 0:
            annotations.append(_crowd(image, int(rng.choice(list(CATEGORIES)))))
    for number, each in enumerate(annotations):
        each["id"] = 10 * first_id + 3 * number
    categories = [{"id": i, "name": name, "supercategory": "thing"} for i, name in reversed(CATEGORIES.items())]
    return {"info": {}, "licenses": [], "images": images, "annotations": annotations, "categories": categories}


def _object(image: Content, category: int, box: list[float], share: float) -> Content:
    """An object that fills a share of its box."""
    left, top, width, height = map(float, box)
    outline = [left, top, left + width, top, left + width, top + height, left, top + height]
    return {
        "image_id": image["id"], "category_id": category, "bbox": [left, top, width, height], "iscrowd": 0,
        "area": round(width * height * share, 4), "segmentation": [outline],
    }  # fmt: skip


def _crowd(image: Content, category: int) -> Content:
    """The lower quarter of the image, as an uncompressed run-length mask (column by column)."""
    width, height = image["width"], image["height"]
    rows = height // 4
    counts = [height - rows, rows] * width
    return {
        "image_id": image["id"], "category_id": category, "bbox": [0.0, height - rows, width, rows], "iscrowd": 1,
        "area": width * rows, "segmentation": {"size": [height, width], "counts": counts},
    }  # fmt: skip


def _draw(path: Path, image: Content, objects: list[Content], rng: np.random.Generator) -> None:
    pixels = rng.integers(90, 130, (image["height"], image["width"], 3)).astype(np.uint8)
    for each in objects:
        if not each["iscrowd"]:
            left, top, width, height = (round(value) for value in each["bbox"])
            corner = (left + width - 1, top + height - 1)
            cv2.rectangle(pixels, (left, top), corner, _COLOURS[each["category_id"]], thickness=-1)
    if not cv2.imwrite(str(path), pixels):
        raise OSError(f"{path} cannot be written")
