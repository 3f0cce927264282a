"""What the boxes of a split are like at a size of images: how many, how large, how many too small to be seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Of the maps that detectors predict from (P3, P4, P5), in pixels: the side of a cell.
STRIDES = (8, 16, 32)
# Detections of an image that Ultralytics keeps: objects beyond these cannot be found.
MOST_DETECTIONS = 300
# Share of boxes below a cell of the finest map from which another image size is named.
_MANY_TINY = 0.2
_SIZES = (192, 256, 320, 416, 512, 640, 800, 960, 1280, 1600, 1920)


def boxes_at(boxes: NDArray[np.float64], images: int, names: Mapping[int, str], imgsz: int) -> Mapping[str, Any]:
    """Describe the boxes of a split as plain data.

    Args:
        boxes: (objects, 3): number of the image, number of the class, and the box's side (the square root of its area)
            over the longer side of its image.
        images: Images, those without an object included.
        names: Class names by number.
        imgsz: Side of the square input, in pixels, to which the longer side of an image is scaled.
    """
    of_image = np.bincount(boxes[:, 0].astype(int), minlength=images)
    of_class = np.bincount(boxes[:, 1].astype(int), minlength=len(names))
    sides = boxes[:, 2] * imgsz
    return {
        "objects_by_class": {name: int(of_class[number]) for number, name in names.items()},
        "objects_per_image": [float(each) for each in (*np.quantile(of_image, [0.5, 0.95]), of_image.max())],
        "images_over_detections": int((of_image > MOST_DETECTIONS).sum()),
        "box_side_px": [round(float(each), 1) for each in np.quantile(sides, [0.05, 0.5, 0.95])],
        "below_a_cell": {str(stride): round(float((sides < stride).mean()), 4) for stride in STRIDES},
    }


def cautions_of(boxes: NDArray[np.float64], images: int, imgsz: int) -> list[str]:
    """Say which boxes are too small to be seen at this size, and where there are more than can be detected.

    Args:
        boxes: Of the validation set, as for `boxes_at`.
        images: Its images.
        imgsz: Side of the square input, in pixels.
    """
    said = []
    tiny = float((boxes[:, 2] * imgsz < STRIDES[0]).mean())
    if tiny >= _MANY_TINY:
        better = next((size for size in _SIZES if (boxes[:, 2] * size < STRIDES[0]).mean() < _MANY_TINY / 4), None)
        few = f"{100 * _MANY_TINY / 4:.0f} %"
        wanted = f"--imgsz {better} leaves less than {few} so" if better else "tiling the images may help"
        said.append(
            f"{100 * tiny:.0f} % of the validation boxes are below one cell of the map P3 ({STRIDES[0]} px) at {imgsz} "
            f"px: {wanted}."
        )
    over = int((np.bincount(boxes[:, 0].astype(int), minlength=images) > MOST_DETECTIONS).sum())
    if over:
        which = "1 validation image has" if over == 1 else f"{over:,} validation images have"
        said.append(f"{which} more than {MOST_DETECTIONS} objects, the most that are detected in an image.")
    return said
