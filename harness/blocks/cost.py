"""Parameters and MACs of the Clo blocks in closed form; equal to fvcore's count of the built block."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.blocks.operators import LOCAL_OPERATORS, AblatedAttnConv, MapSize


def attention_cost(
    channels: int,
    map_size: MapSize,
    *,
    group_split: Sequence[int],
    kernel_sizes: Sequence[int],
    window_size: int,
    operator: str = "attnconv",
    aggregate_qk: bool = True,
    aggregate_v: bool = True,
) -> tuple[int, int]:
    """Count the parameters and MACs of one `CloAttention`, batch 1.

    With C channels, N pixels, M pooled tokens, c channels of a branch and kernel k, AttnConv costs
    3·C·c·N + 3·c·k²·N + 2·c²·N and the global branch C·c·N + 2·C·c·M + 2·c·N·M; the fusion costs C²·N.

    Args:
        channels: Channels of the map.
        map_size: Height and width of the map, in pixels.
        group_split: See `CloAttention`, as for the others.
        kernel_sizes: Kernel of each local group.
        window_size: Side of the global branch's windows.
        operator: The local operator.
        aggregate_qk: Whether queries and keys are aggregated.
        aggregate_v: Whether values are.
    """
    height, width = map_size
    pixels = height * width
    tokens = math.ceil(height / window_size) * math.ceil(width / window_size)
    head_dim = channels // sum(group_split)
    local = LOCAL_OPERATORS[operator]
    changed = {"aggregate_qk": aggregate_qk, "aggregate_v": aggregate_v} if local is AblatedAttnConv else {}
    params, macs = 0, 0
    for heads, kernel_size in zip(group_split, kernel_sizes, strict=False):
        own = heads * head_dim
        own_params, own_macs = local.cost(own, kernel_size, map_size, **changed)
        params += pointwise(channels, local.streams * own) + own_params
        macs += pixels * channels * local.streams * own + own_macs
    if group_split[-1]:
        own = group_split[-1] * head_dim
        params += pointwise(channels, own) + pointwise(channels, 2 * own)
        macs += channels * own * pixels + 2 * channels * own * tokens + 2 * own * pixels * tokens
    return params + pointwise(channels, channels), macs + channels**2 * pixels


def ffn_cost(
    channels: int, map_size: MapSize, *, ratio: float, kernel_size: int, depthwise: bool = True
) -> tuple[int, int]:
    """Count the parameters and MACs of one `ConvFFN` with stride 1, batch 1."""
    hidden = int(channels * ratio)
    params = pointwise(channels, hidden) + pointwise(hidden, channels) + depthwise * hidden * (kernel_size**2 + 1)
    return params, math.prod(map_size) * hidden * (2 * channels + depthwise * kernel_size**2)


def pointwise(inputs: int, outputs: int) -> int:
    """Count the parameters of a 1×1 convolution with bias."""
    return (inputs + 1) * outputs
