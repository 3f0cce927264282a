from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from harness.blocks import CloBlock
from harness.blocks.official import OfficialStateDictError
from tests.blocks import golden
from tests.blocks.plain import plain_block
from tests.blocks.random_settings import Settings, settings_strategy


def build(**changes: Any) -> CloBlock:
    """A small block; `changes` replace its arguments."""
    arguments: dict[str, Any] = {
        "dim": 16, "out_dim": 16, "num_heads": 4, "group_split": [2, 2], "kernel_sizes": [3],
        "window_size": 4, "mlp_kernel_size": 5, "mlp_ratio": 4, "stride": 1,
    }  # fmt: skip
    return CloBlock(**(arguments | changes)).eval()


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", golden.names("block"))
def test_equals_the_official_code(name: str) -> None:
    case = golden.load(name)
    block = CloBlock(**case.arguments, init="official").eval()
    block.load_official_state_dict(case.weights)
    with torch.no_grad():
        torch.testing.assert_close(block(case.input), case.output, atol=1e-5, rtol=0)


def test_both_golden_files_of_the_block_are_there() -> None:
    assert golden.names("block") == ["block_stride1", "block_stride2"]


# GroupNorm refuses a single value: one channel on a 1×1 map. Heads here have at least two channels.
@settings(deadline=None, max_examples=40)
@given(case=settings_strategy(smallest_head=2), stride=st.sampled_from([1, 2]), kernel=st.sampled_from([1, 3, 5]))
def test_equals_the_published_equations_on_every_map(case: Settings, stride: int, kernel: int) -> None:
    out_dim = case.dim if stride == 1 else case.dim + 3
    attention = (sum(case.heads), case.heads, case.kernels, case.window)
    block = CloBlock(case.dim, out_dim, *attention, kernel, 3, stride, init="official").eval()
    x = case.map()
    with torch.no_grad():
        expected = plain_block(x, block.official_tensors(), *attention[1:], kernel, stride)
        torch.testing.assert_close(block(x), expected, atol=2e-5, rtol=1e-5)


@settings(deadline=None, max_examples=40)
@given(case=settings_strategy(smallest_head=2), ratio=st.sampled_from([0, 1, 2.5]), channels_last=st.booleans())
def test_a_fresh_block_is_the_identity_bit_for_bit(case: Settings, ratio: float, channels_last: bool) -> None:
    block = CloBlock(case.dim, case.dim, sum(case.heads), case.heads, case.kernels, case.window, 5, ratio, 1)
    x = case.map() * 100
    x = x.contiguous(memory_format=torch.channels_last) if channels_last else x
    assert torch.equal(block.train()(x), x)
    assert torch.equal(block.eval()(x), x)


def test_a_fresh_block_of_stride_two_is_its_downsampling_skip() -> None:
    block = build(stride=2, out_dim=24)
    assert block.downsample is not None
    x = noise(1, 16, 9, 7)
    assert torch.equal(block(x), block.downsample(x))
    assert block(x).shape == (1, 24, 5, 4)


def test_a_fresh_block_learns_its_layer_scales_first() -> None:
    block = build().train()
    block(noise(2, 16, 8, 8)).square().sum().backward()
    learning = {name for name, parameter in block.named_parameters() if _moves(parameter)}
    assert learning == {"layer_scale1", "layer_scale2"}


def test_layer_scales_of_one_make_the_official_function() -> None:
    official, scaled = build(init="official"), build()
    scaled.load_state_dict(official.state_dict(), strict=False)
    with torch.no_grad():
        for name, parameter in scaled.named_parameters():
            if name.startswith("layer_scale"):
                parameter.fill_(1)
    x = noise(1, 16, 8, 8)
    torch.testing.assert_close(scaled(x), official(x))


def test_layer_scales_have_one_factor_a_channel() -> None:
    shapes = {name: tuple(p.shape) for name, p in build(stride=2, out_dim=24).named_parameters() if "scale" in name}
    assert shapes == {"layer_scale1": (16,), "layer_scale2": (24,)}


def test_official_initialisation_has_no_layer_scale() -> None:
    assert not [name for name, _ in build(init="official").named_parameters() if "scale" in name]


def test_mlp_ratio_zero_leaves_attention_alone() -> None:
    block = build(mlp_ratio=0, init="official")
    x = noise(1, 16, 6, 6)
    torch.testing.assert_close(block(x), x + block.attn(block.norm1(x)))
    assert {name.split(".")[0] for name in block.state_dict()} == {"norm1", "attn"}


@pytest.mark.parametrize("size", [(8, 8), (1, 1)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_frozen_base_before_the_block_can_be_trained_behind(
    size: tuple[int, int], memory_format: torch.memory_format
) -> None:
    """PyTorch's GroupNorm crashes the process here when it is given a channels_last map on CPU."""
    block = build(init="official").train()
    frozen = nn.Conv2d(3, 16, 1).requires_grad_(False)
    frozen.to(memory_format=memory_format)  # type: ignore[call-overload]
    block(frozen(noise(2, 3, *size).contiguous(memory_format=memory_format))).square().sum().backward()
    assert all(_moves(parameter) for name, parameter in block.named_parameters() if name.startswith("norm"))


def test_official_weights_are_refused_where_layer_scales_would_silence_them() -> None:
    weights = build(init="official").state_dict()
    with pytest.raises(OfficialStateDictError, match=r'init="official"'):
        build().load_official_state_dict(weights)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"init": "zero"}, "init is 'zero'; it is one of identity, residual, official"),
        ({"stride": 3}, "stride is 3; it is 1 or 2"),
        ({"out_dim": 8}, "out_dim is 8; with stride 1 it is dim, 16"),
        ({"out_dim": 0, "stride": 2}, "out_dim is 0; it is 1 or more"),
        ({"mlp_ratio": -1}, "mlp_ratio is -1; it is 0"),
        ({"mlp_ratio": 0.01}, "mlp_ratio is 0.01; it is 0"),
        ({"mlp_ratio": 0, "stride": 2}, "stride is 2 and mlp_ratio is 0"),
        ({"mlp_kernel_size": 2}, "mlp_kernel_size is 2; it is odd and positive"),
        ({"num_heads": 5}, "dim is 16; it is a positive multiple of num_heads, 5"),
    ],
)
def test_bad_arguments_are_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**changes)


def _moves(parameter: nn.Parameter) -> bool:
    return parameter.grad is not None and bool(parameter.grad.any())
