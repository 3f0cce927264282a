"""The cost of a whole search space before anything is trained.

Insertion is local: blocks keep channels and stride, so cost(candidate) = cost(base) + Σ cost(block at
its site). A block's cost is arithmetic, so every architecture's is known exactly without building it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.architecture import Architecture, Kind, MapSize, Placement
from harness.detectors import Site
from harness.measure.cost import Cost
from harness.space import SearchSpace

_DRAWS = 5_000


def block_cost(placement: Placement, channels: int, map_size: MapSize) -> tuple[int, int]:
    """Parameters and MACs of one block in closed form, batch 1; equal to fvcore's count of the built block.

    With C channels, N pixels, M pooled tokens, c channels of a branch and kernel k, the branches cost
    3·C·c·N + 3·c·k²·N + 2·c²·N (local) and C·c·N + 2·C·c·M + 2·c·N·M (global), the fusion C²·N.

    Args:
        placement: The block.
        channels: Channels of its map.
        map_size: Height and width of its map, in pixels.
    """
    height, width = map_size
    pixels = height * width
    tokens = math.ceil(height / placement.kv_pool) * math.ceil(width / placement.kv_pool)
    per_head = channels // placement.heads
    params = 2 * channels + channels  # norm, layer scale
    macs = 0
    for group in placement.groups:
        own = group.heads * per_head
        params += _conv(channels, 3 * own) + 3 * own * (group.kernel**2 + 1) + 2 * _conv(own, own)
        macs += pixels * (3 * channels * own + 3 * own * group.kernel**2 + 2 * own**2)
    if placement.global_heads:
        own = placement.global_heads * per_head
        params += _conv(channels, own) + _conv(channels, 2 * own)
        macs += channels * own * pixels + 2 * channels * own * tokens + 2 * own * pixels * tokens
    params += _conv(channels, channels)
    macs += channels**2 * pixels
    if placement.kind is Kind.BLOCK:
        hidden = int(channels * placement.ffn_ratio)
        params += (
            3 * channels + _conv(channels, hidden) + hidden * (placement.ffn_kernel**2 + 1) + _conv(hidden, channels)
        )
        macs += pixels * hidden * (2 * channels + placement.ffn_kernel**2)
    return params, macs


def _conv(inputs: int, outputs: int) -> int:
    """Parameters of a 1×1 convolution with bias."""
    return (inputs + 1) * outputs


@dataclass(frozen=True, kw_only=True)
class AdditiveCost:
    """Parameters and MACs of any architecture of a space.

    Attributes:
        base: Cost of the base.
        sites: The base's sites.
        imgsz: Side of the square input, in pixels.
    """

    base: Cost
    sites: Mapping[str, Site]
    imgsz: int

    def block(self, placement: Placement) -> tuple[int, int]:
        """Parameters and MACs that one block adds."""
        site = self.sites[placement.site]
        return block_cost(placement, site.channels, site.map_size(self.imgsz))

    def of(self, architecture: Architecture) -> tuple[int, int]:
        """Parameters and MACs of an architecture, batch 1."""
        blocks = [self.block(placement) for placement in architecture.placements]
        return self.base.params + sum(b[0] for b in blocks), self.base.macs + sum(b[1] for b in blocks)


def summarise_space(space: SearchSpace, cost: AdditiveCost) -> dict[str, Any]:
    """Size and range of cost of a space, as plain data.

    Extremes are exact; the quartiles are of architectures drawn as the search draws them.
    """
    blocks = {
        site: np.array([cost.block(placement) for placement in placements], dtype=np.int64)
        for site, placements in space.placements.items()
    }
    most = min(space.file.max_blocks, len(blocks))
    rng = random.Random(0)
    drawn = np.array([cost.of(space.draw(rng)) for _ in range(_DRAWS)], dtype=np.int64) - (
        cost.base.params,
        cost.base.macs,
    )
    summary: dict[str, Any] = {
        "name": space.file.name,
        "sites": list(space.file.sites),
        "max_blocks": most,
        "size": space.size,
    }
    for column, (name, start) in enumerate((("params", cost.base.params), ("macs", cost.base.macs))):
        largest = sorted((int(added[:, column].max()) for added in blocks.values()), reverse=True)[:most]
        quartiles = np.percentile(drawn[:, column], [25, 50, 75])
        summary |= {
            f"{name}_base": start,
            f"{name}_min": start + min(int(added[:, column].min()) for added in blocks.values()),
            f"{name}_q25": start + int(quartiles[0]),
            f"{name}_median": start + int(quartiles[1]),
            f"{name}_q75": start + int(quartiles[2]),
            f"{name}_max": start + sum(largest),
        }
    return summary
