"""A base's weights into its widened form, so that it computes the very function it computed before.

As in Net2Net [1], but the new channels are drawn anew and not copied: every old channel keeps its weights, and
its weights on new inputs are zero. So what the detector puts out does not depend on new channels before the first
step; the zeros get a gradient at once, the new channels from the second step on, as a block does that starts as
the identity. Copies would have to be made distinguishable by noise, and halve what the old channels weigh.

Batch norms are per channel, so that the function is the same in training mode, too.

Reference: [1] Chen, Goodfellow, Shlens, "Net2Net: accelerating learning via knowledge transfer", ICLR 2016,
arXiv:1511.05641.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from ultralytics.nn.modules.block import (
    C3,
    ELAN1,
    Bottleneck,
    C2f,
    C3k,
    C3k2,
    RepBottleneck,
    RepCSP,
    RepNCSPELAN4,
)
from ultralytics.nn.modules.conv import Conv, RepConv

from harness.detectors.weights import Transfer, transfer
from harness.detectors.yolov7 import ELAN

# Layers whose hidden channels can be widened: convolutions alone, with input and output as they are.
GROWING = (C3, C2f, C3k2, ELAN, ELAN1, RepNCSPELAN4)
_PARTS = (Conv, RepConv, Bottleneck, RepBottleneck, C3k, RepCSP)
_PLAIN = (nn.Conv2d, nn.BatchNorm2d, nn.Sequential, nn.ModuleList, nn.Identity)
_ACTIVATIONS = "torch.nn.modules.activation"


@dataclass(frozen=True, kw_only=True)
class _Grown:
    """A convolution, and where its old channels are among the new: index tensors of its old inputs and outputs."""

    old: nn.Module
    new: nn.Module
    inputs: Tensor
    outputs: Tensor


def can_grow(layer: nn.Module) -> bool:
    """Return whether all that a layer is made of can be widened.

    Not where there is attention, whose number of heads follows from its width, nor in grouped convolutions.
    """
    known = (*_PARTS, *_PLAIN)
    return type(layer) in GROWING and all(
        (type(part) in known or type(part).__module__ == _ACTIVATIONS) and getattr(part, "groups", 1) == 1
        for part in list(layer.modules())[1:]
    )


def transfer_widened(base: nn.Module, wide: nn.Module) -> Transfer:
    """Copy every tensor of `base` into its widened form, changed in place.

    Args:
        base: Trained detector.
        wide: Detector of a description that `widened` made of the base's, with random weights.

    Returns:
        `grown` has a mask for each tensor that became larger; these have arrived, and are not among `new`.
    """
    moved = transfer(base, wide, {number: number for number, _ in enumerate(wide.model)})  # type: ignore[arg-type]
    names = {id(module): name for name, module in wide.named_modules()}
    masks: dict[str, Tensor] = {}
    for old, new in zip(base.model, wide.model, strict=True):  # type: ignore[arg-type]
        if not can_grow(new):
            continue
        ends = _outer_channels(old)
        for one in _growths(old, new, torch.arange(ends[0]), torch.arange(ends[1])):
            masks |= {f"{names[id(one.new)]}.{part}": mask for part, mask in _copy(one)}
    return replace(
        moved,
        arrived=moved.arrived + sum(name in masks for name in moved.left_behind),
        left_behind={name: why for name, why in moved.left_behind.items() if name not in masks},
        new=moved.new - set(masks),
        grown=masks,
    )


def _copy(one: _Grown) -> Iterator[tuple[str, Tensor]]:
    """Set the old channels' weights; yield name and mask of each tensor that became larger."""
    target = one.new.state_dict()
    for name, tensor in one.old.state_dict().items():
        place = target[name]
        if place.shape == tensor.shape:
            continue  # `transfer` copied it
        is_new = torch.ones(place.shape, dtype=torch.bool)
        at = (one.outputs[:, None], one.inputs) if tensor.ndim > 1 else (one.outputs,)
        is_new[at] = False
        if tensor.ndim > 1:
            place[one.outputs] = 0.0
        place[at] = tensor.to(place)
        yield name, is_new


def _growths(old: Any, new: Any, inputs: Tensor, outputs: Tensor) -> Iterator[_Grown]:
    """Yield every convolution in a layer or a part of one; `inputs` and `outputs` tell where its old channels are."""
    match old:
        case Conv():
            yield _Grown(old=old, new=new, inputs=inputs, outputs=outputs)
        case RepConv():
            for branch in ("conv1", "conv2"):
                yield from _growths(getattr(old, branch), getattr(new, branch), inputs, outputs)
        case Bottleneck():
            middle = torch.arange(old.cv2.conv.in_channels)
            yield from _growths(old.cv1, new.cv1, inputs, middle)
            yield from _growths(old.cv2, new.cv2, middle, outputs)
        case C3():
            segment = _widths(old.cv1, new.cv1)
            yield from _growths(old.cv1, new.cv1, inputs, _joined(segment))
            yield from _growths(old.cv2, new.cv2, inputs, _joined(segment))
            yield from _chain(old.m, new.m, segment)
            yield from _growths(old.cv3, new.cv3, _joined(segment, segment), outputs)
        case C2f():
            segment = (old.c, new.c)
            yield from _growths(old.cv1, new.cv1, inputs, _joined(segment, segment))
            yield from _chain(old.m, new.m, segment)
            yield from _growths(old.cv2, new.cv2, _joined(*[segment] * (2 + len(old.m))), outputs)
        case ELAN():
            yield from _growths_of_elan(old, new, inputs, outputs)
        case RepNCSPELAN4():
            yield from _growths_of_gelan(old, new, outputs)


def _growths_of_elan(old: Any, new: Any, inputs: Tensor, outputs: Tensor) -> Iterator[_Grown]:
    """Yield YOLOv7's: two widths; the mixing convolution reads the chain's outputs before both 1×1 convolutions'."""
    width, inner = _widths(old.start, new.start), _widths(old.chain[0], new.chain[0])
    yield from _growths(old.side, new.side, inputs, _joined(width))
    yield from _growths(old.start, new.start, inputs, _joined(width))
    yield from _growths(old.chain[0], new.chain[0], _joined(width), _joined(inner))
    yield from _chain(old.chain[1:], new.chain[1:], inner)
    joined = [inner] * (len(old.chain) // old.step)
    yield from _growths(old.mix, new.mix, _joined(*joined, width, width), outputs)


def _growths_of_gelan(old: Any, new: Any, outputs: Tensor) -> Iterator[_Grown]:
    """Yield YOLOv9's: the first convolution stays, the two branches behind it are widened."""
    first = old.cv1.conv.out_channels
    inner = _widths(old.cv2, new.cv2)
    before = torch.arange(first // 2)
    for name in ("cv2", "cv3"):
        for part, grown in _pairs(getattr(old, name), getattr(new, name)):
            yield from _growths(part, grown, before, _joined(inner))
            before = _joined(inner)
    yield from _growths(old.cv4, new.cv4, _joined((first, first), inner, inner), outputs)


def _chain(old: Iterable[nn.Module], new: Iterable[nn.Module], segment: tuple[int, int]) -> Iterator[_Grown]:
    for part, grown in zip(old, new, strict=True):
        yield from _growths(part, grown, _joined(segment), _joined(segment))


def _joined(*segments: tuple[int, int]) -> Tensor:
    """Locate old channels in a concatenation of widened segments, each given as (old, new) channels."""
    starts = [sum(wide for _, wide in segments[:number]) for number in range(len(segments))]
    return torch.cat([start + torch.arange(narrow) for start, (narrow, _) in zip(starts, segments, strict=True)])


def _pairs(old: nn.Module, new: nn.Module) -> list[tuple[nn.Module, nn.Module]]:
    if isinstance(old, nn.Sequential) and isinstance(new, nn.Sequential):
        return list(zip(old, new, strict=True))
    return [(old, new)]


def _widths(old: nn.Module, new: nn.Module) -> tuple[int, int]:
    """Count the channels that come out of a convolution, or a chain that ends in one, before and after."""
    return _convolutions(old)[-1].out_channels, _convolutions(new)[-1].out_channels


def _outer_channels(layer: Any) -> tuple[int, int]:
    """Count a layer's input and output channels: of its first convolution and of the one that mixes at its end."""
    last = {C3: "cv3", ELAN: "mix", RepNCSPELAN4: "cv4", ELAN1: "cv4"}.get(type(layer), "cv2")
    return _convolutions(layer)[0].in_channels, getattr(layer, last).conv.out_channels


def _convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [part for part in module.modules() if isinstance(part, nn.Conv2d)]
