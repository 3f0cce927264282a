"""What a model YAML holds, in Ultralytics' form; it imports nothing, so that layers and parser may know it."""

from __future__ import annotations

from typing import Any, TypedDict

# [from, repeats, module, args].
Row = list[Any]


class Description(TypedDict, total=False):
    """A model as Ultralytics' YAML has it, checked by `describe`; keys beside these are passed on as they are."""

    nc: int
    backbone: list[Row]
    head: list[Row]
    scale: str
    scales: dict[str, list[float]]
    depth_multiple: float
    width_multiple: float
    activation: str
    anchors: object
    yaml_file: str
    # Channels of the head's class branches, where a checkpoint's are others than Ultralytics' rule makes of `nc`.
    class_width: int
    # Files of a user's own blocks.
    blocks: list[str]
