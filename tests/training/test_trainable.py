"""A block that cannot be trained at the smallest batch is refused before anything is trained."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from harness.architecture.placement import Placement
from harness.blocks import register_block
from harness.common.errors import UserError
from harness.detectors import Site
from harness.training.trainable import check_trainable, smallest_batch

SITES = {"neck.P4": Site(name="neck.P4", layer=3, channels=8, stride=16)}


@register_block("pools_and_norms")
class _PoolsAndNorms(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        weighed: Tensor = x * self.weigh(x)
        return weighed


@register_block("fails_at_any_batch")
class _Fails(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            raise RuntimeError("only for inference")
        return x


@register_block("works_in_place")
class _InPlace(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu_(x)


def check(kind: str, *, images: int, batch: int) -> None:
    check_trainable([Placement(site="neck.P4", kind=kind)], SITES, imgsz=64, batch=batch, images=images)


@pytest.mark.parametrize(
    ("images", "batch", "fewest"), [(17, 16, 1), (32, 16, 16), (33, 16, 1), (24, 16, 8), (5, 16, 5), (3, 1, 1)]
)
def test_the_smallest_batch_is_the_rest_of_an_epoch(images: int, batch: int, fewest: int) -> None:
    assert smallest_batch(images, batch) == fewest


def test_a_norm_behind_a_pooling_needs_two_images_and_a_batch_that_leaves_them_is_named() -> None:
    said = (
        r"block 'pools_and_norms' at neck\.P4 cannot be trained with a batch of 1 \(Expected more than 1 value per "
        r"channel when training.*\), and 17 training images in batches of 16 have one; --batch 15 would do"
    )
    with pytest.raises(UserError, match=said):
        check("pools_and_norms", images=17, batch=16)
    for batch in (15, 17):
        check("pools_and_norms", images=17, batch=batch)
    with pytest.raises(UserError, match="have one; --batch 2 would do"):
        check("pools_and_norms", images=4, batch=1)


def test_where_no_batch_helps_the_block_is_to_be_changed() -> None:
    with pytest.raises(UserError, match=r"\(only for inference\).* the block has to be changed"):
        check("fails_at_any_batch", images=32, batch=16)


@pytest.mark.parametrize("kind", ["se", "cbam", "works_in_place", "block"])
def test_what_trains_is_let_through(kind: str) -> None:
    placement = Placement(site="neck.P4", kind=kind, global_heads=2) if kind == "block" else None
    if placement is None:
        check(kind, images=17, batch=16)
    else:
        check_trainable([placement], SITES, imgsz=64, batch=16, images=17)


def test_random_numbers_of_the_training_are_not_disturbed() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    check("se", images=17, batch=16)
    assert torch.equal(torch.rand(1), expected)
