"""Two well-known attention blocks as controls: a gain that they give too is no merit of the Clo block.

References: [1] SE: Hu et al., arXiv:1709.01507. [2] CBAM: Woo et al., arXiv:1807.06521.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from harness.blocks.operators import MapSize
from harness.blocks.registry import register_block


def se_cost(channels: int, map_size: MapSize, reduction: int = 16) -> tuple[int, int]:  # noqa: ARG001
    """Count SE's parameters and MACs in closed form: two fully connected layers on one pooled pixel."""
    hidden = _hidden(channels, reduction)
    return 2 * channels * hidden + hidden + channels, 2 * channels * hidden


def cbam_cost(channels: int, map_size: MapSize, reduction: int = 16, kernel_size: int = 7) -> tuple[int, int]:
    """Count CBAM's parameters and MACs: one bottleneck on two pooled pixels, one convolution of two maps to one."""
    hidden = _hidden(channels, reduction)
    params = 2 * channels * hidden + hidden + channels + 2 * kernel_size**2 + 1
    return params, 2 * (2 * channels * hidden) + 2 * kernel_size**2 * math.prod(map_size)


@register_block("se", cost=se_cost)
class SqueezeExcitation(nn.Module):
    """SE [1]: each channel times a weight from the means of all channels.

    Args:
        channels: Channels of the map.
        reduction: Channels over hidden channels.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.weigh = _bottleneck(channels, reduction)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to the same shape."""
        return x * torch.sigmoid(self.weigh(x.mean(dim=(2, 3), keepdim=True)))


@register_block("cbam", cost=cbam_cost)
class CBAM(nn.Module):
    """CBAM [2]: weights a channel from means and maxima, then weights a pixel from theirs.

    Args:
        channels: Channels of the map.
        reduction: Channels over hidden channels.
        kernel_size: Side of the convolution that weighs pixels, in pixels, odd.
    """

    def __init__(self, channels: int, reduction: int = 16, kernel_size: int = 7) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is {kernel_size}; it is odd and positive (3, 7, …)")
        self.weigh = _bottleneck(channels, reduction)
        self.place = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to the same shape."""
        pooled = x.mean(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)
        x = x * torch.sigmoid(self.weigh(pooled[0]) + self.weigh(pooled[1]))
        maps = torch.cat((x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)), dim=1)
        return x * torch.sigmoid(self.place(maps))


def _hidden(channels: int, reduction: int) -> int:
    return max(1, channels // reduction)


def _bottleneck(channels: int, reduction: int) -> nn.Sequential:
    if reduction < 1:
        raise ValueError(f"reduction is {reduction}; it is 1 or more")
    hidden = _hidden(channels, reduction)
    return nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, channels, 1))
