"""Blocks inside the bottlenecks of Ultralytics' layers, as the many forks with a `C2f_…Att` do it.

There a bottleneck `x + cv2(cv1(x))` becomes `x + block(cv2(cv1(x)))`. The layer keeps its class and its
tensors keep their names, so a base's weights arrive as they are.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from ultralytics.nn.modules.block import Bottleneck, RepBottleneck

# Those whose forward is the one above; of other subclasses we do not know it.
_KNOWN = (Bottleneck, RepBottleneck)


class BottleneckWithBlock(nn.Module):
    """`x + block(cv2(cv1(x)))`, without `x +` where the bottleneck had no shortcut.

    Args:
        bottleneck: Ultralytics' bottleneck, whose convolutions are taken over.
        block: What comes after them; keeps channels and map size.
    """

    def __init__(self, bottleneck: Bottleneck, block: nn.Module) -> None:
        super().__init__()
        self.cv1, self.cv2, self.add = bottleneck.cv1, bottleneck.cv2, bottleneck.add
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', H, W), the bottleneck's own channels."""
        y: Tensor = self.block(self.cv2(self.cv1(x)))
        return x + y if self.add else y


def bottleneck_channels(layer: nn.Module) -> list[int]:
    """List the output channels of every bottleneck that a layer is made of; none for a layer that has none."""
    return [_channels(one) for _, _, one in _bottlenecks(layer)]


def put_inside(layer: nn.Module, make: Callable[[], nn.Module]) -> None:
    """Put a new block into each of a layer's bottlenecks, in place.

    Raises:
        ValueError: The layer has no bottleneck.
    """
    found = _bottlenecks(layer)
    if not found:
        raise ValueError(f"{type(layer).__name__} has no bottleneck to put a block inside")
    for parent, name, bottleneck in found:
        setattr(parent, name, BottleneckWithBlock(bottleneck, make()))


def _bottlenecks(layer: nn.Module) -> list[tuple[nn.Module, str, Bottleneck]]:
    """List parent, attribute and module of each; the layer itself is no place inside."""
    return [(p, name, m) for p in layer.modules() for name, m in p.named_children() if type(m) in _KNOWN]


def _channels(bottleneck: Bottleneck) -> int:
    channels: int = bottleneck.cv2.conv.out_channels
    return channels
