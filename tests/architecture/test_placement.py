"""Every choice of a placement: which ones are idle, how it is written, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.architecture import FeedForward, Gate, Init, Kind, LocalGroup, Mode, Operator, Placement
from harness.blocks.operators import GATES, LOCAL_OPERATORS
from harness.common.errors import UserError

MAP = (8, 6)
LOCAL = Placement(site="neck.P4", groups=(LocalGroup(5, 2),), global_heads=2, kv_pool=2)
CONV = replace(LOCAL, operator=Operator.CONV)
GLOBAL = Placement(site="neck.P4", global_heads=4)
WHOLE_TILE = Placement(site="neck.P4", operator=Operator.WINDOW, groups=(LocalGroup(9, 2),))
SE = Placement(site="neck.P4", kind="se", options=(("reduction", 4),))


def same(a: Placement, b: Placement) -> bool:
    return a.canonical(MAP) == b.canonical(MAP)


def test_operators_and_gates_are_those_that_the_blocks_know() -> None:
    assert set(Operator) == set(LOCAL_OPERATORS)
    assert set(Gate) == set(GATES)


@pytest.mark.parametrize(
    ("placement", "change"),
    [
        (GLOBAL, {"operator": Operator.WINDOW}),
        (GLOBAL, {"gate": Gate.TANH}),
        (CONV, {"gate": Gate.TANH}),
        (CONV, {"aggregate_qk": False}),
        (CONV, {"aggregate_v": False}),
        (replace(LOCAL, kind=Kind.ATTENTION), {"ffn": FeedForward.PLAIN}),
        (replace(LOCAL, ffn=FeedForward.PLAIN), {"ffn_kernel": 9}),
        (replace(LOCAL, kind=Kind.BARE), {"init": Init.OFFICIAL}),
        (replace(LOCAL, operator=Operator.WINDOW, groups=(LocalGroup(9, 2),)), {"groups": (LocalGroup(11, 2),)}),
        (replace(LOCAL, aggregate_qk=False, aggregate_v=False), {"groups": (LocalGroup(9, 2),)}),
        (replace(CONV, global_heads=0), {"groups": (LocalGroup(5, 8),)}),
        (replace(CONV, groups=(LocalGroup(5, 1), LocalGroup(5, 1))), {"groups": (LocalGroup(5, 2),)}),
        (WHOLE_TILE, {"operator": Operator.ATTNCONV, "groups": (), "global_heads": 2, "kv_pool": 1}),
        (replace(WHOLE_TILE, global_heads=2, kv_pool=1), {"groups": (LocalGroup(9, 1),), "global_heads": 3}),
        (SE, {"kind": "/where/ever/blocks.py:se"}),
        (SE, {"global_heads": 4}),
    ],
)
def test_an_idle_choice_is_no_difference(placement: Placement, change: dict[str, object]) -> None:
    assert same(placement, replace(placement, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("placement", "change"),
    [
        *((LOCAL, {"operator": operator}) for operator in Operator if operator is not Operator.ATTNCONV),
        *((LOCAL, {"gate": gate}) for gate in Gate if gate is not Gate.SWISH_TANH),
        (LOCAL, {"aggregate_qk": False}),
        (LOCAL, {"aggregate_v": False}),
        (LOCAL, {"ffn": FeedForward.PLAIN}),
        (LOCAL, {"init": Init.OFFICIAL}),
        (LOCAL, {"kind": Kind.BARE}),
        (replace(LOCAL, aggregate_qk=False), {"groups": (LocalGroup(9, 2),)}),
        (replace(LOCAL, groups=(LocalGroup(5, 1), LocalGroup(5, 1))), {"groups": (LocalGroup(5, 2),)}),
        (CONV, {"groups": (LocalGroup(5, 4),), "global_heads": 4}),
        (replace(WHOLE_TILE, global_heads=2, kv_pool=2), {"groups": (), "global_heads": 4}),
        (LOCAL, {"mode": Mode.INSIDE}),
        (LOCAL, {"mode": Mode.REPLACE}),
        (replace(LOCAL, operator=Operator.WINDOW), {"groups": (LocalGroup(3, 2),)}),
        (replace(LOCAL, operator=Operator.NEIGHBOURHOOD, groups=(LocalGroup(9, 2),)), {"groups": (LocalGroup(11, 2),)}),
        (SE, {"options": (("reduction", 8),)}),
        (SE, {"kind": "cbam"}),
        (SE, {"init": Init.OFFICIAL}),
    ],
)
def test_every_other_choice_is_a_difference(placement: Placement, change: dict[str, object]) -> None:
    assert not same(placement, replace(placement, **change))  # type: ignore[arg-type]


placements = st.one_of(
    st.builds(
        Placement,
        site=st.just("neck.P4"),
        mode=st.sampled_from(Mode),
        kind=st.sampled_from(Kind),
        init=st.sampled_from(Init),
        groups=st.lists(
            st.builds(LocalGroup, kernel=st.sampled_from([3, 5]), heads=st.integers(1, 3)), min_size=1, max_size=2
        ).map(tuple),
        global_heads=st.integers(0, 3),
        kv_pool=st.integers(1, 8),
        operator=st.sampled_from(Operator),
        gate=st.sampled_from(Gate),
        aggregate_qk=st.booleans(),
        aggregate_v=st.booleans(),
        ffn=st.sampled_from(FeedForward),
        ffn_ratio=st.sampled_from([0.5, 2.0, 4.0]),
        ffn_kernel=st.sampled_from([3, 5]),
    ),
    st.builds(
        Placement,
        site=st.just("neck.P4"),
        mode=st.sampled_from(Mode),
        kind=st.sampled_from(["se", "cbam", "a/b.py:mine"]),
        init=st.sampled_from(Init),
        options=st.sampled_from([(), (("reduction", 4),), (("a", True), ("b", "x"))]),
    ),
)


@given(placements)
def test_what_is_written_is_read_again(placement: Placement) -> None:
    again = Placement.from_dict(placement.to_dict())
    assert again.canonical(MAP) == placement.canonical(MAP)
    assert again.canonical(MAP).to_dict() == placement.canonical(MAP).to_dict()


def test_a_placement_of_before_the_new_fields_is_written_as_it_was() -> None:
    """The identity is a hash of this: records of earlier studies keep theirs."""
    assert LOCAL.to_dict() == {
        "site": "neck.P4",
        "kind": "block",
        "groups": [[5, 2]],
        "global_heads": 2,
        "kv_pool": 2,
        "ffn_ratio": 4.0,
        "ffn_kernel": 5,
    }


def test_a_relative_file_of_a_block_lies_beside_what_names_it(tmp_path: Path) -> None:
    data = {"site": "neck.P4", "kind": "blocks/mine.py:mine"}
    placement = Placement.from_dict(data, tmp_path)
    assert placement.block_file == str(tmp_path / "blocks" / "mine.py")
    assert placement.block_name == "mine"
    assert Placement.from_dict(data).block_file == "blocks/mine.py"


@pytest.mark.parametrize(
    ("placement", "text"),
    [
        (LOCAL, "neck.P4 block: 2×k5 local + 2 global (KV pool 2)"),
        (replace(LOCAL, mode=Mode.INSIDE), "neck.P4 inside block: 2×k5 local + 2 global (KV pool 2)"),
        (
            replace(LOCAL, operator=Operator.CONV, ffn=FeedForward.PLAIN),
            "neck.P4 block: 2×k5 conv + 2 global (KV pool 2), plain FFN",
        ),
        (
            replace(LOCAL, gate=Gate.TANH, aggregate_qk=False, aggregate_v=False, init=Init.OFFICIAL),
            "neck.P4 block: 2×k5 local + 2 global (KV pool 2), gate tanh, Q/K not aggregated, V not aggregated, "
            "official initialisation",
        ),
        (SE, "neck.P4 se: reduction 4"),
        (Placement(site="neck.P4", kind="a/b.py:mine"), "neck.P4 mine"),
    ],
)
def test_a_line_for_people_names_what_differs_from_the_usual(placement: Placement, text: str) -> None:
    assert placement.describe() == text


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (
            {"site": "s", "global_heads": 1, "mode": "before"},
            r"mode: expected one of 'after', 'inside' or 'replace', not 'before'",
        ),
        (
            {"site": "s", "global_heads": 1, "operator": "swin"},
            "operator: expected one of 'conv', 'neighbourhood', 'window' or 'attnconv'",
        ),
        (
            {"site": "s", "global_heads": 1, "gate": "relu"},
            "gate: expected one of 'swish_tanh', 'tanh', 'sigmoid', 'softmax' or 'none'",
        ),
        ({"site": "s", "global_heads": 1, "options": {"a": 1}}, "options are a registered block's; kind block"),
        ({"site": "s", "kind": "a b"}, "kind 'a b' is none of attention, block, bare"),
        ({"global_heads": 1}, "site is missing"),
        ({"site": "s", "groups": [[3.7, 4]]}, r"groups\[0\].kernel: expected a whole number, not 3.7"),
        ({"site": "s", "groups": [3, 4]}, r"each of its groups is \[kernel, heads\]"),
        ({"site": "s", "global_heads": 1.5}, "global_heads: expected a whole number"),
        ({"site": "s", "global_heads": 1, "kv_pool": 2.5}, "kv_pool: expected a whole number"),
        ({"site": "s", "global_heads": 1, "aggregate_qk": "no"}, "aggregate_qk: expected true or false"),
        ({"site": "s", "global_heads": 1, "ffn_ratio": float("nan")}, "ffn_ratio is nan; it is above 0"),
        ({"site": "s", "global_heads": 1, "ffn_kernel": 4}, "ffn_kernel is 4; it is odd and positive"),
    ],
)
def test_what_is_no_placement_is_refused(data: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Placement.from_dict(data)


def test_unknown_keys_of_any_kind_are_named() -> None:
    with pytest.raises(UserError, match="unknown key '0'"):
        Placement.from_dict({"site": "neck.P4", 0: 1, "x": 2, 2.5: 3, None: 4})  # type: ignore[dict-item]
