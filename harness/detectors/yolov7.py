"""Layers of YOLOv7 and YOLOv7-tiny (Wang et al., arXiv:2207.02696), which Ultralytics lacks."""

from __future__ import annotations

from torch import nn

YOLOV7_LAYERS: tuple[type[nn.Module], ...] = ()
