"""Torchvision where its compiled half does not fit the installed torch.

Ultralytics' validator imports torchvision, and from then on suppresses overlapping detections with
`torchvision.ops.nms`. A package index may hold only the CUDA build of torchvision; beside a CPU
build of torch its extension does not load, and the import ends in `operator torchvision::nms does
not exist`. Of all its operators we need that one, and it can be written without compiling.
"""

from __future__ import annotations

import importlib
import logging
import sys

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Boxes = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

_log = logging.getLogger(__name__)
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
# Boxes that are judged at once; bounds the memory to pairs of these with all boxes.
_CHUNK = 256


def ensure_torchvision() -> None:
    """Make `import torchvision` and `torchvision.ops.nms` work. Idempotent; cheap when repeated.

    Where torchvision imports as it is, nothing is changed. Its other compiled operators
    (`deform_conv2d`, reading image files, …) stay missing where they were.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
        _stand_in()


def suppress(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Run greedy non-maximum suppression: a box goes if a kept box of higher score overlaps it.

    Best first, each chunk of boxes is checked against the boxes kept before it, then within
    itself: "kept, unless a kept one before it overlaps" is applied to the whole chunk until nothing
    changes. The first box's answer is right at once, the second's after one round, and so on: the
    fixed point is what the one-by-one loop finds (Cluster-NMS, Zheng et al., arXiv:2005.03572),
    usually in a handful of rounds.

    Args:
        boxes: Corners x1, y1, x2, y2 with x1 <= x2 and y1 <= y2; shape (n, 4).
        scores: Higher is better, the earlier box wins a tie; shape (n,).
        iou_threshold: Intersection over union strictly above it counts as overlap. Boxes without
            area overlap nothing.

    Returns:
        Indices of the boxes that stay, best first, int64.
    """
    order = scores.sort(stable=True, descending=True).indices
    ranked: Boxes = boxes.detach()[order].cpu().double().numpy()
    kept: Indices = np.empty(0, dtype=np.intp)
    for start in range(0, len(ranked), _CHUNK):
        ranks = np.arange(start, min(start + _CHUNK, len(ranked)))
        _, gone = _overlaps(ranked[kept], ranked[ranks], iou_threshold)
        ranks = np.delete(ranks, gone)
        better, worse = _overlaps(ranked[ranks], ranked[ranks], iou_threshold)
        better, worse = better[better < worse], worse[better < worse]
        stays = np.ones(len(ranks), dtype=np.bool_)
        while True:
            stay_now = np.ones_like(stays)
            stay_now[worse[stays[better]]] = False
            if np.array_equal(stay_now, stays):
                break
            stays = stay_now
        kept = np.concatenate((kept, ranks[stays]))
    return order[torch.from_numpy(kept).to(order.device)]


def _overlaps(first: Boxes, second: Boxes, iou_threshold: float) -> tuple[Indices, Indices]:
    """Find all pairs whose intersection over union is above the threshold, as two lists of indices.

    Only pairs that can meet along x are looked at. Detectors shift each class by thousands of
    pixels so that classes do not suppress each other, which leaves few of all pairs.
    """
    if not len(first) or not len(second):
        return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
    by_x = first[:, 0].argsort()
    widest = (first[:, 2] - first[:, 0]).max()
    begin = np.searchsorted(first[by_x, 0], second[:, 0] - widest)
    count = np.maximum(np.searchsorted(first[by_x, 0], second[:, 2]) - begin, 0)
    j = np.repeat(np.arange(len(second)), count)
    i = by_x[np.arange(len(j)) - np.repeat(count.cumsum() - count - begin, count)]

    a, b = first[i].T, second[j].T
    width = np.minimum(a[2], b[2]) - np.maximum(a[0], b[0])
    height = np.minimum(a[3], b[3]) - np.maximum(a[1], b[1])
    shared = width.clip(min=0) * height.clip(min=0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    above = (shared > iou_threshold * union) & (union > 0)
    return i[above], j[above]


def _stand_in() -> None:
    """Define the missing operators, import torchvision anew, and let its `nms` through."""
    for name in ("torchvision::nms", "torchvision::qnms"):  # the import looks for the quantised one too
        torch.library.define(name, _SCHEMA)
    torch.library.impl("torchvision::nms", "default", suppress)
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]  # the parts that the failed import left behind
    importlib.import_module("torchvision")
    # `nms` refuses to run without the extension; every other operator goes on doing so.
    vars(importlib.import_module("torchvision.ops.boxes"))["_assert_has_ops"] = lambda: None
    _log.warning(
        "torchvision %s does not fit torch %s: detections are suppressed by a slower NMS in numpy",
        sys.modules["torchvision"].__version__,
        torch.__version__,
    )
