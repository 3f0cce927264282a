"""A registered block is tried before anything is trained, and what is wrong with it is one sentence."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from harness.architecture.choices import Kind
from harness.blocks import BlockError, register_block
from harness.blocks.probe import probe
from harness.blocks.registry import RESERVED


@register_block("halves_the_map")
def _halves(channels: int) -> nn.Module:
    return nn.AvgPool2d(2)


@register_block("needs_groups")
def _grouped(channels: int, groups: int = 3) -> nn.Module:
    return nn.Conv2d(channels, channels, 1, groups=groups)


@register_block("one_channel")
class _OneChannel(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=1, keepdim=True)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("halves_the_map", (), r"block 'halves_the_map' with its default options on 8 channels turns a map"),
        ("one_channel", (), r"turns a map \(1, 8, 32, 32\) into \(1, 1, 32, 32\); a block keeps the map's shape"),
        ("needs_groups", (("groups", 3),), r"with groups 3 on 8 channels cannot be used: ValueError: in_channels must"),
        ("se", (("reduction", 0),), r"with reduction 0 on 8 channels cannot be used: ValueError: reduction is 0"),
        ("cbam", (("kernel_size", 4),), r"kernel_size is 4; it is odd and positive"),
        ("se", (("ratio", 4),), r"block 'se' has no option 'ratio'"),
    ],
)
def test_a_block_that_cannot_be_used_is_refused(name: str, options: tuple[tuple[str, int], ...], sentence: str) -> None:
    with pytest.raises(BlockError, match=sentence):
        probe(name, options, 8)


def test_trying_a_block_disturbs_no_random_numbers() -> None:
    probe.cache_clear()
    torch.manual_seed(0)
    probe("needs_groups", (("groups", 2),), 8)
    tried = torch.rand(3)
    torch.manual_seed(0)
    assert torch.equal(tried, torch.rand(3))


def test_the_names_of_the_clo_blocks_are_taken() -> None:
    assert set(Kind) | {"none"} == set(RESERVED)
    for name in RESERVED:
        with pytest.raises(BlockError, match=f"block '{name}': a kind of Clo block has this name"):
            register_block(name)(_halves)


def test_an_option_cannot_have_the_blocks_own_name_or_be_nameless() -> None:
    with pytest.raises(BlockError, match="an option cannot be called 'name'"):
        register_block("x1")(lambda channels, name=1: nn.Identity())
    with pytest.raises(BlockError, match="its options are named one by one"):
        register_block("x2")(lambda channels, **more: nn.Identity())
