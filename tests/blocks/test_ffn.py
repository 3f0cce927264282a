from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.blocks import ConvFFN
from tests.blocks.plain import plain_ffn


@settings(deadline=None, max_examples=30)
@given(
    kernel=st.sampled_from([1, 3, 5, 7]),
    stride=st.sampled_from([1, 2]),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    out_channels=st.integers(1, 7),
)
def test_equals_the_published_equations(kernel: int, stride: int, height: int, width: int, out_channels: int) -> None:
    ffn = ConvFFN(6, 11, kernel, stride, out_channels).eval()
    x = torch.randn(2, 6, height, width, generator=torch.Generator().manual_seed(height * width))
    with torch.no_grad():
        expected = plain_ffn(x, ffn.official_tensors(), kernel, stride)
        torch.testing.assert_close(ffn(x), expected, atol=1e-5, rtol=1e-5)


def test_stride_two_halves_the_map_rounding_up() -> None:
    assert ConvFFN(4, 8, 5, 2, 6)(torch.zeros(1, 4, 7, 10)).shape == (1, 6, 4, 5)


def test_parameters_are_two_projections_and_one_depthwise_kernel() -> None:
    parameters = sum(parameter.numel() for parameter in ConvFFN(4, 8, 5, 1, 6).parameters())
    assert parameters == (4 * 8 + 8) + (8 * 5 * 5 + 8) + (8 * 6 + 6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel_size": 4}, "kernel_size is 4; it is odd and positive"),
        ({"stride": 3}, "stride is 3; it is 1 or 2"),
        ({"hidden_channels": 0}, "hidden_channels is 0; it is 1 or more"),
        ({"out_channels": -1}, "out_channels is -1"),
    ],
)
def test_bad_arguments_are_refused_by_name(changes: dict[str, Any], message: str) -> None:
    good = {"in_channels": 4, "hidden_channels": 8, "kernel_size": 5, "stride": 1, "out_channels": 4}
    with pytest.raises(ValueError, match=message):
        ConvFFN(**(good | changes))
