"""mAP by COCOeval, the evaluator of the COCO challenge [1], as faster-coco-eval [2] implements it.

Boxes are matched as COCO does it: a crowd region may take any number of detections, which then count
neither for nor against; of each image and class only the 100 best detections are looked at; an object is
small below 32² pixels of area, large from 96². Classes without an object are in no mean.

[1] Lin et al., "Microsoft COCO: Common objects in context" (2014); https://cocodataset.org/#detection-eval.
[2] https://github.com/MiXaiLL76/faster_coco_eval; the tests compare it with pycocotools.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from harness.common.errors import UserError


class Annotation(TypedDict, total=False):
    """An object as COCO's files have it, in pixels; `score` of a detection alone."""

    category_id: int
    bbox: list[float]
    area: float
    iscrowd: int
    score: float


Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What is in one image.

    Attributes:
        boxes: Corners x1, y1, x2, y2 in pixels; shape (objects, 4).
        classes: Class numbers; shape (objects,).
        crowd: Whether a box is a region of many that were not told apart; shape (objects,).
        areas: Pixels of the object itself, which decide its size; shape (objects,).
    """

    boxes: Floats
    classes: Integers
    crowd: npt.NDArray[np.bool_]
    areas: Floats


@dataclass(frozen=True, kw_only=True)
class Detections:
    """What was found in one image; shapes as in `Truth`, scores 0 … 1, in any order."""

    boxes: Floats
    scores: Floats
    classes: Integers


@dataclass(frozen=True, kw_only=True)
class CocoAccuracy:
    """COCOeval's figures, 0 … 1; NaN where there is no object to find.

    Attributes:
        map50_95: Mean average precision over IoU 0.50 to 0.95.
        map50: The same at IoU 0.50.
        map75: The same at IoU 0.75.
        map_small: `map50_95` of objects below 32² pixels.
        map_medium: `map50_95` of those from 32² to 96² pixels.
        map_large: `map50_95` of those above.
        recall: Mean recall over IoU 0.50 to 0.95 (COCO's AR with 100 detections).
        per_class: Class number to its AP50-95, for classes that have objects.
        evaluator: What computed them, with its version and settings.
    """

    map50_95: float
    map50: float
    map75: float
    map_small: float
    map_medium: float
    map_large: float
    recall: float
    per_class: dict[int, float]
    evaluator: str


def require_cocoeval() -> None:
    """Make sure that COCOeval can be had, before hours are spent on what it is to judge.

    Raises:
        UserError: It is not installed.
    """
    if find_spec("faster_coco_eval") is None:
        raise UserError(
            "faster-coco-eval is not installed, without which there is no COCO mAP; `pip install faster-coco-eval`"
        )


def coco_accuracy(images: Iterable[tuple[Truth, Detections]], classes: Iterable[int]) -> CocoAccuracy:
    """Evaluate detections.

    Args:
        images: What is in each image and what was found there. Detections of equal score rank in this order.
        classes: Numbers of all classes; what is of another class is left out.

    Raises:
        UserError: faster-coco-eval is not installed.
    """
    require_cocoeval()
    from faster_coco_eval import COCOeval_faster, __version__

    pairs, numbers = list(images), sorted(classes)
    truth = _dataset([_objects(truth) for truth, _ in pairs], numbers)
    found = _dataset([_found(detections) for _, detections in pairs], numbers)
    evaluation = COCOeval_faster(truth, found, "bbox")
    evaluation.run()
    figures = {name: _or_nan(value) for name, value in evaluation.stats_as_dict.items()}
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # IoU, recall, class; all sizes, 100 detections
    return CocoAccuracy(
        map50_95=figures["AP_all"],
        map50=figures["AP_50"],
        map75=figures["AP_75"],
        map_small=figures["AP_small"],
        map_medium=figures["AP_medium"],
        map_large=figures["AP_large"],
        recall=figures["AR_third"],
        per_class={
            n: float(p.mean()) for n, p in zip(numbers, np.moveaxis(precision, 2, 0), strict=True) if p.min() > -1
        },
        evaluator=f"COCOeval (faster-coco-eval {__version__}), 100 detections an image and class",
    )


def find_annotations(root: Path, split: str) -> Path | None:
    """Find COCO's annotation file of a validation set: `annotations/instances_val*.json` below a data set's root.

    Args:
        root: The data set's folder.
        split: Path of the validation images or of their list; its name picks one of several files.

    Raises:
        UserError: There are several and none has the split's name.
    """
    files = sorted((root / "annotations").glob("instances_val*.json"))
    named = [file for file in files if file.stem == f"instances_{Path(split).stem}"]
    if len(files) > 1 and not named:
        raise UserError(
            f"{root / 'annotations'}: which of its files is for {split}? Name it instances_{Path(split).stem}.json"
        )
    return next(iter(named or files), None)


def read_annotations(file: Path, names: Mapping[int, str]) -> dict[str, Truth]:
    """Read ground truth by the image's file name, crowds included; categories are classes by their names.

    Args:
        file: COCO annotation file.
        names: Class number to name; categories that are not among them are left out.

    Raises:
        UserError: It is no such file, or it lacks one of the classes.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        category = {each["name"]: each["id"] for each in content["categories"]}
        files = {each["id"]: Path(each["file_name"]).name for each in content["images"]}
        objects: dict[str, list[Any]] = {name: [] for name in files.values()}
        number = {category[name]: n for n, name in names.items() if name in category}
        for each in content["annotations"]:
            if each["category_id"] in number:
                x, y, width, height = each["bbox"]
                box = (x, y, x + width, y + height)
                row = (*box, number[each["category_id"]], each.get("iscrowd", 0), each["area"])
                objects[files[each["image_id"]]].append(row)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is not a COCO annotation file: {type(error).__name__} {error}") from error
    if missing := sorted(set(names.values()) - set(category)):
        raise UserError(f"{file} has no category {missing[0]!r}, which is a class of the data set; names must agree")
    return {name: _truth(rows) for name, rows in objects.items()}


def _truth(rows: Sequence[Sequence[float]]) -> Truth:
    table = np.array(rows, dtype=float).reshape(-1, 7)
    return Truth(boxes=table[:, :4], classes=table[:, 4].astype(int), crowd=table[:, 5].astype(bool), areas=table[:, 6])


def _objects(truth: Truth) -> list[Annotation]:
    columns = (truth.classes.tolist(), _corner_and_size(truth.boxes), truth.areas.tolist(), truth.crowd.tolist())
    return [
        {"category_id": number, "bbox": box, "area": area, "iscrowd": int(crowd)}
        for number, box, area, crowd in zip(*columns, strict=True)
    ]


def _found(detections: Detections) -> list[Annotation]:
    columns = (detections.classes.tolist(), _corner_and_size(detections.boxes), detections.scores.tolist())
    return [
        {"category_id": number, "bbox": box, "area": box[2] * box[3], "score": score, "iscrowd": 0}
        for number, box, score in zip(*columns, strict=True)
    ]


def _corner_and_size(boxes: Floats) -> list[list[float]]:
    corners = boxes.astype(float)
    sized: list[list[float]] = np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]]).tolist()
    return sized


def _dataset(annotations: Sequence[Sequence[Annotation]], classes: Sequence[int]) -> Any:
    """Return a `faster_coco_eval.COCO`, an index of annotations by image.

    Numbers begin at 1 because COCOeval's 0 means "unmatched".
    """
    from faster_coco_eval import COCO

    rows = ((image, row) for image, own in enumerate(annotations, 1) for row in own)
    dataset = COCO()
    dataset.dataset = {
        "images": [{"id": image} for image in range(1, len(annotations) + 1)],
        "categories": [{"id": number} for number in classes],
        "annotations": [row | {"image_id": image, "id": n} for n, (image, row) in enumerate(rows, 1)],
    }
    dataset.createIndex()
    return dataset


def _or_nan(value: float) -> float:
    """Replace by NaN the −1 that COCOeval says where there is nothing to find."""
    return math.nan if value == -1 else float(value)
