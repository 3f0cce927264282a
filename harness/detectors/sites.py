"""Named insertion sites of a detector, found from its graph instead of from layer numbers.

A site is the last layer of a stage: `backbone.P4` ends the backbone at stride 16, `backbone.SPPF`
is the layer of that class, `neck.P4` feeds the detection head at stride 16, and `neck.P4_up` ends
the top-down path at stride 16 before another layer feeds the head there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from harness.architecture import MapSize
from harness.detectors.families import Base
from harness.errors import UserError

_OWN_NAME = frozenset({"SPP", "SPPF", "SPPELAN", "SPPCSPC", "C2PSA", "C2fPSA", "PSA", "AIFI"})
"""Layers that end the backbone after its last stage; each is a site under its own name."""
_NO_STAGE = frozenset(
    {
        *("Conv", "Concat", "Upsample", "DWConv", "GhostConv", "ConvTranspose2d", "Identity", "SCDown", "ADown"),
        *("AConv", "MaxPool2d", "MPConv", "RepConvolution"),
    }
)
"""Layers of a neck that move, resize or join maps, and so do not end a stage."""
_SMALLEST_STRIDE = 4


@dataclass(frozen=True, kw_only=True)
class Site:
    """A place where a block can follow.

    Attributes:
        name: Such as `neck.P4`.
        layer: Index of the layer in the base's description.
        channels: Channels of the layer's output.
        stride: Input pixels per output pixel.
    """

    name: str
    layer: int
    channels: int
    stride: int

    def map_size(self, imgsz: int) -> MapSize:
        """Height and width of the map at a square image size, in pixels."""
        side = math.ceil(imgsz / self.stride)
        return side, side

    def to_dict(self) -> dict[str, Any]:
        """The contract of `clo sites --json`."""
        return {"site": self.name, "layer": self.layer, "channels": self.channels, "stride": self.stride}


def find_sites(base: Base) -> dict[str, Site]:
    """All sites of a detector in the order of its layers.

    Raises:
        UserError: The graph has a form in which no site can be told.
    """
    network = base.build()
    maps = _output_maps(network.model, imgsz=int(2 * network.stride.max()))
    backbone_layers = len(base.config["backbone"])
    classes = [type(layer).__name__ for layer in network.model]
    feeds_head = _feeding_head(list(network.model))

    found: dict[str, int] = {}
    for index, (_, stride) in maps.items():
        if stride < _SMALLEST_STRIDE:
            continue
        level = f"P{int(math.log2(stride))}"
        if index < backbone_layers:
            name = f"backbone.{classes[index]}" if classes[index] in _OWN_NAME else f"backbone.{level}"
            found[name] = index  # a later layer of the same stride ends the stage instead
        elif index in feeds_head:
            found[f"neck.{level}"] = index
        elif classes[index] not in _NO_STAGE:
            found.setdefault(f"neck.{level}_up", index)
    sites = [
        Site(name=name, layer=index, channels=maps[index][0], stride=maps[index][1])
        for name, index in sorted(found.items(), key=lambda item: item[1])
    ]
    if not sites:
        raise UserError(f"base {base.name}: no insertion site found in its graph")
    return {site.name: site for site in sites}


def map_sizes(sites: Mapping[str, Site], imgsz: int) -> dict[str, MapSize]:
    """Every site's map at an image size: what `Architecture.identity` needs."""
    return {name: site.map_size(imgsz) for name, site in sites.items()}


def _feeding_head(layers: Sequence[Any]) -> set[int]:
    """Layers whose output the head takes.

    YOLOv7 has one more convolution between the stage and the head at each level, which nothing else takes
    and which doubles the channels: it is the head's own, and the stage before it is what feeds the head.
    """

    def stage(index: int) -> int:
        taken = layers[index].f
        if type(layers[index]).__name__ not in {"Conv", "RepConvolution"} or not isinstance(taken, int):
            return index
        before = taken if taken >= 0 else index + taken
        return index if type(layers[before]).__name__ in _NO_STAGE else before

    return {stage(index) for index in layers[-1].f}


def _output_maps(layers: nn.Sequential, imgsz: int) -> dict[int, tuple[int, int]]:
    """Channels and stride of each layer's output, from one forward pass; layers without one map are absent."""
    maps: dict[int, tuple[int, int]] = {}

    def note(index: int) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor) and output.ndim == 4:
                maps[index] = (output.shape[1], round(imgsz / output.shape[-1]))

        return hook

    handles = [layer.register_forward_hook(note(index)) for index, layer in enumerate(layers)]
    try:
        _forward(layers.eval(), imgsz)
    finally:
        for handle in handles:
            handle.remove()
    return maps


def _forward(layers: Iterable[Any], imgsz: int) -> None:
    """Run the layers as Ultralytics does: each takes the previous output or those its `f` names."""
    outputs: list[Any] = []
    x: Any = torch.zeros(1, 3, imgsz, imgsz)
    with torch.no_grad():
        for layer in layers:
            if layer.f != -1:
                x = outputs[layer.f] if isinstance(layer.f, int) else [x if j == -1 else outputs[j] for j in layer.f]
            x = layer(x)
            outputs.append(x)
