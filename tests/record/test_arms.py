from __future__ import annotations

from dataclasses import replace

import pytest

from harness.architecture import BASELINE, Architecture
from harness.architecture.choices import FeedForward, Gate, Init, Kind, LocalGroup, Mode, Operator, Size
from harness.architecture.placement import Placement
from harness.common.errors import UserError
from harness.record.arms import LEVELS, Arm, Factor, Role, Wanted, make_arms

P3 = Placement(site="neck.P3", groups=(LocalGroup(5, 4),), global_heads=4, kv_pool=4)
P4 = replace(P3, site="neck.P4")
MODEL = Architecture(base="yolov5n", placements=(P3, P4))
MAPS = {"neck.P3": (16, 16), "neck.P4": (8, 8)}


def arms_of(wanted: Wanted, model: Architecture = MODEL) -> dict[str, Arm]:
    arms, _ = make_arms({"model": model}, wanted, MAPS)
    return {arm.name: arm for arm in arms}


def only(factors: dict[Factor, tuple[str | int, ...]], *, demanded: bool = False) -> Wanted:
    return Wanted(without=False, factors=factors, controls=(), placebos=(), demanded=demanded)


def changed(factor: Factor, level: str | int, model: Architecture = MODEL) -> tuple[Placement, ...]:
    return arms_of(only({factor: (level,)}), model)[f"model: {factor} {level}"].architecture.placements


def test_the_baseline_comes_first_and_the_model_second() -> None:
    arms, _ = make_arms({"model": MODEL}, only({}), MAPS)
    assert [(arm.name, arm.role) for arm in arms] == [(BASELINE, Role.BASELINE), ("model", Role.MODEL)]
    assert arms[0].architecture.is_baseline


def test_each_block_is_left_out_once() -> None:
    arms = arms_of(Wanted(factors={}, controls=(), placebos=()))
    assert arms["model: without neck.P3"].architecture.placements == (P4,)
    assert arms["model: without neck.P4"].architecture.placements == (P3,)


def test_a_model_of_one_block_has_no_arm_without_it() -> None:
    arms = arms_of(Wanted(factors={}, controls=(), placebos=()), Architecture(base="yolov5n", placements=(P3,)))
    assert list(arms) == [BASELINE, "model"], "without its only block it is the baseline, which is there"


@pytest.mark.parametrize(
    ("factor", "level", "change"),
    [
        (Factor.OPERATOR, "conv", {"operator": Operator.CONV}),
        (Factor.GATE, "tanh", {"gate": Gate.TANH}),
        (Factor.AGGREGATION, "no_qk", {"aggregate_qk": False}),
        (Factor.AGGREGATION, "no_v", {"aggregate_v": False}),
        (Factor.BRANCHES, "local", {"groups": (LocalGroup(5, 8),), "global_heads": 0}),
        (Factor.BRANCHES, "global", {"groups": (), "global_heads": 8}),
        (Factor.GLOBAL_HEADS, 2, {"groups": (LocalGroup(5, 6),), "global_heads": 2}),
        (Factor.KV_POOL, 1, {"kv_pool": 1}),
        (Factor.KERNEL, 9, {"groups": (LocalGroup(9, 4),)}),
        (Factor.FFN, "plain", {"ffn": FeedForward.PLAIN}),
        (Factor.FFN, "none", {"kind": Kind.ATTENTION}),
        (Factor.START, "official", {"init": Init.OFFICIAL}),
        (Factor.START, "bare", {"kind": Kind.BARE}),
    ],
)
def test_a_factor_changes_one_thing_in_every_block(factor: Factor, level: str | int, change: dict[str, object]) -> None:
    assert changed(factor, level) == tuple(replace(block, **change) for block in (P3, P4))  # type: ignore[arg-type]


def test_local_groups_share_the_heads_that_are_left_to_them() -> None:
    two = replace(P3, groups=(LocalGroup(3, 2), LocalGroup(7, 2)))
    (block,) = changed(Factor.GLOBAL_HEADS, 3, Architecture(base="yolov5n", placements=(two,)))
    assert (block.groups, block.global_heads) == ((LocalGroup(3, 3), LocalGroup(7, 2)), 3)
    (block,) = changed(Factor.GLOBAL_HEADS, 7, Architecture(base="yolov5n", placements=(two,)))
    assert (block.groups, block.global_heads) == ((LocalGroup(3, 1),), 7), "one head makes one group"


def test_every_level_that_all_stands_for_can_be_made() -> None:
    arms = arms_of(only(dict(LEVELS)))
    names = {f"model: {factor} {level}" for factor, levels in LEVELS.items() for level in levels}
    assert set(arms) == {BASELINE, "model", *names}
    assert len({arm.identity for arm in arms.values()}) == len(arms)


def test_other_blocks_take_the_same_places() -> None:
    arm = arms_of(Wanted(without=False, factors={}, placebos=()))["model: se"]
    assert [(p.site, p.kind) for p in arm.architecture.placements] == [("neck.P3", "se"), ("neck.P4", "se")]
    assert arm.role is Role.CONTROL


def test_a_placebo_is_the_base_with_an_identity_of_its_own() -> None:
    arms = arms_of(Wanted(without=False, factors={}, controls=()))
    placebos = [arm for arm in arms.values() if arm.role is Role.PLACEBO]
    assert [arm.placebo for arm in placebos] == [Size.PARAMS, Size.MACS]
    assert all(arm.architecture.is_baseline for arm in placebos)
    assert len({BASELINE, *(arm.identity for arm in placebos)}) == 3


def test_an_arm_that_computes_what_another_does_is_left_out_and_said() -> None:
    arms, said = make_arms({"model": MODEL}, only({Factor.KV_POOL: (4, 16, 32)}), MAPS)
    assert [arm.name for arm in arms] == [BASELINE, "model", "model: kv_pool 16"]
    assert said == [
        "'model: kv_pool 4' is left out: it computes what 'model' does",
        "'model: kv_pool 32' is left out: it computes what 'model: kv_pool 16' does",
    ]


def test_a_demanded_arm_that_makes_no_difference_is_an_error() -> None:
    with pytest.raises(UserError, match=r"arm 'model: gate swish_tanh' makes no difference to model; leave it out"):
        make_arms({"model": MODEL}, only({Factor.GATE: ("swish_tanh",)}, demanded=True), MAPS)


def test_a_model_without_a_difference_to_the_base_or_to_another_is_an_error() -> None:
    with pytest.raises(UserError, match="model bare makes no difference to baseline"):
        make_arms({"bare": Architecture(base="yolov5n")}, only({}), MAPS)
    with pytest.raises(UserError, match="model b makes no difference to a"):
        make_arms({"a": MODEL, "b": MODEL}, only({}), MAPS)


@pytest.mark.parametrize(
    ("factor", "level"),
    [(Factor.GATE, "relu"), (Factor.KERNEL, 4), (Factor.KERNEL, "x"), (Factor.GLOBAL_HEADS, -1), (Factor.FFN, "big")],
)
def test_an_unknown_level_is_named_with_what_would_be_right(factor: Factor, level: str | int) -> None:
    with pytest.raises(UserError, match=rf"factor {factor}: '{level}' is none of its levels, such as "):
        make_arms({"model": MODEL}, only({factor: (level,)}), MAPS)


def test_only_what_starts_as_the_base_says_so() -> None:
    arms = arms_of(Wanted(without=False, factors={Factor.START: ("official", "bare"), Factor.GATE: ("none",)}))
    elsewhere = {name for name, arm in arms.items() if not arm.starts_as_base}
    assert elsewhere == {"model: start official", "model: start bare"}
    replaced = Architecture(base="yolov5n", placements=(replace(P3, mode=Mode.REPLACE),))
    assert not arms_of(only({}), replaced)["model"].starts_as_base
