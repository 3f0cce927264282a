"""A model of the article is without fault only if every part of the insertion is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from harness.blocks import CloBlock
from harness.claims.insertion import (
    YOLOV5,
    YOLOV7,
    YOLOV8,
    Insertion,
    clo_parts,
    examine,
    goes_into,
    gradients,
    judge_insertions,
)
from harness.claims.verdict import Verdict
from harness.detectors import load_model

GOOD = Insertion(
    name="good", sites=("neck.P3",), blocks=1, same_shapes=True, arrived=10, expected=10, reached=4, trainable=4,
    starts_as_base=True, new_params=7, base_params=100,
)  # fmt: skip


def test_a_model_of_the_article_is_examined_whole() -> None:
    one = examine("yolov5n-clo-head")
    assert one.holds
    assert one.sites == ("neck.P3", "neck.P4", "neck.P5")
    assert (one.blocks, one.starts_as_base) == (3, True)
    assert one.arrived == one.expected == len(load_model("yolov5n").state_dict())
    assert one.new_params == sum(
        parameter.numel() for block in clo_parts(load_model("yolov5n-clo-head")) for parameter in block.parameters()
    )


def test_a_bare_layer_does_not_promise_to_start_as_the_base() -> None:
    one = examine("yolov5n-clo-backbone-bare")
    assert one.holds
    assert one.starts_as_base is None


def test_a_base_without_blocks_is_refuted() -> None:
    finding = goes_into(["yolov5n"])
    assert finding.verdict is Verdict.REFUTED
    assert "these do not: yolov5n" in finding.sentence


@pytest.mark.parametrize(
    "fault",
    [
        {"blocks": 0}, {"sites": ()}, {"same_shapes": False}, {"arrived": 9}, {"reached": 3},
        {"trainable": 0, "reached": 0},
        {"starts_as_base": False}, {"new_params": 0},
    ],
    ids=str,
)  # fmt: skip
def test_one_fault_is_enough(fault: dict[str, Any]) -> None:
    assert judge_insertions([GOOD, GOOD]).verdict is Verdict.REPRODUCED
    finding = judge_insertions([GOOD, replace(GOOD, name="bad", **fault)])
    assert finding.verdict is Verdict.REFUTED
    assert "1 of 2 models" in finding.sentence and "bad" in finding.sentence


def test_nothing_examined_is_nothing_reproduced() -> None:
    assert judge_insertions([]).verdict is Verdict.REFUTED


def test_a_block_that_the_output_does_not_hear_gets_no_gradient() -> None:
    class Deaf(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.heard, self.unheard = (CloBlock(8, 8, 2, [1, 1], [3], 2, 3, 2, 1) for _ in range(2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.heard(x)
            return out

    torch.manual_seed(0)
    model = Deaf()
    reached, trainable = gradients(model, clo_parts(model), torch.rand(2, 8, 8, 8))
    assert (reached, trainable) == (trainable // 2, 2 * len(list(model.heard.parameters())))


def test_attention_within_a_block_is_no_block_of_its_own() -> None:
    model = nn.Sequential(CloBlock(8, 8, 2, [1, 1], [3], 2, 3, 2, 1))
    assert len(clo_parts(model)) == 1


def test_both_parts_of_three_families_and_both_readings_are_examined() -> None:
    assert {name.partition("-clo-")[2] for name in YOLOV5} == {"backbone", "head", "backbone-bare", "head-bare"}
    for names in (YOLOV7, YOLOV8):
        assert {"backbone", "head"} <= {name.partition("-clo-")[2] for name in names}
    assert any(name.startswith("yolov7-clo") for name in YOLOV7)
