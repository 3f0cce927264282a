"""Every architecture's cost without building it: equal to fvcore's count of the built model."""

from __future__ import annotations

import random

import pytest

from harness.architecture import Architecture, Kind, LocalGroup, Placement
from harness.blocks import CloAttention, CloBlock
from harness.detectors import build, find_sites, insert, map_sizes, mode_channels, resolve_base
from harness.detectors.insert import block_row
from harness.measure.cost import model_cost, module_cost
from harness.search.space_cost import AdditiveCost, block_cost, summarise_space
from harness.space import SearchSpace, load_space

SHAPES = [
    Placement(site="x", kind=kind, groups=groups, global_heads=heads, kv_pool=pool, ffn_ratio=2.0, ffn_kernel=3)
    for kind in Kind
    for groups, heads, pool in [
        ((LocalGroup(5, 4),), 0, 1),
        ((), 4, 3),
        ((LocalGroup(3, 1), LocalGroup(9, 1)), 2, 2),
        ((LocalGroup(7, 3),), 1, 16),
    ]
]


@pytest.mark.parametrize("placement", SHAPES, ids=lambda placement: placement.describe())
@pytest.mark.parametrize("map_size", [(7, 5), (1, 1), (8, 8)])
def test_closed_form_of_a_block_equals_fvcore(placement: Placement, map_size: tuple[int, int]) -> None:
    name, arguments = block_row(placement, 32)
    block = {"CloAttention": CloAttention, "CloBlock": CloBlock}[name](*arguments)
    counted = module_cost(block, (1, 32, *map_size))
    assert block_cost(placement, 32, map_size) == (counted.params, counted.macs)


@pytest.mark.parametrize(("base_name", "imgsz"), [("yolov5n", 96), ("yolov8n", 160)])
def test_cost_of_random_architectures_equals_fvcore_on_the_built_model(base_name: str, imgsz: int) -> None:
    base = resolve_base(base_name)
    sites = find_sites(base)
    space = SearchSpace(
        load_space("default"),
        base=base_name,
        channels=mode_channels(sites),
        maps=map_sizes(sites, imgsz),
    )
    cost = AdditiveCost.of_base(base, sites, classes=10, imgsz=imgsz)
    rng = random.Random(1)
    for _ in range(4):
        architecture = space.draw(rng)
        counted = model_cost(build(insert(base, architecture, sites=sites, classes=10)), imgsz)
        assert cost.of(architecture) == (counted.params, counted.macs)
    assert cost.of(Architecture(base=base_name)) == (cost.base.params, cost.base.macs)


def test_extremes_of_the_summary_are_those_of_the_whole_space() -> None:
    base = resolve_base("yolov5n")
    sites = find_sites(base)
    space = SearchSpace(
        load_space("small"),
        base="yolov5n",
        channels=mode_channels(sites),
        maps=map_sizes(sites, 128),
    )
    cost = AdditiveCost.of_base(base, sites, classes=10, imgsz=128)
    summary = summarise_space(space, cost)
    everything = [cost.of(architecture) for architecture in space.enumerate()]
    assert summary["size"] == len(everything)
    assert (summary["params_min"], summary["params_max"]) == (
        min(p for p, _ in everything),
        max(p for p, _ in everything),
    )
    assert (summary["macs_min"], summary["macs_max"]) == (
        min(m for _, m in everything),
        max(m for _, m in everything),
    )
    assert summary["macs_min"] <= summary["macs_q25"] <= summary["macs_median"] <= summary["macs_max"]
