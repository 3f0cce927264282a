"""Ultralytics' validator that keeps what it is shown, so that COCOeval can judge the same detections."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import nn
from ultralytics import __version__ as ultralytics_version
from ultralytics.models.yolo.detect import DetectionValidator
from ultralytics.utils import ops

from harness.common.errors import UserError
from harness.common.machine import without_home
from harness.training.coco import Detections, Truth, coco_accuracy, find_annotations, read_annotations
from harness.training.image_matches import ImageMatches, block_influence
from harness.training.training import NotANumberError


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a validation was shown of one image.

    Attributes:
        path: Of its file.
        truth: What it is judged by, in pixels.
        found: Its detections, in pixels.
        boxes: Of the detections, as shares of the image's sides.
        target_boxes: Of its labels, likewise.
    """

    path: Path
    truth: Truth
    found: Detections
    boxes: NDArray[np.floating[Any]]
    target_boxes: NDArray[np.floating[Any]]


def require_number(map50_95: float) -> None:
    """Let no accuracy through that is not a number.

    Raises:
        NotANumberError: It is NaN or infinite.
    """
    if not math.isfinite(map50_95):
        raise NotANumberError(f"mAP is {map50_95} after training")


def require_finite(model: nn.Module) -> None:
    """Let no weights through that are not numbers.

    Raises:
        NotANumberError: One is NaN or infinite.
    """
    if not all(tensor.isfinite().all() for tensor in model.state_dict().values() if tensor.is_floating_point()):
        raise NotANumberError("the weights are not finite after training")


class Validator(DetectionValidator):
    """Ultralytics' validator that keeps what it is shown: each image's objects, detections and matches."""

    # COCO's own ground truth by image file name, on COCO data.
    annotations: dict[str, Truth] | None = None

    def read_truth(self, data: Mapping[str, Any], name: str) -> None:
        """Take COCO's own ground truth where the data set has it, and say what is missing before a training begins.

        Args:
            data: The data set as Ultralytics describes it.
            name: What to call it.

        Raises:
            UserError: The validation set has no labels, or an annotation file that does not fit it.
        """
        dataset = self.dataloader.dataset
        if not any(len(label["cls"]) for label in dataset.labels):
            raise UserError(f"The validation set of {name} has no label that Ultralytics can read")
        split = data["val"] if isinstance(data["val"], str) else ""
        if file := find_annotations(Path(data["path"]), split):
            self.annotations = read_annotations(file, data["names"])
            if absent := [path for path in dataset.im_files if Path(path).name not in self.annotations]:
                raise UserError(f"{file} does not list the validation image {absent[0]}; it must list them all")

    def init_metrics(self, model: nn.Module) -> None:
        """Forget an earlier validation."""
        super().init_metrics(model)
        self._images: list[Seen] = []

    def update_metrics(self, preds: list[dict[str, torch.Tensor]], batch: dict[str, Any]) -> None:
        """Keep a batch, boxes in pixels of the image as it is on disk."""
        super().update_metrics(preds, batch)
        for index, found in enumerate(preds):
            place = self._prepare_batch(index, batch)
            path, labels = Path(place["im_file"]), self._labels(place)
            truth = labels if self.annotations is None else self.annotations[path.name]
            scaled = self.scale_preds(found, place)
            boxes, scores, classes = (scaled[key].float().cpu().numpy() for key in ("bboxes", "conf", "cls"))
            sides = np.tile(place["ori_shape"][::-1], 2)
            detections = Detections(boxes=boxes, scores=scores, classes=classes.astype(int))
            shares = {"boxes": boxes / sides, "target_boxes": labels.boxes / sides}
            self._images.append(Seen(path=path, truth=truth, found=detections, **shares))

    def _labels(self, place: dict[str, Any]) -> Truth:
        scaled = ops.scale_boxes(place["imgsz"], place["bboxes"].clone(), place["ori_shape"], place["ratio_pad"])
        boxes = scaled.float().cpu().numpy().reshape(-1, 4)
        classes = place["cls"].cpu().numpy().astype(int)
        areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
        return Truth(boxes=boxes, classes=classes, crowd=np.zeros(len(classes), dtype=bool), areas=areas)

    def gather_stats(self) -> None:
        """Bring together what several processes were shown, as Ultralytics does with its own."""
        super().gather_stats()
        if dist.is_initialized():
            judge = dist.get_rank() == 0
            shown: list[Any] | None = [None] * dist.get_world_size() if judge else None
            dist.gather_object(self._images, shown, dst=0)
            self._images = [image for images in shown or [] for image in images]

    def get_stats(self) -> dict[str, Any]:
        """Keep the matches, which Ultralytics forgets here."""
        keys = {"matched": "tp", "confidence": "conf", "predicted": "pred_cls", "target": "target_cls"}
        kept = {name: list(self.metrics.stats[key]) for name, key in keys.items()}
        self.matches = ImageMatches(
            **kept,
            names=[without_home(str(image.path)) for image in self._images],
            boxes=[image.boxes for image in self._images],
            target_boxes=[image.target_boxes for image in self._images],
            classes=[str(self.names[number]) for number in sorted(self.names)],
        )
        stats: dict[str, Any] = super().get_stats()
        return stats

    def figures(self) -> dict[str, Any]:
        """Return all figures of `Accuracy` that come from the detections."""
        box = self.metrics.box
        by_name = sorted(self._images, key=lambda image: image.path.name)  # COCO ids sort so, too
        in_order = [(image.truth, image.found) for image in by_name]
        coco = coco_accuracy(in_order, self.names)
        by_coco = self.is_coco or self.annotations is not None
        per_class = coco.per_class if by_coco else dict(zip(box.ap_class_index, box.ap, strict=True))
        source = "COCO annotations" if self.annotations is not None else "labels without crowds"
        return {
            "map50_95": coco.map50_95 if by_coco else float(box.map),
            "map50": coco.map50 if by_coco else float(box.map50),
            "evaluator": f"{coco.evaluator}, {source}" if by_coco else f"Ultralytics {ultralytics_version}'s validator",
            "ultralytics_map50_95": float(box.map),
            "coco_map50_95": coco.map50_95,
            "coco_map50": coco.map50,
            "coco_map_small": coco.map_small,
            "coco_map_medium": coco.map_medium,
            "coco_map_large": coco.map_large,
            "image_influence": block_influence(self.matches),
            "per_class": {str(self.names[int(number)]): float(ap) for number, ap in per_class.items()},
        }
