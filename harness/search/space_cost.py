"""The cost of a whole search space before anything is trained.

Insertion is local: blocks keep channels and stride, so cost(candidate) = cost(base) + Σ cost(block at
its site). Counting each block once gives the cost of every architecture exactly.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from harness.architecture import Architecture, MapSize, Placement
from harness.blocks import CloBlock
from harness.detectors import Site
from harness.detectors.insert import block_arguments
from harness.measure.cost import Cost, module_cost
from harness.space import SearchSpace

_DRAWS = 20_000


@cache
def _block_cost(placement: Placement, channels: int, map_size: MapSize) -> tuple[int, int]:
    cost = module_cost(CloBlock(*block_arguments(placement, channels)), (1, channels, *map_size))
    return cost.params, cost.macs


def _anywhere(placement: Placement) -> Placement:
    """The placement without its place: sites of one shape share their counts."""
    return Placement(**{**{f: getattr(placement, f) for f in placement.__dataclass_fields__}, "site": "any"})


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
        return _block_cost(_anywhere(placement), site.channels, site.map_size(self.imgsz))

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
    drawn = np.zeros((_DRAWS, 2), dtype=np.int64)
    for row in drawn:
        for site in rng.sample(list(blocks), rng.randint(1, most)):
            row += blocks[site][rng.randrange(len(blocks[site]))]
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
