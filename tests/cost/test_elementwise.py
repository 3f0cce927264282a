"""What each elementwise operator computes, written out by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.cost.counts import module_cost
from harness.cost.elementwise import ELEMENTWISE
from harness.cost.operators import IGNORED, PRODUCTS
from tests.cost.test_operators import counted

B, C, H, W = 2, 3, 8, 12
ELEMENTS = B * C * H * W


@pytest.mark.parametrize(
    ("function", "name", "each"),
    [
        (lambda x: x + 1, "add", 1),
        (lambda x: x + x, "add", 1),
        (lambda x: x.add_(1), "add", 1),
        (lambda x: x * x, "mul", 1),
        (lambda x: x / 2, "div", 1),
        (lambda x: 1 - x, "rsub", 1),
        (torch.tanh, "tanh", 1),
        (torch.sigmoid, "sigmoid", 1),
        (torch.relu, "relu", 1),  # max(x, 0)
        (lambda x: F.relu(x, inplace=True), "relu", 1),
        (lambda x: F.leaky_relu(x, 0.1), "leaky_relu", 2),  # compare, multiply
        (lambda x: x.clamp(0, 1), "clamp", 2),  # compare with each bound
        (F.silu, "silu", 2),  # x · sigmoid(x)
        (F.gelu, "gelu", 5),  # ½ · x · (1 + erf(x / √2))
        (F.hardswish, "hardswish", 5),  # x · clamp(x + 3, 0, 6) / 6
        (lambda x: x.softmax(dim=1), "softmax", 5),  # maximum, subtract, exp, sum, divide
        (lambda x: x.mean(dim=(2, 3)), "mean", 1),  # n - 1 additions and a division for n elements
        (lambda x: x.sum(dim=1), "sum", 1),
        (lambda x: F.adaptive_avg_pool2d(x, 1), "adaptive_avg_pool2d", 1),
        (lambda x: F.group_norm(x, 1), "group_norm", 4),
        (lambda x: F.group_norm(x, 1, torch.ones(C), torch.ones(C)), "group_norm", 5),
    ],
)
def test_operations_for_each_element_of_the_map(function: Callable[[Tensor], object], name: str, each: int) -> None:
    cost = counted(function, B, C, H, W)
    assert cost.elementwise == {name: each * ELEMENTS}
    assert (cost.macs, cost.flops, cost.uncounted, cost.ignored) == (0, 0, {}, {})


def test_an_operand_that_is_broadcast_costs_one_operation_for_each_element_of_the_result() -> None:
    assert counted(lambda x: x[:, :, :1] + x[:, :, :, :1], B, C, H, W).elementwise == {"add": ELEMENTS}


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 1), ((2, 4), (2, 4))])
def test_a_maximum_of_n_pixels_takes_n_less_one_comparisons_and_their_mean_n(
    kernel: int | tuple[int, int], stride: int | tuple[int, int]
) -> None:
    window = kernel[0] * kernel[1] if isinstance(kernel, tuple) else kernel**2
    outputs = F.max_pool2d(torch.zeros(B, C, H, W), kernel, stride).numel()
    assert counted(lambda x: F.max_pool2d(x, kernel, stride), B, C, H, W).elementwise == {
        "max_pool2d": outputs * (window - 1)
    }
    assert counted(lambda x: F.avg_pool2d(x, kernel, stride), B, C, H, W).elementwise == {
        "avg_pool2d": outputs * window
    }


@pytest.mark.parametrize("masked", [False, True])
def test_attention_scales_masks_and_normalises_each_score(masked: bool) -> None:
    heads, queries, keys, width = 3, 10, 4, 8

    def attention(x: Tensor) -> Tensor:
        mask = torch.zeros(queries, keys) if masked else None
        return F.scaled_dot_product_attention(x, torch.zeros(B, heads, keys, width), x[:, :, :keys], attn_mask=mask)

    cost = counted(attention, B, heads, queries, width)
    assert cost.elementwise == {"attention_softmax": B * heads * queries * keys * (1 + masked + 5)}
    assert cost.macs == B * heads * queries * keys * 2 * width


@pytest.mark.parametrize(
    ("layer", "outputs"),
    [
        (nn.Conv2d(C, 5, 3), B * 5 * (H - 2) * (W - 2)),
        (nn.ConvTranspose2d(C, 5, 2, 2), B * 5 * 4 * H * W),
        (nn.Linear(W, 5), B * C * H * 5),
    ],
)
def test_a_bias_is_added_once_for_each_output(layer: nn.Module, outputs: int) -> None:
    assert module_cost(layer, (B, C, H, W)).elementwise == {"bias": outputs}
    layer.register_parameter("bias", None)
    assert module_cost(layer, (B, C, H, W)).elementwise == {}


def test_an_einsum_that_sums_over_nothing_multiplies_elements() -> None:
    cost = counted(lambda x: torch.einsum("bchw,c->bchw", x, torch.zeros(C)), B, C, H, W)
    assert (cost.macs, cost.elementwise) == (0, {"einsum_multiply": ELEMENTS})


def test_arithmetic_on_integers_is_none_of_activations() -> None:
    assert counted(lambda x: torch.arange(5) * 2 + x.shape[-1], B, C, H, W).elementwise == {}


def test_no_operator_is_in_two_lists() -> None:
    assert not ELEMENTWISE.keys() & PRODUCTS.keys() and not ELEMENTWISE.keys() & IGNORED.keys()
