"""The cost of a whole search space before anything is trained, exact.

Insertion is local: blocks keep channels and stride, so cost(candidate) = cost(base) + Σ cost(block at
its site). A block's cost is arithmetic, so every architecture's is known without building it.

What a placement adds is known once its site and shape are, so a space of hundreds of millions of architectures
has only a few thousand different summands, each a row of a table. A constraint on cost can then be checked for every
candidate that a sampler thinks of, and a front of cost be drawn from a million architectures in seconds.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from harness.architecture import Architecture, FeedForward, Init, Kind, MapSize, Mode, Placement
from harness.blocks import RegisteredBlock
from harness.blocks.cost import attention_cost, ffn_cost
from harness.blocks.registry import block_entry
from harness.common.errors import UserError
from harness.cost.counts import Cost, model_cost, module_cost
from harness.detectors import Base, Site
from harness.detectors.insert import block_row
from harness.record.surroundings import SpaceSummary
from harness.space import SearchSpace
from harness.space.table import Indices, SpaceTable

_DRAWS = 5_000


def block_cost(placement: Placement, channels: int, map_size: MapSize) -> tuple[int, int]:
    """Count the parameters and MACs of one block, batch 1; equal to fvcore's count of the built block.

    Closed forms for Clo blocks. A registered block is built and counted, once a shape and map; its formula, if it
    has one, is held against the count.

    Args:
        placement: The block.
        channels: Channels of its map.
        map_size: Height and width of its map, in pixels.

    Raises:
        UserError: The registered block is unknown or cannot be used, or its cost formula is wrong.
    """
    if not placement.is_clo:
        return _registered_cost(replace(placement, site="", mode=Mode.AFTER), channels, map_size)
    params, macs = attention_cost(
        channels,
        map_size,
        group_split=placement.group_split,
        kernel_sizes=placement.kernel_sizes,
        window_size=placement.kv_pool,
        operator=placement.operator,
        aggregate_qk=placement.aggregate_qk,
        aggregate_v=placement.aggregate_v,
    )
    if placement.kind == Kind.BARE:
        return params, macs
    norm_and_scale = channels * (2 if placement.init is Init.OFFICIAL else 3)
    params += norm_and_scale
    if placement.kind == Kind.BLOCK:
        own = ffn_cost(
            channels,
            map_size,
            ratio=placement.ffn_ratio,
            kernel_size=placement.ffn_kernel,
            depthwise=placement.ffn is FeedForward.CONV,
        )
        params, macs = params + norm_and_scale + own[0], macs + own[1]
    return params, macs


@lru_cache(maxsize=4096)
def _registered_cost(placement: Placement, channels: int, map_size: MapSize) -> tuple[int, int]:
    _, arguments = block_row(placement, channels)
    entry = block_entry(placement.block_name)
    counted = module_cost(RegisteredBlock(*arguments), (1, channels, *map_size))
    if entry.cost is not None:
        has_scale = placement.init is not Init.OFFICIAL and entry.identity is None
        try:
            params, macs = entry.cost(channels, map_size, **entry.full_options(dict(placement.options)))
        except Exception as error:  # whatever a user's formula raises is one sentence to them
            raise UserError(f"cost formula of block '{entry.name}': {type(error).__name__}: {error}") from error
        if (params + channels * has_scale, macs) != (counted.params, counted.macs):
            raise UserError(
                f"cost formula of block '{entry.name}' gives {params:,} parameters and {macs:,} MACs on {channels} "
                f"channels at {map_size}; the built block has {counted.params - channels * has_scale:,} and "
                f"{counted.macs:,}"
            )
    return counted.params, counted.macs


@dataclass(frozen=True, kw_only=True)
class AdditiveCost:
    """Parameters and MACs of any architecture of a space.

    Attributes:
        base: Cost of the base.
        sites: The base's sites.
        imgsz: Side of the square input, in pixels.
        layers: Parameters and MACs of the layers that a block may replace, by site.
    """

    base: Cost
    sites: Mapping[str, Site]
    imgsz: int
    layers: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def block(self, placement: Placement) -> tuple[int, int]:
        """Count the parameters and MACs that one placement adds; negative where it replaces a costlier layer."""
        site = self.sites[placement.site]
        size = site.map_size(self.imgsz)
        blocks = [block_cost(placement, width, size) for width in site.block_channels(placement.mode)]
        without = self.layers[placement.site] if placement.mode is Mode.REPLACE else (0, 0)
        return sum(b[0] for b in blocks) - without[0], sum(b[1] for b in blocks) - without[1]

    @classmethod
    def of_base(cls, base: Base, sites: Mapping[str, Site], *, classes: int | None, imgsz: int) -> AdditiveCost:
        """Count a base, and each layer of it that a block may replace."""
        network = base.build(classes)
        return cls(
            base=model_cost(network, imgsz),
            sites=sites,
            imgsz=imgsz,
            layers={
                site.name: (counted.params, counted.macs)
                for site in sites.values()
                if site.replaceable
                for counted in [module_cost(network.model[site.layer], (1, site.channels, *site.map_size(imgsz)))]
            },
        )

    def of(self, architecture: Architecture) -> tuple[int, int]:
        """Count the parameters and MACs of an architecture, batch 1."""
        blocks = [self.block(placement) for placement in architecture.placements]
        return self.base.params + sum(b[0] for b in blocks), self.base.macs + sum(b[1] for b in blocks)


def summarise_space(space: SearchSpace, cost: AdditiveCost) -> SpaceSummary:
    """Summarise the size of a space and its range of cost.

    Extremes are exact; the quartiles are of architectures drawn as the search draws them.
    """
    blocks = {
        site: np.array([cost.block(placement) for placement in placements], dtype=np.int64)
        for site, placements in space.placements.items()
    }
    most = space.blocks[-1]
    rng = random.Random(0)
    drawn = np.array([cost.of(space.draw(rng)) for _ in range(_DRAWS)], dtype=np.int64) - (
        cost.base.params,
        cost.base.macs,
    )
    summary: dict[str, object] = {
        "name": space.file.name,
        "sites": list(space.sites),
        "max_blocks": most,
        "size": space.size,
    }
    for column, (name, start) in enumerate((("params", cost.base.params), ("macs", cost.base.macs))):
        least = _least_sum({site: int(added[:, column].min()) for site, added in blocks.items()}, space)
        greatest = -_least_sum({site: -int(added[:, column].max()) for site, added in blocks.items()}, space)
        quartiles = np.percentile(drawn[:, column], [25, 50, 75])
        summary |= {
            f"{name}_base": start,
            f"{name}_min": start + least,
            f"{name}_q25": start + int(quartiles[0]),
            f"{name}_median": start + int(quartiles[1]),
            f"{name}_q75": start + int(quartiles[2]),
            f"{name}_max": start + greatest,
        }
    return SpaceSummary.of(summary)


def _least_sum(values: Mapping[str, int], space: SearchSpace) -> int:
    """Compute the least sum of an architecture's blocks, given each site's least block.

    A block that replaces a costlier layer makes a model cheaper; others are taken only where one must be.
    """
    required = [values[site] for site in space.required]
    free = sorted(value for site, value in values.items() if site not in space.required)
    must, most = space.blocks[0] - len(required), space.blocks[-1] - len(required)
    return sum(required) + sum(free[:must]) + sum(value for value in free[must:most] if value < 0)


__all__ = ["CostTable", "Indices"]


class CostTable(SpaceTable):
    """Parameters and MACs of architectures of a space, batch 1.

    Args:
        space: The space.
        cost: The cost of its base and blocks, for the same base at the same image size.

    Raises:
        UserError: The space has a site that the cost does not know.
    """

    def __init__(self, space: SearchSpace, cost: AdditiveCost) -> None:
        missing = [site for site in space.sites if site not in cost.sites]
        if missing:
            raise UserError(f"space '{space.file.name}': no cost is known at {', '.join(missing)} of {space.base}")
        super().__init__(space)
        self.base = np.array([cost.base.params, cost.base.macs], dtype=np.int64)
        rows = [
            row
            for site in space.sites
            for row in [(0, 0), *(cost.block(placement) for placement in space.placements[site])]
        ]
        self._added = np.array(rows, dtype=np.int64)

    def added(self, site: str) -> npt.NDArray[np.int64]:
        """Return the parameters and MACs that each choice of a site adds, (choices + 1, 2), the empty one first."""
        place = self._place[site]
        first = self._first[place]
        return self._added[first : first + self.choices[place] + 1]

    def of(self, indices: Indices) -> npt.NDArray[np.int64]:
        """Sum the parameters and MACs of each architecture.

        Args:
            indices: (N, sites).

        Returns:
            (N, 2): parameters, MACs. Sums are exact below 2⁶³.

        Raises:
            ValueError: The array is no whole numbers, has another shape, or names a placement that is not there.
        """
        self._check(indices)
        costs = np.tile(self.base, (len(indices), 1))
        for site, first in enumerate(self._first):
            costs += self._added[first + indices[:, site]]
        return costs
