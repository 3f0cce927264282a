from __future__ import annotations

import random
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.architecture import Architecture
from harness.common.errors import UserError
from harness.cost.counts import model_cost
from harness.cost.space_cost import AdditiveCost, CostTable
from harness.detectors import build, find_sites, insert, map_sizes, mode_channels, resolve_base
from harness.space import SearchSpace, load_space
from harness.space.table import SpaceTable
from tests.detectors.everywhere import placement

CLASSES = 10
CASES = [
    ("yolov5n", "default", 64),
    ("yolov8n", "inside", 128),
    ("yolo26n", "operators", 320),
    ("cloformer-xxs", "default", 96),
]


@cache
def table_of(base_name: str, space_name: str, imgsz: int) -> tuple[CostTable, AdditiveCost]:
    base = resolve_base(base_name)
    sites = find_sites(base)
    space = SearchSpace(
        load_space(space_name), base=base_name, channels=mode_channels(sites), maps=map_sizes(sites, imgsz)
    )
    cost = AdditiveCost.of_base(base, sites, classes=CLASSES, imgsz=imgsz)
    return CostTable(space, cost), cost


@pytest.fixture
def small() -> CostTable:
    return table_of("yolov5n", "small", 64)[0]


@pytest.mark.parametrize(("base", "space", "imgsz"), CASES)
def test_hundreds_of_architectures_cost_what_they_cost_one_by_one(base: str, space: str, imgsz: int) -> None:
    table, cost = table_of(base, space, imgsz)
    rng = random.Random(3)
    architectures = [table.space.draw(rng) for _ in range(300)]
    costs = table.of(np.stack([table.indices(architecture) for architecture in architectures]))
    assert costs.shape == (300, 2) and costs.dtype == np.int64
    assert [tuple(row) for row in costs.tolist()] == [cost.of(architecture) for architecture in architectures]


@pytest.mark.slow
@pytest.mark.parametrize(("base_name", "space", "imgsz"), CASES)
def test_six_of_each_cost_what_fvcore_counts_on_the_built_model(base_name: str, space: str, imgsz: int) -> None:
    table, cost = table_of(base_name, space, imgsz)
    base = resolve_base(base_name)
    numbers = table.draw(6, np.random.default_rng(4))
    for row, (params, macs) in zip(numbers, table.of(numbers), strict=True):
        architecture = table.architecture(row)
        config = insert(base, architecture, sites=dict(cost.sites), classes=CLASSES)
        counted = model_cost(build(config), imgsz)
        assert (params, macs) == (counted.params, counted.macs), architecture.describe()


def test_a_whole_space_in_one_call_has_the_costs_of_its_enumeration(small: CostTable) -> None:
    _, cost = table_of("yolov5n", "small", 64)
    everything = list(small.space.enumerate())
    costs = small.of(np.stack([small.indices(architecture) for architecture in everything]))
    assert len({tuple(small.indices(architecture)) for architecture in everything}) == small.space.size
    assert [small.indices(architecture).tolist() for architecture in everything] == small.everything().tolist()
    assert [tuple(row) for row in costs.tolist()] == [cost.of(architecture) for architecture in everything]


def test_no_block_costs_the_base(small: CostTable) -> None:
    nothing = np.zeros((1, len(small.space.sites)), dtype=np.int64)
    assert small.of(nothing).tolist() == [small.base.tolist()]
    assert small.architecture(nothing[0]).is_baseline
    assert small.of(nothing[:0]).shape == (0, 2)


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_numbers_and_architecture_lead_to_each_other(data: st.DataObject) -> None:
    table, _ = table_of("yolov5n", "default", 64)
    numbers = [data.draw(st.integers(0, int(choices))) for choices in table.choices]
    assert table.indices(table.architecture(np.array(numbers))).tolist() == numbers


def test_drawn_architectures_have_one_to_the_most_blocks_all_equally_often(small: CostTable) -> None:
    most = min(small.space.file.max_blocks, len(small.space.sites))
    numbers = small.draw(30_000, np.random.default_rng(5))
    blocks = np.bincount((numbers > 0).sum(axis=1), minlength=most + 1)
    assert blocks[0] == 0 and len(blocks) == most + 1
    assert blocks[1:] / 30_000 == pytest.approx(np.full(most, 1 / most), abs=0.02)
    assert np.array_equal(numbers, small.draw(30_000, np.random.default_rng(5)))
    assert (numbers <= small.choices).all() and (numbers.max(axis=0) == small.choices).all()


def test_draws_have_a_block_at_every_required_site() -> None:
    whole = table_of("yolov5n", "default", 64)[0].space
    sites = find_sites(resolve_base("yolov5n"))
    space = SearchSpace(
        whole.file, base="yolov5n", channels=mode_channels(sites), maps=whole.maps,
        required=("neck.P3",), forbidden=("neck.P5",),
    )  # fmt: skip
    table = SpaceTable(space)
    numbers = table.draw(30_000, np.random.default_rng(5))
    has_block = numbers > 0
    blocks = np.bincount(has_block.sum(axis=1))
    assert blocks[1:] / 30_000 == pytest.approx(np.full(3, 1 / 3), abs=0.02)
    # The required one always; the 1 block more on average goes to each of the 6 other sites equally often.
    shares = dict(zip(space.sites, has_block.mean(axis=0), strict=True))
    assert "neck.P5" not in shares
    assert shares.pop("neck.P3") == 1
    assert list(shares.values()) == pytest.approx([1 / 6] * 6, abs=0.01)
    assert all(space.holds(table.architecture(row)) for row in numbers[:50])


# --- Bad input ------------------------------------------------------------------------------------


def test_numbers_that_are_none_of_the_space_are_refused(small: CostTable) -> None:
    sites = len(small.space.sites)
    for shape in ((sites,), (2, sites + 1)):
        with pytest.raises(ValueError, match=rf"whole numbers of shape \(N, {sites}\)"):
            small.of(np.zeros(shape, dtype=np.int64))
    with pytest.raises(ValueError, match="indices are float64"):
        small.of(np.zeros((2, sites)))  # type: ignore[arg-type]
    for wrong in (-1, int(small.choices[1]) + 1):
        numbers = np.zeros((3, sites), dtype=np.int64)
        numbers[2, 1] = wrong
        with pytest.raises(ValueError, match=f"row 2 names placement {wrong} at {small.space.sites[1]}"):
            small.of(numbers)


def test_a_placement_that_the_space_lacks_is_refused(small: CostTable) -> None:
    for site in ("neck.P9", small.space.sites[0]):
        with pytest.raises(UserError, match="space 'small' has no placement"):
            small.indices(Architecture(base="yolov5n", placements=(placement(site),)))


def test_a_cost_of_another_base_is_refused() -> None:
    table, _ = table_of("yolov5n", "default", 64)
    _, other = table_of("cloformer-xxs", "default", 96)
    lacking = AdditiveCost(base=other.base, sites={}, imgsz=64)
    with pytest.raises(UserError, match="no cost is known at"):
        CostTable(table.space, lacking)
