"""How much of an image a detector sees where it decides on one object: those pixels that its gradient leads to."""

from __future__ import annotations

from typing import Any

import torch

from harness.detectors.families import Base


def receptive_field(base: Base, imgsz: int) -> int:
    """Measure the side of the square that the class scores of the finest map's middle cell depend on, in pixels.

    Args:
        base: With random weights: what a layer sees is in its graph.
        imgsz: Side of the square image, in pixels; no more than this is found.
    """
    network = base.build().double().eval()
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, imgsz, imgsz, generator=generator, dtype=torch.float64, requires_grad=True)
    _, raw = network(image)
    scores: Any = raw.get("one2many", raw)["scores"]  # (1, classes, cells), the finest map's first
    side = imgsz // int(network.stride.min())
    (gradient,) = torch.autograd.grad(scores[0, :, (side // 2) * side + side // 2].sum(), image)
    seen = gradient[0].abs().amax(0) > 0
    rows, columns = (torch.nonzero(seen.any(axis)) for axis in (1, 0))
    return int(max(rows.max() - rows.min(), columns.max() - columns.min())) + 1
