"""The placebo of a block: its base with wider layers, as large as the base with blocks.

Only hidden channels are widened, those inside the layers of `growth.GROWING`: C3, C2f, C3k2, YOLOv7's ELAN and
YOLOv9's. All maps between layers, the sites and the head stay as they are, and blocks could go in as before. All
such layers are widened by one factor, in steps of two channels, and then some by one step more, so that parameters
or MACs come as close to what is wanted as steps allow.

How many steps that takes needs no search over detectors: a layer's parameters and MACs are quadratic in the number
of steps, so that its cost at 0, 1 and 2 steps is its cost at any (Newton's forward differences). Two channels a
step, because half of a layer's hidden channels are those of its bottlenecks, rounded down.

A layer's row in a model YAML says its hidden channels as an expansion, or spells them out.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from ultralytics.nn.modules.block import C2f, RepNCSPELAN4

from harness.architecture import Architecture
from harness.architecture.choices import Size
from harness.common.errors import UserError
from harness.detectors.families import Base, build
from harness.detectors.growth import GROWING, can_grow
from harness.detectors.insert import insert
from harness.detectors.model_yaml import Description
from harness.detectors.sites import output_maps
from harness.detectors.yolov7 import ELAN

# Hidden channels that a layer is widened by at a time: its bottlenecks may have half of them, rounded down.
STEP = 2


def hidden_channels(layer: Any) -> int:
    """Count the channels inside a layer of `growth.GROWING`."""
    if isinstance(layer, ELAN):
        return int(layer.start.conv.out_channels)
    if isinstance(layer, RepNCSPELAN4):
        return int(layer.cv4.conv.in_channels - layer.cv1.conv.out_channels) // 2
    return int(layer.c if isinstance(layer, C2f) else layer.cv1.conv.out_channels)


def wider_arguments(layer: Any, arguments: Sequence[Any], steps: int) -> list[Any]:
    """Build the arguments of a row whose layer is to have `steps` × `STEP` more hidden channels.

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
    """Build the row's arguments with `e` for so many hidden channels, and the defaults of whatever precedes `e`.

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
    """Find the shortest `e` for which Ultralytics' `int(outputs * e)` is `hidden`; 0.29 of 100 would be 28."""
    for decimals in range(1, 16):
        least = round(hidden / outputs, decimals)
        for e in (least, round(least + 10**-decimals, decimals)):
            if int(outputs * e) == hidden:
                return e
    raise AssertionError(f"no expansion of {outputs} channels gives {hidden}")


@dataclass(frozen=True, kw_only=True)
class Widening:
    """A widened base.

    Attributes:
        config: Its model description, as `insert` returns one.
        params: Parameters that it has beyond the base's.
        macs: Multiply-accumulates, unfused, beyond the base's, at the image size asked for.
        widths: Hidden channels of each layer that was widened, by its number: in the base, and here.
    """

    config: Description
    params: int
    macs: int
    widths: Mapping[int, tuple[int, int]]


@dataclass(frozen=True, kw_only=True)
class _Row:
    """A layer that can be widened.

    Attributes:
        number: Which layer of the base it is.
        layer: The base's own.
        costs: Parameters and MACs at 0, 1 and 2 steps, each.
    """

    number: int
    layer: nn.Module
    costs: Mapping[Size, tuple[int, int, int]]

    @property
    def hidden(self) -> int:
        """Hidden channels in the base."""
        return hidden_channels(self.layer)

    def added(self, size: Size, steps: int) -> int:
        """Compute the cost of so many steps beyond the base's; exact."""
        none, one, two = self.costs[size]
        return steps * (one - none) + steps * (steps - 1) // 2 * (two - 2 * one + none)


def widened(base: Base, *, size: Size, added: int, imgsz: int, classes: int | None = None) -> Widening:
    """Widen the base: make it larger by as much as a detector with blocks is.

    Args:
        base: Detector to widen.
        size: What is to be alike.
        added: Parameters or MACs of the other detector beyond the base's.
        imgsz: Side of the square image for which MACs are counted, in pixels; a multiple of the largest stride.
        classes: Number of classes of the data; the base's own by default.

    Raises:
        UserError: The base has no layer that can be widened, or the other detector is no larger than the base by
            at least half of the smallest step.
    """
    config = insert(base, Architecture(base=base.name), sites={}, classes=classes)
    rows = _rows(config, imgsz)
    if not rows:
        known = ", ".join(layer.__name__ for layer in GROWING)
        raise UserError(f"base {base.name}: has no layer whose hidden channels can be widened; such are {known}")
    steps = _fill(rows, size, added, _evenly(rows, size, added))
    if not any(steps.values()):
        least = min(row.added(size, 1) for row in rows)
        raise UserError(
            f"base {base.name}: cannot be widened by {added:,} {size}; the smallest step adds {least:,}, "
            "and the baseline itself is the closest"
        )
    return Widening(
        config=_with_steps(config, {row.number: row.layer for row in rows}, steps),
        params=sum(row.added(Size.PARAMS, steps[row.number]) for row in rows),
        macs=sum(row.added(Size.MACS, steps[row.number]) for row in rows),
        widths={row.number: (row.hidden, row.hidden + STEP * steps[row.number]) for row in rows if steps[row.number]},
    )


def _evenly(rows: Sequence[_Row], size: Size, added: int) -> dict[int, int]:
    """Compute the steps of every row for the largest common factor that adds no more than wanted."""

    def steps(factor: float) -> dict[int, int]:
        return {row.number: round((factor - 1) * row.hidden / STEP) for row in rows}

    def total(factor: float) -> int:
        return sum(row.added(size, steps(factor)[row.number]) for row in rows)

    low, high = 1.0, 2.0
    while total(high) <= added:
        low, high = high, 2 * high
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if total(middle) <= added else (low, middle)
    return steps(low)


def _fill(rows: Sequence[_Row], size: Size, added: int, steps: Mapping[int, int]) -> dict[int, int]:
    """Add one step for those rows with which the sum comes closest to what is wanted."""
    missing = added - sum(row.added(size, steps[row.number]) for row in rows)
    sums: dict[int, tuple[int, ...]] = {0: ()}  # of every set of rows; equal ones once
    for row in rows:
        cost = row.added(size, steps[row.number] + 1) - row.added(size, steps[row.number])
        sums = {cost + some: (*which, row.number) for some, which in sums.items()} | sums
    closest = sums[min(sums, key=lambda some: abs(missing - some))]
    return {number: taken + (number in closest) for number, taken in steps.items()}


def _rows(config: Description, imgsz: int) -> list[_Row]:
    """Measure, on three detectors, all rows that can be widened."""
    network = build(config)
    layers = {number: layer for number, layer in enumerate(network.model) if can_grow(layer)}
    stride_of = output_maps(network.model, imgsz=int(2 * network.stride.max()))
    models = [build(_with_steps(config, layers, dict.fromkeys(layers, steps))).model for steps in range(3)]

    def costs(number: int) -> dict[Size, tuple[int, int, int]]:
        pixels = (imgsz // stride_of[number][1]) ** 2
        none, one, two = (model[number] for model in models)
        return {
            Size.PARAMS: (_parameters(none), _parameters(one), _parameters(two)),
            Size.MACS: (_weights(none) * pixels, _weights(one) * pixels, _weights(two) * pixels),
        }

    return [_Row(number=number, layer=layer, costs=costs(number)) for number, layer in layers.items()]


def _parameters(layer: nn.Module) -> int:
    return sum(parameter.numel() for parameter in layer.parameters())


def _weights(layer: nn.Module) -> int:
    """Count the weights of all convolutions: each multiplies once a pixel, since all have stride 1 and no groups."""
    return sum(part.weight.numel() for part in layer.modules() if isinstance(part, nn.Conv2d))


def _with_steps(config: Description, layers: Mapping[int, nn.Module], steps: Mapping[int, int]) -> Description:
    """Return the description with wider rows; a row without a step stays as it was written."""
    rows = [*config["backbone"], *config["head"]]
    for number, layer in layers.items():
        if steps[number]:
            source, repeats, module, arguments = rows[number]
            rows[number] = [source, repeats, module, wider_arguments(layer, arguments, steps[number])]
    split = len(config["backbone"])
    return {**config, "backbone": rows[:split], "head": rows[split:]}
