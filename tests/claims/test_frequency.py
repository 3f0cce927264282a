"""The verdict on the branches' frequencies, of models whose branches do what one knows."""

from __future__ import annotations

from typing import cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.blocks import CloAttention
from harness.claims.frequency import local_branch_supplies_high_frequencies
from harness.claims.verdict import Verdict
from harness.common.errors import UserError


class Local(nn.Module):
    """In place of AttnConv: the values, blurred or not."""

    def __init__(self, blurs: bool) -> None:
        super().__init__()
        self.blurs = blurs

    def forward(self, qkv: Tensor) -> Tensor:
        value = qkv.chunk(3, dim=1)[2]
        return F.avg_pool2d(value, 5, 1, 2) if self.blurs else value


class Global(nn.Module):
    """In place of pooled attention: the queries, blurred, constant or neither."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def forward(self, _x: Tensor, query: Tensor) -> Tensor:
        if self.what == "constant":
            return torch.ones_like(query)
        return F.avg_pool2d(query, 5, 1, 2) if self.what == "blurred" else query


def model(local_blurs: bool, what: str) -> nn.Module:
    torch.manual_seed(0)
    attention = CloAttention(8, 2, [1, 1], [3], 2)
    attention.local_branch = nn.ModuleList([Local(local_blurs)])
    attention.global_branch = cast("None", Global(what))
    return nn.Sequential(nn.Conv2d(3, 8, 1), attention)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_a_global_branch_that_blurs_beside_a_local_one_that_does_not(images: Tensor) -> None:
    finding = local_branch_supplies_high_frequencies(model(False, "blurred"), images)
    assert finding.verdict is Verdict.REPRODUCED
    assert finding.figures[0].low > 0
    assert finding.rows[0]["attention"] == "1"


def test_a_local_branch_that_blurs_is_refuted(images: Tensor) -> None:
    finding = local_branch_supplies_high_frequencies(model(True, "as it is"), images)
    assert finding.verdict is Verdict.REFUTED
    assert finding.figures[0].high < 0


def test_a_global_branch_that_puts_out_a_constant_decides_nothing(images: Tensor) -> None:
    """Else any untrained network would count: its attention is to all windows alike."""
    finding = local_branch_supplies_high_frequencies(model(False, "constant"), images)
    assert finding.verdict is Verdict.UNDECIDED
    assert finding.rows[0]["global branch is constant"] is True


@pytest.mark.parametrize("given", ["no model", "no images", "one image"])
def test_without_weights_or_images_it_stays_undecided(given: str, images: Tensor) -> None:
    network = None if given == "no model" else model(False, "blurred")
    shown = {"no model": images, "no images": None, "one image": images[:1]}[given]
    finding = local_branch_supplies_high_frequencies(network, shown)
    assert finding.verdict is Verdict.UNDECIDED
    assert "two or more images" in finding.to_decide
    assert finding.command


def test_a_model_without_both_branches_is_refused(images: Tensor) -> None:
    with pytest.raises(UserError, match="Sequential: holds no Clo attention with a local and a global branch"):
        local_branch_supplies_high_frequencies(nn.Sequential(nn.Conv2d(3, 8, 1)), images)


def test_a_checkpoint_that_does_not_exist_is_refused(images: Tensor) -> None:
    with pytest.raises(UserError, match=r"base nowhere.pt: no such checkpoint"):
        local_branch_supplies_high_frequencies("nowhere.pt", images)
