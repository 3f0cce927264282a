"""What averaging keys and values over windows saves, and what it leaves: operations, parameters, reach.

Counted at every stage of the article's detector (YOLOv5s at 640 pixels and at the embedded data's 128) and of
CloFormer XXS, XS and S (224 pixels), with every pool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from harness.blocks import CloAttention
from harness.blocks.cloformer import VARIANTS
from harness.claims.reach import WIDTH, share_reached
from harness.claims.verdict import Cell, Figure, Finding, judge
from harness.cost.counts import module_cost

POOLS = (1, 2, 4, 8)
# Stride to channels of YOLOv5s's stages that the article's models put a block at.
DETECTOR_WIDTHS = {8: 128, 16: 256, 32: 512}
# Channels and pool to an attention that keeps the map.
Build = Callable[[int, int], nn.Module]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One attention at its place.

    Attributes:
        network: Whose stage, at which image size.
        stride: Image pixels a map pixel.
        side: Side of the map, in pixels.
        channels: Channels of the map.
        heads: All heads.
        groups: Heads of each local group, then of the global branch.
        kernels: Kernel of each local group, in pixels.
        pool: Side of the windows, in pixels.
    """

    network: str
    stride: int
    side: int
    channels: int
    heads: int
    groups: tuple[int, ...]
    kernels: tuple[int, ...]
    pool: int

    def attention(self) -> CloAttention:
        """Build the whole attention, local branch included."""
        return CloAttention(self.channels, self.heads, self.groups, self.kernels, self.pool)


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What an attention costs at its place.

    Attributes:
        params: Of the whole attention.
        macs: Of the whole attention.
        product_macs: Of them, those of QKᵀ and of the weighted sum.
    """

    params: int
    macs: int
    product_macs: int


def stages(imgszs: Sequence[int] = (640, 128), pools: Sequence[int] = POOLS) -> Iterator[Stage]:
    """Yield all stages, each with pool 1 first, then with the others; CloFormer's with its own pools alone."""
    for imgsz in imgszs:
        for stride, channels in DETECTOR_WIDTHS.items():
            for pool in pools:
                yield Stage(
                    network=f"YOLOv5s at {imgsz} px", stride=stride, side=imgsz // stride, channels=channels, heads=8,
                    groups=(4, 4), kernels=(5,), pool=pool,
                )  # fmt: skip
    for name in ("xxs", "xs", "s"):
        variant = VARIANTS[name]
        for index, own_pool in enumerate(variant.windows):
            for pool in sorted({1, own_pool}):
                yield Stage(
                    network=f"CloFormer {name.upper()} at 224 px", stride=4 << index, side=56 >> index,
                    channels=variant.widths[index], heads=variant.heads[index], groups=variant.groups[index],
                    kernels=variant.kernels[index], pool=pool,
                )  # fmt: skip


def cuts_flops(imgszs: Sequence[int] = (640, 128), pools: Sequence[int] = POOLS) -> Finding:
    """Check that every pool above 1 has fewer MACs than pool 1, in the whole attention and in its products."""
    counted = {stage: count(stage) for stage in stages(imgszs, pools)}
    full = {stage: counted[replace(stage, pool=1)] for stage in counted}
    pooled = [stage for stage in counted if stage.pool > 1]
    fewer = [
        stage
        for stage in pooled
        if counted[stage].macs < full[stage].macs and counted[stage].product_macs < full[stage].product_macs
    ]
    shares = [counted[stage].macs / full[stage].macs for stage in pooled]
    unpooled = len({replace(stage, pool=1) for stage in counted} - {replace(stage, pool=1) for stage in pooled})
    return Finding(
        verdict=judge(len(fewer) == len(pooled) > 0),
        sentence=(
            f"{len(fewer)} of {len(pooled)} pooled attentions have fewer MACs than with full K and V: "
            f"{min(shares):.0%} to {max(shares):.0%} of them, depending on stage, image size and pool; "
            f"{unpooled} stages (CloFormer's last) pool nothing."
        ),
        figures=(
            Figure(name="pooled attentions", value=len(pooled)),
            Figure(name="of them with fewer MACs", value=len(fewer)),
            Figure(name="least share of the MACs left", value=min(shares)),
            Figure(name="greatest share of the MACs left", value=max(shares)),
        ),
        rows=tuple(_row(stage, counted[stage], full[stage]) for stage in counted),
        caption="MACs of one Clo attention, local branch included, and of its attention products; batch 1.",
    )


def cuts_params(pools: Sequence[int] = POOLS, build: Build | None = None) -> Finding:
    """Check that pooling has fewer parameters than full K and V, at the width of each stage of the detector."""
    build = build or (lambda channels, pool: CloAttention(channels, 8, [4, 4], [5], pool))
    rows: list[dict[str, Cell]] = []
    for channels in DETECTOR_WIDTHS.values():
        params = {pool: _params(build(channels, pool)) for pool in pools}
        rows.append({"channels": channels, **{f"pool {pool}": number for pool, number in params.items()}})
    saved = [int(row[f"pool {pools[0]}"] or 0) - int(row[f"pool {pool}"] or 0) for row in rows for pool in pools[1:]]
    tokens = (80 // max(pools)) ** 2
    return Finding(
        verdict=judge(min(saved) > 0),
        sentence=(
            f"Pooling removes {min(saved):,} to {max(saved):,} parameters; "
            f"what it cuts is tokens, at P3 of a 640-pixel image from 6,400 to {tokens:,} with pool {max(pools)}."
            if max(saved)
            else f"Pooling removes no parameter at any width or pool; what it cuts is tokens, at P3 of a 640-pixel "
            f"image from 6,400 to {tokens:,} with pool {max(pools)}."
        ),
        figures=(
            Figure(name="least number of parameters removed", value=min(saved)),
            Figure(name="greatest number of parameters removed", value=max(saved)),
        ),
        rows=tuple(rows),
        caption="Parameters of one Clo attention, by its channels and the side of the pool.",
    )


def keeps_global_field(
    sizes: Sequence[tuple[int, int]] = ((4, 4), (13, 9), (16, 16)),
    pools: Sequence[int] = POOLS,
    build: Build | None = None,
) -> Finding:
    """Check that a gradient leads from each output pixel to each input pixel, on maps of these heights and widths."""
    build = build or (lambda channels, pool: _seeded(channels, [2], [], pool))
    local = _seeded(WIDTH, [2, 0], [5], 1)
    rows: list[dict[str, Cell]] = []
    for size in sizes:
        reach = {pool: share_reached(build(WIDTH, pool), size) for pool in pools}
        map_size = f"{size[0]} × {size[1]}"
        rows.append(
            {"map": map_size, **{f"pool {p}": r for p, r in reach.items()}, "local": share_reached(local, size)}
        )
    shares = [float(row[f"pool {pool}"] or 0) for row in rows for pool in pools]
    heard = "all" if min(shares) == 1 else f"as few as {min(shares):.0%}"
    pairs = sum((height * width) ** 2 for height, width in sizes) * len(pools)
    return Finding(
        verdict=judge(min(shares) == 1),
        sentence=(
            f"A gradient reaches {heard} of the {pairs:,} pairs of an input and an output pixel, over pools of "
            f"{', '.join(map(str, pools))} pixels."
        ),
        figures=(Figure(name="least share of the pairs that a gradient reaches", value=min(shares)),),
        rows=tuple(rows),
        caption="Share of all pairs of an input and an output pixel with a gradient; beside it the local branch's.",
    )


def count(stage: Stage) -> Counted:
    """Count an attention at its place."""
    cost = module_cost(stage.attention(), (1, stage.channels, stage.side, stage.side))
    products = cost.macs - cost.by_operator["conv"]
    return Counted(params=cost.params, macs=cost.macs, product_macs=products)


def _seeded(channels: int, groups: list[int], kernels: list[int], pool: int) -> CloAttention:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return CloAttention(channels, 2, groups, kernels, pool)


def _params(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _row(stage: Stage, counted: Counted, full: Counted) -> dict[str, Cell]:
    return {
        "network": stage.network,
        "stride": stage.stride,
        "map": f"{stage.side} × {stage.side}",
        "channels": stage.channels,
        "pool": stage.pool,
        "MACs": counted.macs,
        "of full K and V": counted.macs / full.macs,
        "MACs of products": counted.product_macs,
        "of full K and V's": counted.product_macs / full.product_macs,
        "parameters": counted.params,
    }
