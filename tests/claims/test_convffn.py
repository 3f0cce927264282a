"""ConvFFN hears its kernel and halves the map; a plain FFN and a patch merging layer are found out."""

from __future__ import annotations

import pytest
from torch import nn

from harness.blocks import CloFormer, ConvFFN
from harness.claims import convffn
from harness.claims.convffn import aggregates_neighbours, downsamples, resizing_modules
from harness.claims.reach import WIDTH
from harness.claims.verdict import Verdict


def test_an_output_pixel_hears_the_pixels_under_the_kernel() -> None:
    finding = aggregates_neighbours()
    assert finding.verdict is Verdict.REPRODUCED
    assert [row["pixels"] for row in finding.rows] == [9, 25, 49]
    assert [row["plain FFN"] for row in finding.rows] == [1, 1, 1]


def test_a_plain_ffn_is_refuted() -> None:
    finding = aggregates_neighbours(lambda kernel: ConvFFN(WIDTH, 16, kernel, 1, WIDTH, depthwise=False))
    assert finding.verdict is Verdict.REFUTED
    assert finding.figures[0].value == 1


def test_an_ffn_that_hears_beyond_its_kernel_is_refuted() -> None:
    finding = aggregates_neighbours(lambda kernel: ConvFFN(WIDTH, 16, kernel + 2, 1, WIDTH))
    assert finding.verdict is Verdict.REFUTED


def test_a_plain_ffn_that_hears_its_neighbours_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convffn, "_ffn", lambda kernel, depthwise: ConvFFN(WIDTH, 16, kernel, 1, WIDTH))
    assert aggregates_neighbours().verdict is Verdict.UNDECIDED


def test_convffn_halves_the_map_and_leads_from_stage_to_stage() -> None:
    finding = downsamples()
    assert finding.verdict is Verdict.REPRODUCED
    assert [figure.value for figure in finding.figures] == [3, 3, 3, 0]
    assert [row["becomes"] for row in finding.rows] == ["16 × 16 × 16", "16 × 17 × 10", "16 × 4 × 1"]


def test_a_merging_layer_between_two_stages_is_found() -> None:
    network = CloFormer.from_variant("xxs", 0)
    network.stages[1] = nn.Sequential(network.stages[1], nn.AvgPool2d(2))
    finding = downsamples(network)
    assert finding.verdict is Verdict.REFUTED
    assert finding.figures[-1].value == 1


def test_a_transition_that_merges_patches_instead_is_found() -> None:
    network = CloFormer.from_variant("xxs", 0)
    network.stages[0][-1].mlp = nn.Conv2d(32, 64, 2, 2)  # type: ignore[index]
    finding = downsamples(network)
    assert finding.verdict is Verdict.REFUTED
    assert [figure.value for figure in finding.figures] == [3, 2, 3, 1]


def test_looking_leaves_no_hook_and_no_mode_behind() -> None:
    network = CloFormer.from_variant("xxs", 0).train()
    assert len(resizing_modules(network)) == 6
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())
