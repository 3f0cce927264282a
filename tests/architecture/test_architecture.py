"""One function, one identity; and nothing that is not an architecture gets in."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.architecture import BASELINE, Architecture, Kind, LocalGroup, Placement
from harness.common.errors import UserError

MAPS = {"neck.P3": (16, 16), "neck.P5": (4, 4)}
SPLIT = Placement(site="neck.P5", groups=(LocalGroup(5, 2),), global_heads=2, kv_pool=2)


def identity(*placements: Placement) -> str:
    return Architecture(base="yolov5n", placements=placements).identity(MAPS)


def test_no_placement_is_the_baseline() -> None:
    assert identity() == BASELINE
    assert Architecture(base="yolov5n").is_baseline


def test_the_order_of_placements_is_no_difference() -> None:
    other = replace(SPLIT, site="neck.P3")
    assert identity(SPLIT, other) == identity(other, SPLIT)


def test_a_kv_pool_without_global_heads_is_no_difference() -> None:
    local = Placement(site="neck.P5", groups=(LocalGroup(5, 4),), kv_pool=1)
    assert identity(local) == identity(replace(local, kv_pool=8))


def test_two_pools_that_both_leave_one_token_are_no_difference() -> None:
    assert identity(replace(SPLIT, kv_pool=4)) == identity(replace(SPLIT, kv_pool=8))
    assert identity(replace(SPLIT, kv_pool=2)) != identity(replace(SPLIT, kv_pool=4))
    at_p3 = replace(SPLIT, site="neck.P3")
    assert identity(replace(at_p3, kv_pool=4)) != identity(replace(at_p3, kv_pool=8))


def test_the_feed_forward_shape_of_attention_alone_is_no_difference() -> None:
    attention = replace(SPLIT, kind=Kind.ATTENTION)
    assert identity(replace(attention, ffn_ratio=2.0)) == identity(replace(attention, ffn_ratio=4.0))
    assert identity(replace(SPLIT, ffn_ratio=2.0)) != identity(replace(SPLIT, ffn_ratio=4.0))


@pytest.mark.parametrize(
    "other",
    [
        replace(SPLIT, kind=Kind.ATTENTION),
        replace(SPLIT, site="neck.P3"),
        replace(SPLIT, groups=(LocalGroup(7, 2),)),
        replace(SPLIT, groups=(LocalGroup(5, 1),), global_heads=3),
        replace(SPLIT, groups=(LocalGroup(5, 4),), global_heads=4),
        replace(SPLIT, kv_pool=1),
    ],
)
def test_every_choice_that_matters_is_a_difference(other: Placement) -> None:
    assert identity(SPLIT) != identity(other)


def test_official_names_of_the_split() -> None:
    assert (SPLIT.heads, SPLIT.group_split, SPLIT.kernel_sizes) == (4, [2, 2], [5])


@given(
    kind=st.sampled_from(Kind),
    kernel=st.sampled_from([3, 5, 7, 9]),
    local=st.integers(0, 4),
    others=st.integers(0, 4),
    pool=st.integers(1, 8),
)
def test_what_is_written_is_read_again(kind: Kind, kernel: int, local: int, others: int, pool: int) -> None:
    groups = (LocalGroup(kernel, local),) if local else ()
    if not local and not others:
        with pytest.raises(UserError, match="at least one head"):
            Placement(site="neck.P3", kind=kind, groups=groups, global_heads=others, kv_pool=pool)
        return
    placement = Placement(site="neck.P3", kind=kind, groups=groups, global_heads=others, kv_pool=pool)
    architecture = Architecture(base="yolov5n", placements=(placement,))
    again = Architecture.from_dict(architecture.to_dict())
    assert again.identity(MAPS) == architecture.identity(MAPS)
    assert again.canonical(MAPS) == architecture.canonical(MAPS)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"placements": []}, "'base'"),
        ({"base": "yolov5n", "placements": ["neck.P3"]}, "'placements' .a list of mappings."),
        ({"base": "yolov5n", "placements": [{"site": "neck.P3", "colour": 1}]}, "unknown key 'colour'"),
        ({"base": "yolov5n", "placements": [{"site": "neck.P3", "groups": [[4, 2]]}]}, "kernel 4"),
        ({"base": "yolov5n", "placements": [{"site": "neck.P3", "kind": "both of them"}]}, "both of them"),
        (
            {"base": "yolov5n", "placements": [{"site": "neck.P3", "global_heads": 1, "kv_pool": 0}]},
            "kv_pool is 0",
        ),
        (
            {"base": "b", "placements": [{"site": "s", "global_heads": 1}, {"site": "s", "global_heads": 2}]},
            "twice",
        ),
    ],
)
def test_what_is_no_architecture_is_refused_by_name(data: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Architecture.from_dict(data)
