"""What pooling saves and leaves, against closed forms; and what the checks say of something broken."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from torch import nn

from harness.blocks import CloAttention
from harness.claims.pooling import Stage, count, cuts_flops, cuts_params, keeps_global_field, stages
from harness.claims.verdict import Verdict

STAGE = Stage(
    network="YOLOv5s", stride=16, side=10, channels=32, heads=8, groups=(4, 4), kernels=(5,), pool=1,
)  # fmt: skip


@pytest.mark.parametrize("pool", [1, 2, 3, 4, 20])
def test_products_are_two_for_each_pixel_token_and_global_channel(pool: int) -> None:
    pixels, tokens, global_channels = 10 * 10, math.ceil(10 / pool) ** 2, 16
    assert count(replace(STAGE, pool=pool)).product_macs == 2 * pixels * tokens * global_channels


def test_pooling_saves_products_and_the_projection_of_keys_and_values() -> None:
    full, pooled = count(STAGE), count(replace(STAGE, pool=2))
    tokens_saved = 100 - 25
    products, projection = 2 * 100 * tokens_saved * 16, tokens_saved * 32 * 2 * 16
    assert full.macs - pooled.macs == products + projection


def test_every_stage_of_the_detector_and_of_cloformer_is_counted() -> None:
    found = list(stages())
    assert {(s.network, s.side) for s in found if "YOLO" in s.network} == {
        (f"YOLOv5s at {imgsz} px", imgsz // stride) for imgsz in (640, 128) for stride in (8, 16, 32)
    }
    xxs = [(s.side, s.pool) for s in found if "XXS" in s.network]
    assert xxs == [(56, 1), (56, 8), (28, 1), (28, 4), (14, 1), (14, 2), (7, 1)]


def test_pooling_cuts_operations() -> None:
    finding = cuts_flops(imgszs=(128,), pools=(1, 2))
    assert finding.verdict is Verdict.REPRODUCED
    assert "3 stages (CloFormer's last) pool nothing" in finding.sentence
    shares = {(row["network"], row["stride"], row["pool"]): row["of full K and V's"] for row in finding.rows}
    assert shares["YOLOv5s at 128 px", 8, 2] == pytest.approx(1 / 4)
    assert shares["CloFormer XXS at 224 px", 4, 8] == pytest.approx(1 / 64)


def test_an_attention_that_pools_nothing_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stage, "attention", lambda s: CloAttention(s.channels, s.heads, s.groups, s.kernels, 1))
    assert cuts_flops(imgszs=(128,), pools=(1, 2)).verdict is Verdict.REFUTED


def test_average_pooling_has_no_parameter_to_save() -> None:
    finding = cuts_params()
    assert finding.verdict is Verdict.REFUTED
    assert [figure.value for figure in finding.figures] == [0, 0]


def test_a_pooling_that_did_save_parameters_would_be_found() -> None:
    finding = cuts_params(build=lambda channels, pool: nn.Linear(channels, channels // pool, bias=False))
    assert finding.verdict is Verdict.REPRODUCED
    assert finding.figures[0].value == 128 * 128 - 128 * 64


def test_the_field_stays_global() -> None:
    finding = keeps_global_field(sizes=((4, 4), (5, 7)), pools=(1, 3, 8))
    assert finding.verdict is Verdict.REPRODUCED
    assert finding.figures[0].value == 1
    assert finding.rows[1]["local"] != 1


def test_local_heads_alone_are_refuted() -> None:
    finding = keeps_global_field(
        sizes=((8, 8),), pools=(1,), build=lambda channels, pool: CloAttention(channels, 2, [2, 0], [3], pool)
    )
    assert finding.verdict is Verdict.REFUTED
    assert finding.figures[0].value == pytest.approx((22 / 64) ** 2)
