"""Every architecture's cost without building it: equal to fvcore's count of the built model."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from torch import nn

from harness.architecture import Architecture, FeedForward, Gate, Init, Kind, LocalGroup, Mode, Operator, Placement
from harness.blocks import CloAttention, CloBlock, RegisteredBlock, register_block
from harness.common.errors import UserError
from harness.cost.counts import model_cost, module_cost
from harness.cost.space_cost import AdditiveCost, block_cost, summarise_space
from harness.detectors import build, find_sites, insert, map_sizes, mode_channels, resolve_base
from harness.detectors.insert import block_row
from harness.space import SearchSpace, SpaceFile, load_space
from tests.cost.oracle import second_oracle

BLOCKS: dict[str, type[nn.Module]] = {layer.__name__: layer for layer in (CloAttention, CloBlock, RegisteredBlock)}
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
    counted = module_cost(BLOCKS[name](*arguments), (1, 32, *map_size))
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
    assert summary.size == len(everything)
    assert (summary.params_min, summary.params_max) == (
        min(p for p, _ in everything),
        max(p for p, _ in everything),
    )
    assert (summary.macs_min, summary.macs_max) == (
        min(m for _, m in everything),
        max(m for _, m in everything),
    )
    assert summary.macs_min <= summary.to_dict()["macs_q25"] <= summary.macs_median <= summary.macs_max


# --- Every kind, operator and mode ----------------------------------------------------------------

CLO = Placement(site="x", groups=(LocalGroup(5, 2),), global_heads=2, kv_pool=2, ffn_ratio=2.0)
VARIED = [
    *(replace(CLO, operator=operator) for operator in Operator),
    *(replace(CLO, gate=gate) for gate in Gate),
    replace(CLO, aggregate_qk=False),
    replace(CLO, aggregate_v=False),
    replace(CLO, aggregate_qk=False, aggregate_v=False),
    replace(CLO, ffn=FeedForward.PLAIN),
    replace(CLO, init=Init.OFFICIAL),
    replace(CLO, kind=Kind.BARE, operator=Operator.WINDOW),
    replace(CLO, operator=Operator.WINDOW, groups=(LocalGroup(3, 1), LocalGroup(9, 1))),
    replace(CLO, operator=Operator.NEIGHBOURHOOD, groups=(LocalGroup(3, 4),), global_heads=0),
    Placement(site="x", kind="se", options=(("reduction", 4),)),
    Placement(site="x", kind="se", init=Init.OFFICIAL),
    Placement(site="x", kind="cbam", options=(("reduction", 8), ("kernel_size", 3))),
]


@pytest.mark.parametrize("placement", VARIED, ids=lambda placement: placement.describe())
@pytest.mark.parametrize("map_size", [(7, 5), (1, 1), (8, 8)])
def test_every_block_costs_what_fvcore_and_torch_count(placement: Placement, map_size: tuple[int, int]) -> None:
    name, arguments = block_row(placement, 32)
    block = BLOCKS[name](*arguments)
    counted = module_cost(block, (1, 32, *map_size))
    assert block_cost(placement, 32, map_size) == (counted.params, counted.macs)
    assert counted.macs == second_oracle(block, 1, 32, *map_size)


def test_a_registered_block_without_a_formula_is_counted() -> None:
    @register_block("pointwise_of_a_test")
    def build_it(channels: int, depth: int = 1) -> nn.Module:
        return nn.Sequential(*(nn.Conv2d(channels, channels, 1) for _ in range(depth)))

    placement = Placement(site="x", kind="pointwise_of_a_test", options=(("depth", 3),))
    assert block_cost(placement, 8, (4, 6)) == (3 * 72 + 8, 3 * 64 * 24)  # and 8 layer scales
    official = replace(placement, init=Init.OFFICIAL)
    assert block_cost(official, 8, (4, 6)) == (3 * 72, 3 * 64 * 24)


def test_a_formula_that_is_not_the_count_is_refused() -> None:
    @register_block("wrong_of_a_test", cost=lambda channels, map_size: (channels, 7))
    def wrong(channels: int) -> nn.Module:
        return nn.Conv2d(channels, channels, 1)

    @register_block("failing_of_a_test", cost=lambda channels, map_size: (1 // 0, 0))
    def failing(channels: int) -> nn.Module:
        return nn.Conv2d(channels, channels, 1)

    with pytest.raises(UserError, match=r"'wrong_of_a_test' gives 8 param.* and 7 MACs .*built block has 72 and 256"):
        block_cost(Placement(site="x", kind="wrong_of_a_test"), 8, (2, 2))
    with pytest.raises(UserError, match="'failing_of_a_test': ZeroDivisionError"):
        block_cost(Placement(site="x", kind="failing_of_a_test"), 8, (2, 2))


@pytest.mark.parametrize(("base_name", "imgsz"), [("yolov8n", 96), ("yolo11n", 64)])
def test_cost_in_every_mode_equals_fvcore_on_the_built_model(base_name: str, imgsz: int) -> None:
    base = resolve_base(base_name)
    sites = find_sites(base)
    cost = AdditiveCost.of_base(base, sites, classes=10, imgsz=imgsz)
    rng = random.Random(2)
    seen = set()
    for _ in range(6):
        placements = []
        for site in rng.sample(list(sites.values()), 3):
            mode = rng.choice(site.modes)
            seen.add(mode)
            placements.append(replace(rng.choice(VARIED), site=site.name, mode=mode))
        architecture = Architecture(base=base_name, placements=tuple(placements))
        counted = model_cost(build(insert(base, architecture, sites=sites, classes=10)), imgsz)
        assert cost.of(architecture) == (counted.params, counted.macs), architecture.describe()
    assert seen == set(Mode)


@pytest.mark.parametrize("required", [(), ("neck.P3",), ("backbone.P4", "backbone.P5")])
def test_extremes_know_that_a_replacement_can_be_cheaper(required: tuple[str, ...]) -> None:
    base = resolve_base("yolov5n")
    sites = find_sites(base)
    file = SpaceFile.model_validate(
        {
            "name": "cheaper",
            "sites": ["backbone.P4", "backbone.P5", "neck.P3"],
            "max_blocks": 2,
            "placement": {"kind": ["se"], "mode": ["after", "replace"], "options": {"se": {"reduction": [4, 16]}}},
        }
    )
    space = SearchSpace(
        file, base="yolov5n", channels=mode_channels(sites), maps=map_sizes(sites, 128), required=required
    )
    cost = AdditiveCost.of_base(base, sites, classes=10, imgsz=128)
    summary = summarise_space(space, cost)
    everything = [cost.of(architecture) for architecture in space.enumerate()]
    assert summary.params_min == min(p for p, _ in everything) < cost.base.params
    assert summary.params_max == max(p for p, _ in everything)
    assert summary.macs_min == min(m for _, m in everything)
    assert summary.macs_max == max(m for _, m in everything)
