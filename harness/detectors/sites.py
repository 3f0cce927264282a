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

from harness.architecture import MapSize, Mode
from harness.common.errors import UserError
from harness.detectors.families import Base
from harness.detectors.inside import bottleneck_channels

# Layers that end the backbone after its last stage; each is a site under its own name.
_OWN_NAME = frozenset({"SPP", "SPPF", "SPPELAN", "SPPCSPC", "C2PSA", "C2fPSA", "PSA", "AIFI"})
# Layers of a neck that move, resize or join maps, and so do not end a stage.
_NO_STAGE = frozenset(
    {
        *("Conv", "Concat", "Upsample", "DWConv", "GhostConv", "ConvTranspose2d", "Identity", "SCDown", "ADown"),
        *("AConv", "MaxPool2d", "MPConv", "RepConvolution"),
    }
)
_SMALLEST_STRIDE = 4


@dataclass(frozen=True, kw_only=True)
class Site:
    """A place where a block can follow, and what else can be done with the layer there.

    Attributes:
        name: Such as `neck.P4`.
        layer: Index of the layer in the base's description.
        channels: Channels of the layer's output.
        stride: Input pixels per output pixel.
        inside: Output channels of each bottleneck that the layer is made of; empty if it has none.
        replaceable: Whether the layer keeps channels and map size, so that a block can take its place.
    """

    name: str
    layer: int
    channels: int
    stride: int
    inside: tuple[int, ...] = ()
    replaceable: bool = False

    @property
    def modes(self) -> tuple[Mode, ...]:
        """How a block can be put here."""
        inside = (Mode.INSIDE,) if self.inside else ()
        return (Mode.AFTER, *inside, *((Mode.REPLACE,) if self.replaceable else ()))

    def block_channels(self, mode: Mode) -> list[int]:
        """List the channels of each block that a placement puts here: one block, or one a bottleneck.

        Raises:
            UserError: The layer does not allow it.
        """
        if mode not in self.modes:
            reason = "has no bottleneck" if mode is Mode.INSIDE else "changes channels or map size"
            raise UserError(f"{self.name}: mode {mode} is not possible, its layer {reason}; modes here: {self._modes}")
        return list(self.inside) if mode is Mode.INSIDE else [self.channels]

    @property
    def _modes(self) -> str:
        return ", ".join(self.modes)

    def map_size(self, imgsz: int) -> MapSize:
        """Return height and width of the map at a square image size, in pixels."""
        side = math.ceil(imgsz / self.stride)
        return side, side

    def to_dict(self) -> dict[str, Any]:
        """Return the contract of `clo sites --json`."""
        return {
            "site": self.name,
            "layer": self.layer,
            "channels": self.channels,
            "stride": self.stride,
            "modes": [str(mode) for mode in self.modes],
            "inside_channels": list(self.inside),
        }


def find_sites(base: Base) -> dict[str, Site]:
    """Find all sites of a detector in the order of its layers.

    Raises:
        UserError: The graph has a form in which no site can be told.
    """
    network = base.build()
    maps = output_maps(network.model, imgsz=int(2 * network.stride.max()))
    backbone_layers = len(base.config["backbone"])
    classes = [type(layer).__name__ for layer in network.model]
    feeds_head = _feeding_head(list(network.model))

    found: dict[str, int] = {}
    for index, (_, stride, _) in maps.items():
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
        Site(
            name=name,
            layer=index,
            channels=maps[index][0],
            stride=maps[index][1],
            inside=tuple(bottleneck_channels(network.model[index])),
            replaceable=maps[index][2],
        )
        for name, index in sorted(found.items(), key=lambda item: item[1])
    ]
    if not sites:
        raise UserError(f"base {base.name}: no insertion site found in its graph")
    return {site.name: site for site in sites}


def mode_channels(sites: Mapping[str, Site]) -> dict[str, dict[Mode, int]]:
    """Map every site's modes to the channels of the block there: what a search space needs.

    Bottlenecks of different channels take no one block, so they are no place inside.
    """
    return {
        name: {mode: site.block_channels(mode)[0] for mode in site.modes if len(set(site.block_channels(mode))) == 1}
        for name, site in sites.items()
    }


def map_sizes(sites: Mapping[str, Site], imgsz: int) -> dict[str, MapSize]:
    """Return the size of every site's map at an image size: what `Architecture.identity` needs."""
    return {name: site.map_size(imgsz) for name, site in sites.items()}


def _feeding_head(layers: Sequence[Any]) -> set[int]:
    """Find the layers whose output the head takes.

    YOLOv7 has one more convolution between the stage and the head at each level, which nothing else takes:
    it is the head's own, and the stage before it is what feeds the head.
    """
    taken_by_others = {source for index in range(len(layers) - 1) for source in _sources(layers, index)}

    def stage(index: int) -> int:
        is_head_own = type(layers[index]).__name__ in {"Conv", "RepConvolution"} and index not in taken_by_others
        before = _sources(layers, index)[0]
        return before if is_head_own and type(layers[before]).__name__ not in _NO_STAGE else index

    return {stage(index) for index in layers[-1].f}


def _sources(layers: Sequence[Any], index: int) -> list[int]:
    """List the layers that a layer takes, by their numbers; -1 stands for the image."""
    taken = layers[index].f if isinstance(layers[index].f, list) else [layers[index].f]
    return [source if source >= 0 else index + source for source in taken]


def output_maps(layers: nn.Sequential, imgsz: int) -> dict[int, tuple[int, int, bool]]:
    """Measure channels and stride of each layer's output, and whether they are its input's, in one forward pass.

    Layers without one map are absent.
    """
    maps: dict[int, tuple[int, int, bool]] = {}

    def note(index: int) -> Any:
        def hook(_module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor) and output.ndim == 4:
                keeps = isinstance(inputs[0], torch.Tensor) and inputs[0].shape == output.shape
                maps[index] = (output.shape[1], round(imgsz / output.shape[-1]), keeps)

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
