from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from harness.blocks import CloAttention, ConvFFN
from harness.blocks.layout import in_layout_of, working_layout
from harness.blocks.official import OfficialModule
from tests.blocks.test_block import build, noise

MODULES: dict[str, Callable[[], OfficialModule]] = {
    "attention": lambda: CloAttention(16, 4, [2, 2], [3], 4),
    "ffn": lambda: ConvFFN(16, 32, 5, 1, 16),
    "block": lambda: build(init="official"),
}
FORMATS = [torch.contiguous_format, torch.channels_last]


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_leaves_its_neighbours_layout_alone(name: str, memory_format: torch.memory_format) -> None:
    module = MODULES[name]().eval()
    out = module(noise(2, 16, 7, 5).contiguous(memory_format=memory_format))
    assert out.is_contiguous(memory_format=memory_format)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_the_layout_changes_no_value(name: str) -> None:
    module = MODULES[name]().eval()
    x = noise(2, 16, 7, 5)
    torch.testing.assert_close(module(x), module(x.contiguous(memory_format=torch.channels_last)))


def test_work_on_cpu_is_channels_last() -> None:
    assert working_layout(noise(2, 3, 4, 5)).is_contiguous(memory_format=torch.channels_last)


def test_work_elsewhere_keeps_the_callers_layout() -> None:
    x = torch.empty(2, 3, 4, 5, device="meta")
    assert working_layout(x) is x


@pytest.mark.parametrize("memory_format", FORMATS)
def test_a_map_goes_back_to_the_layout_it_came_in(memory_format: torch.memory_format) -> None:
    original = noise(2, 3, 4, 5).contiguous(memory_format=memory_format)
    back = in_layout_of(working_layout(original), original)
    assert back.is_contiguous(memory_format=memory_format) and torch.equal(back, original)
