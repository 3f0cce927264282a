"""Every count beside a second oracle; where an oracle is itself wrong, the proof."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from harness.architecture import Architecture
from harness.cost.counts import model_cost, module_cost
from harness.detectors import build, find_sites, insert, resolve_base
from tests.cost.oracle import second_oracle
from tests.detectors.everywhere import blocks_everywhere, placement

SMALLEST = ["yolov5n", "yolov8n", "yolo11n", "yolo26n", "yolov7-tiny", "cloformer-xxs"]


@pytest.mark.parametrize("name", SMALLEST)
def test_flop_counter_counts_the_same_of_every_family_with_a_block_at_a_site(name: str) -> None:
    base = resolve_base(name)
    sites = find_sites(base)
    site = next(site for site in sites.values() if site.name.startswith("neck."))
    architecture = Architecture(base=name, placements=(placement(site.name),))
    model = build(insert(base, architecture, sites=sites, classes=10)).eval()
    cost = model_cost(model, 64)
    assert cost.by_operator["scaled_dot_product_attention"] > 0
    assert cost.macs == second_oracle(model, 1, 3, 64, 64)
    fused = model.fuse(verbose=False)
    assert model_cost(fused, 64).macs == second_oracle(fused, 1, 3, 64, 64)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLEST)
def test_flop_counter_counts_the_same_with_blocks_at_every_site_and_nothing_is_without_a_formula(name: str) -> None:
    model = build(blocks_everywhere(resolve_base(name))[0])
    cost = model_cost(model, 64)
    assert cost.macs == second_oracle(model, 1, 3, 64, 64)
    assert cost.uncounted == {}


# --- Where an oracle is wrong ---------------------------------------------------------------------


class Attends(nn.Module):
    """Attention of each pixel to each other, its channels in one head."""

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).mT.contiguous().unsqueeze(1)  # what the fused kernel wants
        return F.scaled_dot_product_attention(tokens, tokens, tokens)


def test_flop_counter_has_no_formula_for_the_fused_attention_of_the_cpu() -> None:
    channels, pixels = 8, 5 * 7
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        Attends()(torch.zeros(1, channels, 5, 7))
    assert counter.get_total_flops() == 0
    by_hand = 2 * channels * pixels**2
    assert module_cost(Attends(), (1, channels, 5, 7)).macs == by_hand
    assert second_oracle(Attends(), 1, channels, 5, 7) == by_hand  # with plain matrix products it can


class TimesVector(nn.Module):
    """Each row of the image times one vector."""

    def forward(self, x: Tensor) -> Tensor:
        return x[0, 0] @ torch.zeros(x.shape[-1])


def test_flop_counter_has_no_formula_for_a_matrix_times_a_vector() -> None:
    assert second_oracle(TimesVector(), 1, 1, 6, 7) == 0
    assert module_cost(TimesVector(), (1, 1, 6, 7)).macs == 6 * 7


class TimesBatch(nn.Module):
    """One image times four matrices, by broadcasting."""

    def forward(self, x: Tensor) -> Tensor:
        return x @ torch.zeros(4, 1, 7, 5)


def test_fvcore_counts_a_broadcast_product_once_instead_of_for_each_matrix() -> None:
    image = torch.zeros(1, 3, 6, 7)
    by_hand = 4 * 3 * 6 * 7 * 5
    assert TimesBatch()(image).shape == (4, 3, 6, 5)
    assert FlopCountAnalysis(TimesBatch(), image).total() == by_hand / 4
    assert module_cost(TimesBatch(), (1, 3, 6, 7)).macs == second_oracle(TimesBatch(), 1, 3, 6, 7) == by_hand


def test_fvcore_itself_leaves_attention_out_and_adds_norms() -> None:
    attention = FlopCountAnalysis(Attends(), torch.zeros(1, 8, 5, 7)).unsupported_ops_warnings(False)
    assert attention.total() == 0
    norm = nn.BatchNorm2d(8).eval()
    assert FlopCountAnalysis(norm, torch.zeros(1, 8, 5, 7)).total() == 2 * 8 * 5 * 7
    assert module_cost(norm, (1, 8, 5, 7)).macs == 0
