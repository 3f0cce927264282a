from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from harness.blocks.depthwise import DepthwiseConv2d


@settings(deadline=None, max_examples=60)
@given(
    kernel_size=st.sampled_from([1, 3, 5, 7, 9]),
    batch=st.integers(1, 3),
    height=st.integers(1, 11),
    width=st.integers(1, 11),
    channels_last=st.booleans(),
    needs_grad=st.booleans(),
)
def test_values_and_gradients_are_pytorchs(
    kernel_size: int, batch: int, height: int, width: int, channels_last: bool, needs_grad: bool
) -> None:
    torch.manual_seed(0)
    ours = DepthwiseConv2d(6, kernel_size)
    x = torch.randn(batch, 6, height, width)
    x = x.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    reference = nn.Conv2d(6, 6, kernel_size, padding=kernel_size // 2, groups=6).double()
    reference.load_state_dict(ours.state_dict())
    a, b = x.clone().requires_grad_(needs_grad), x.double().requires_grad_(needs_grad)
    out, expected = ours(a), reference(b)
    torch.testing.assert_close(out.double(), expected, atol=1e-5, rtol=1e-5)
    torch.autograd.backward([out.square().sum(), expected.square().sum()])
    pairs = list(zip(ours.parameters(), reference.parameters(), strict=True))
    for mine, theirs in [*pairs, (a, b)] if needs_grad else pairs:
        torch.testing.assert_close(_gradient(mine).double(), _gradient(theirs), atol=1e-3, rtol=1e-4)


def test_frozen_weights_still_pass_the_inputs_gradient() -> None:
    conv = DepthwiseConv2d(4, 5).requires_grad_(False)
    x = torch.randn(1, 4, 6, 6, requires_grad=True)
    conv(x).sum().backward()
    expected = F.conv2d(torch.ones(1, 4, 6, 6), conv.weight.flip(-2, -1), padding=2, groups=4)
    torch.testing.assert_close(x.grad, expected)


def test_second_derivatives_are_pytorchs() -> None:
    torch.manual_seed(0)
    conv = DepthwiseConv2d(2, 5)
    bias = conv.bias
    assert bias is not None
    x = torch.randn(2, 2, 4, 3)

    def penalties(out: Tensor) -> list[Tensor]:
        (slope,) = torch.autograd.grad(out.square().sum(), conv.weight, create_graph=True)
        return list(torch.autograd.grad(slope.square().sum(), [conv.weight, bias]))

    theirs = F.conv2d(x, conv.weight, conv.bias, padding=2, groups=2)
    torch.testing.assert_close(penalties(conv(x)), penalties(theirs), rtol=1e-4, atol=1e-2)


def test_vmapped_gradients_of_single_images_sum_up_to_the_batchs() -> None:
    conv = DepthwiseConv2d(3, 5)
    weights: dict[str, Tensor] = dict(conv.named_parameters())
    x = torch.randn(4, 3, 5, 6)

    def energy(weights: dict[str, Tensor], image: Tensor) -> Tensor:
        out: Tensor = torch.func.functional_call(conv, weights, (image[None],))
        return out.square().sum()

    each = torch.func.vmap(torch.func.grad(energy), in_dims=(None, 0))(weights, x)
    conv(x).square().sum().backward()
    torch.testing.assert_close(each["weight"].sum(0), _gradient(conv.weight), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("stride", [1, 2])
def test_parameters_are_those_of_a_convolution(stride: int) -> None:
    conv, plain = DepthwiseConv2d(4, 5, stride), nn.Conv2d(4, 4, 5, stride, 2, groups=4)
    plain.load_state_dict(conv.state_dict())
    x = torch.randn(1, 4, 7, 6)
    torch.testing.assert_close(conv(x), plain(x))


def _gradient(tensor: Tensor) -> Tensor:
    assert tensor.grad is not None
    return tensor.grad


def test_a_trace_with_gradients_on_holds_the_plain_convolution() -> None:
    """As Ultralytics makes one for TorchScript; it cannot hold a Python function of ours."""
    convolution = DepthwiseConv2d(4, 7).eval()
    image = torch.randn(1, 4, 9, 9)
    assert torch.is_grad_enabled()
    traced = torch.jit.trace(convolution, image)  # type: ignore[no-untyped-call]
    assert torch.allclose(traced(image), convolution(image))
