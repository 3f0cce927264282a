from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from harness.cost.counts import Cost, module_cost
from harness.cost.operators import IGNORED
from tests.cost.oracle import second_oracle


class Computes(nn.Module):
    """A module from a function."""

    def __init__(self, function: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> object:
        return self.function(x)


def counted(function: Callable[[Tensor], object], *shape: int) -> Cost:
    batch, channels, height, width = shape
    return module_cost(Computes(function), (batch, channels, height, width))


# --- Closed forms -------------------------------------------------------------------------------


@pytest.mark.parametrize(("stride", "padding", "groups"), [(1, 1, 1), (2, 1, 1), (1, 0, 2), (2, 0, 6)])
def test_a_convolution_multiplies_its_kernel_once_per_output_pixel(stride: int, padding: int, groups: int) -> None:
    batch, c_in, c_out, k, height, width = 2, 6, 12, 3, 9, 13
    cost = module_cost(
        nn.Conv2d(c_in, c_out, k, stride, padding, groups=groups, bias=False), (batch, c_in, height, width)
    )
    out_h, out_w = (height + 2 * padding - k) // stride + 1, (width + 2 * padding - k) // stride + 1
    assert cost.macs == batch * (c_in // groups) * c_out * k * k * out_h * out_w
    assert cost.by_operator == {"conv": cost.macs}
    assert cost.params == (c_in // groups) * c_out * k * k
    assert cost.flops == 2 * cost.macs


def test_a_transposed_convolution_multiplies_its_kernel_once_per_input_pixel() -> None:
    assert module_cost(nn.ConvTranspose2d(4, 6, 3, stride=2), (1, 4, 5, 7)).macs == 4 * 6 * 3 * 3 * 5 * 7


def test_a_bias_is_a_parameter_but_no_mac() -> None:
    with_bias, without = (module_cost(nn.Linear(8, 5, bias=bias), (2, 3, 4, 8)) for bias in (True, False))
    assert with_bias.macs == without.macs == (2 * 3 * 4) * 8 * 5
    assert with_bias.params == without.params + 5


def test_attention_multiplies_queries_with_keys_and_weights_with_values() -> None:
    batch, heads, queries, keys, width, value_width = 2, 3, 10, 4, 8, 6

    def attention(x: Tensor) -> Tensor:
        key, value = torch.zeros(batch, heads, keys, width), torch.zeros(batch, heads, keys, value_width)
        return F.scaled_dot_product_attention(x, key, value)

    cost = counted(attention, batch, heads, queries, width)
    assert cost.by_operator == {"scaled_dot_product_attention": batch * heads * queries * keys * (width + value_width)}


@pytest.mark.parametrize("other", [(7, 5), (3, 7, 5), (4, 1, 7, 5), (7,)])
def test_a_matrix_product_is_counted_over_the_broadcast_batch(other: tuple[int, ...]) -> None:
    columns = other[-1] if len(other) > 1 else 1
    batch = 4 if len(other) == 4 else 1
    cost = counted(lambda x: x @ torch.zeros(other), 1, 3, 6, 7)
    assert cost.macs == batch * 3 * 6 * 7 * columns


# --- What is no MAC is named apart --------------------------------------------------------------


def test_normalisation_and_interpolation_are_named_beside_the_macs() -> None:
    cost = module_cost(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Upsample(scale_factor=2)), (1, 3, 5, 5))
    assert cost.macs == 3 * 4 * 5 * 5
    assert cost.elementwise == {"batch_norm": 2 * 4 * 5 * 5, "bias": 4 * 5 * 5, "upsample_nearest2d": 4 * 10 * 10}


def test_an_operator_without_a_handler_is_listed_with_its_calls() -> None:
    cost = counted(lambda x: torch.fft.fft(torch.fft.fft(x)).real, 1, 1, 4, 4)
    assert cost.uncounted == {"fft_fft": 2, "real": 1}
    assert (cost.macs, cost.elementwise) == (0, {})


def test_an_ignored_operator_is_listed_with_its_calls_and_has_a_reason() -> None:
    cost = counted(lambda x: x[(x > 0) & (x < 1)], 1, 1, 4, 4)
    assert cost.ignored == {"gt": 1, "lt": 1}
    assert IGNORED["gt"] == "one comparison an element, for a mask or an index"


def test_moving_data_is_in_no_list() -> None:
    cost = counted(lambda x: x.transpose(1, 2).mT.unsqueeze(0).flatten().view(-1), 1, 2, 3, 4)
    assert not cost.by_operator and not cost.elementwise and not cost.ignored and not cost.uncounted


def test_a_contraction_of_three_operands_is_listed_because_its_order_is_not_known() -> None:
    cost = counted(lambda x: torch.einsum("bcij,jk,kl->bcil", x, torch.zeros(4, 5), torch.zeros(5, 6)), 1, 2, 3, 4)
    assert cost.macs == 0
    assert cost.uncounted == {"einsum of an ellipsis or not two operands": 1}


# --- Second oracle --------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_einsum_equals_the_second_oracle(data: st.DataObject) -> None:
    sizes = {label: data.draw(st.integers(2, 5)) for label in "abcd"}
    left = "".join(data.draw(st.permutations("abcd")))
    right = "".join(data.draw(st.lists(st.sampled_from("abcd"), min_size=1, unique=True)))
    result = "".join(data.draw(st.lists(st.sampled_from("abcd"), unique=True)))
    other = torch.zeros([sizes[label] for label in right])
    contraction = Computes(lambda x: torch.einsum(f"{left},{right}->{result}", x, other))
    shape = [sizes[label] for label in left]
    cost = module_cost(contraction, (shape[0], shape[1], shape[2], shape[3]))
    assert cost.macs == second_oracle(contraction, *shape)
