"""What is within the bounds on cost: the same as trying every architecture, without trying them."""

from __future__ import annotations

import random
from functools import cache
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.common.errors import UserError
from harness.cost.space_cost import AdditiveCost
from harness.detectors import find_sites, map_sizes, mode_channels, resolve_base
from harness.record.constraints import Constraints
from harness.search.region import Region, feasible
from harness.space import SearchSpace, SpaceFile, load_space

IMGSZ = 64
TINY = SpaceFile.model_validate(
    {
        "name": "tiny",
        "sites": ["neck.P3", "neck.P4", "neck.P5"],
        "max_blocks": 2,
        "placement": {
            "kind": ["attention", "se"],
            "mode": ["after", "replace"],  # in place of a dearer layer: cheaper than the base
            "kernel": [3, 9],
            "kv_pool": [1, 2],
            "heads": [4],
            "local_share": [0.5],
        },
    }
)


@cache
def cost() -> AdditiveCost:
    base = resolve_base("yolov5n")
    return AdditiveCost.of_base(base, find_sites(base), classes=10, imgsz=IMGSZ)


@cache
def space_of(required: tuple[str, ...] = (), name: str = "") -> SearchSpace:
    sites = find_sites(resolve_base("yolov5n"))
    return SearchSpace(
        load_space(name) if name else TINY,
        base="yolov5n",
        channels=mode_channels(sites),
        maps=map_sizes(sites, IMGSZ),
        required=required,
    )


@cache
def costs_of_all(required: tuple[str, ...] = ()) -> dict[str, tuple[int, int]]:
    space = space_of(required)
    return {space.identity(each): cost().of(each) for each in space.enumerate()}


@st.composite
def bounds(draw: st.DrawFn) -> Constraints:
    """At, above or below what some architecture has; one bound or two."""
    some = sorted(costs_of_all().values())
    params, macs = draw(st.sampled_from(some))[0], draw(st.sampled_from(some))[1]
    which = draw(st.sampled_from(["params", "macs", "both"]))
    return Constraints(
        max_params=params + draw(st.integers(-1, 1)) if which != "macs" else None,
        max_macs=macs + draw(st.integers(-1, 1)) if which != "params" else None,
    )


@given(constraints=bounds(), required=st.sampled_from([(), ("neck.P4",), ("neck.P3", "neck.P5")]))
@settings(max_examples=60, deadline=None)
def test_a_walk_meets_what_is_within_once_and_nothing_else(constraints: Constraints, required: tuple[str, ...]) -> None:
    space = space_of(required)
    most_params, most_macs = constraints.max_params or np.inf, constraints.max_macs or np.inf
    inside = [
        name for name, (params, macs) in costs_of_all(required).items() if params <= most_params and macs <= most_macs
    ]
    if not inside:
        with pytest.raises(UserError, match="no candidate of space 'tiny' on yolov5n has at most"):
            Region(space, cost(), constraints)
        return
    region = Region(space, cost(), constraints)
    assert sorted(space.identity(each) for each in region.walk()) == sorted(inside)
    assert sorted(space.identity(each) for each in region.walk(random.Random(1))) == sorted(inside)
    assert region.summary() == {"feasible": len(inside), "feasible_share": len(inside) / space.size}


def test_many_are_checked_at_once_and_a_bound_is_within() -> None:
    costs = np.array([[10, 5], [11, 5], [10, 6], [11, 6]])
    assert feasible(costs, Constraints(max_params=10, max_macs=5)).tolist() == [True, False, False, False]
    assert feasible(costs, Constraints(max_macs=5)).tolist() == [True, True, False, False]
    assert feasible(costs, Constraints(max_latency_ratio=1.0)).all()


def test_the_excess_is_relative_to_the_bound() -> None:
    architecture = max(space_of().enumerate(), key=cost().of)
    params, macs = cost().of(architecture)
    region = Region(space_of(), cost(), Constraints(max_params=params / 1.25, max_macs=2 * macs))
    assert region.excess(architecture) == {"params": pytest.approx(0.25), "macs": 0.0}
    assert not region.holds(architecture)
    assert Region(space_of(), cost(), Constraints(max_params=params)).excess(architecture) == {"params": 0.0}


def test_the_rarest_of_half_a_billion_is_found() -> None:
    space = space_of(name="default")
    everywhere = Region(space, cost(), Constraints(max_params=1e12))
    least = min(cost().of(architecture)[0] for architecture in islice(space.enumerate(), 2000))
    region = Region(space, cost(), Constraints(max_params=least))
    found = list(region.walk())
    assert 0 < len(found) < 50
    assert all(cost().of(architecture)[0] <= least for architecture in found)
    assert everywhere.summary() == {"feasible": None, "feasible_share": 1.0}
    assert region.summary()["feasible_share"] < 1e-2


def test_an_empty_region_names_the_least_there_is() -> None:
    costs = np.array(list(costs_of_all().values()))
    least = costs.min(axis=0)
    with pytest.raises(UserError, match=rf"at most {least[0] - 1:,} parameters; the least is {least[0]:,}$"):
        Region(space_of(), cost(), Constraints(max_params=int(least[0]) - 1, max_macs=1e12))
    with pytest.raises(UserError, match=rf"at most {least[1] - 1:,} MACs; the least is {least[1]:,}$"):
        Region(space_of(), cost(), Constraints(max_macs=int(least[1]) - 1))


def test_bounds_that_only_together_leave_nothing_name_what_one_costs_in_the_other() -> None:
    small = space_of(name="small")
    costs = np.array([cost().of(architecture) for architecture in small.enumerate()])
    params = costs[:, 0].min()
    macs = costs[costs[:, 0] == params][:, 1].min()
    assert macs > costs[:, 1].min()  # the smallest block is not the cheapest
    with pytest.raises(UserError, match=rf"at once; with so few parameters the least MACs are {macs:,}$"):
        Region(small, cost(), Constraints(max_params=int(params), max_macs=int(macs) - 1))
