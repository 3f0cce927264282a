"""Hidden channels of a layer as its row in a model YAML says them: as an expansion, or spelled out."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from ultralytics.nn.modules.block import C2f, RepNCSPELAN4

from harness.detectors.yolov7 import ELAN

STEP = 2
"""Hidden channels that a layer is widened by at a time: its bottlenecks may have half of them, rounded down."""


def hidden_channels(layer: Any) -> int:
    """Channels inside a layer of `growth.GROWING`."""
    if isinstance(layer, ELAN):
        return int(layer.start.conv.out_channels)
    if isinstance(layer, RepNCSPELAN4):
        return int(layer.cv4.conv.in_channels - layer.cv1.conv.out_channels) // 2
    return int(layer.c if isinstance(layer, C2f) else layer.cv1.conv.out_channels)


def wider_arguments(layer: Any, arguments: Sequence[Any], steps: int) -> list[Any]:
    """Arguments of a row whose layer is to have `steps` × `STEP` more hidden channels.

    Args:
        layer: What the row builds, one of `growth.GROWING`.
        arguments: The row's own.
        steps: How many.
    """
    wider = list(arguments)
    if isinstance(layer, ELAN):  # [in, out, width, inner, …]
        width, inner = arguments[2:4]
        wider[2:4] = [width + STEP * steps, inner + max(1, round(STEP * inner / width)) * steps]
    elif isinstance(layer, RepNCSPELAN4):  # [out, first, inner, …]
        wider[2] += STEP * steps
    else:
        wider = _with_expansion(layer, wider, hidden_channels(layer) + STEP * steps)
    return wider


def _with_expansion(layer: Any, arguments: list[Any], hidden: int) -> list[Any]:
    """The row with `e` for so many hidden channels, and the defaults of whatever comes before `e`.

    Ultralytics puts the channels of the input before a row's arguments, and the repeats behind the first.
    """
    signature = inspect.signature(type(layer).__init__).parameters
    _self, _inputs, outputs, _repeats, *others = signature
    in_row = [outputs, *others]
    at = in_row.index("e")
    missing = [signature[name].default for name in in_row[len(arguments) : at]]
    mixing = layer.cv2 if isinstance(layer, C2f) else layer.cv3
    return [*arguments[:at], *missing, expansion(hidden, mixing.conv.out_channels), *arguments[at + 1 :]]


def expansion(hidden: int, outputs: int) -> float:
    """The shortest `e` for which Ultralytics' `int(outputs * e)` is `hidden`; 0.29 of 100 would be 28."""
    for decimals in range(1, 16):
        least = round(hidden / outputs, decimals)
        for e in (least, round(least + 10**-decimals, decimals)):
            if int(outputs * e) == hidden:
                return e
    raise AssertionError(f"no expansion of {outputs} channels gives {hidden}")
