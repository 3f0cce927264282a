"""The operators that AttnConv is compared with, against loops over pixels; and AttnConv's switchable parts."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from harness.blocks import CloAttention, CloBlock, ConvFFN
from harness.blocks.attention import AttnConv
from harness.blocks.official import OfficialStateDictError
from harness.blocks.operators import GATES, LOCAL_OPERATORS, AblatedAttnConv, NeighbourhoodAttention, WindowAttention
from tests.blocks.plain import conv
from tests.blocks.test_block import noise

Array = npt.NDArray[np.float64]
MAPS = [(7, 5), (1, 1), (2, 9), (6, 6)]
SETTINGS = [("attnconv", gate, qk, v) for gate in GATES for qk in (True, False) for v in (True, False)]
SETTINGS += [(name, "swish_tanh", True, True) for name in LOCAL_OPERATORS if name != "attnconv"]


def attention_over(qkv: Tensor, heads: int, neighbours: dict[tuple[int, int], list[tuple[int, int]]]) -> Array:
    """softmax(QKᵀ/√d)V of each pixel over its neighbours, one number at a time."""
    [values] = qkv.double().numpy()
    query, key, value = np.split(values, 3)
    head_dim = len(query) // heads
    out = np.zeros_like(query)
    for (y, x), others in neighbours.items():
        for head in range(heads):
            own = slice(head * head_dim, (head + 1) * head_dim)
            scores = np.array([query[own, y, x] @ key[own, i, j] for i, j in others]) / math.sqrt(head_dim)
            shares = np.exp(scores - scores.max())
            shares /= shares.sum()
            out[own, y, x] = sum(share * value[own, i, j] for share, (i, j) in zip(shares, others, strict=True))
    return out


@pytest.mark.parametrize(("height", "width"), MAPS)
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_a_neighbourhood_is_the_pixels_around_that_lie_on_the_map(height: int, width: int, kernel: int) -> None:
    qkv = noise(1, 24, height, width)
    reach = kernel // 2
    pixels = list(np.ndindex(height, width))
    around = {(y, x): [(i, j) for i, j in pixels if abs(i - y) <= reach and abs(j - x) <= reach] for y, x in pixels}
    out = NeighbourhoodAttention(8, 2, kernel)(qkv)
    np.testing.assert_allclose(out[0].numpy(), attention_over(qkv, 2, around), atol=1e-5)


@pytest.mark.parametrize(("height", "width"), MAPS)
@pytest.mark.parametrize("side", [1, 3, 5, 11])
def test_a_tile_is_clipped_at_the_border_and_by_the_map(height: int, width: int, side: int) -> None:
    qkv = noise(1, 24, height, width)
    rows, columns = min(side, height), min(side, width)
    pixels = list(np.ndindex(height, width))
    tile = {
        (y, x): [(i, j) for i, j in pixels if i // rows == y // rows and j // columns == x // columns]
        for y, x in pixels
    }
    out = WindowAttention(8, 2, side)(qkv)
    np.testing.assert_allclose(out[0].numpy(), attention_over(qkv, 2, tile), atol=1e-5)


def test_the_convolution_is_depth_wise_with_a_residual() -> None:
    made = LOCAL_OPERATORS["conv"](6, 2, 5)
    x = noise(2, 6, 7, 4)
    weights = dict(made.state_dict())
    torch.testing.assert_close(made(x), x + conv(x, weights, "aggregate", padding=2, groups=6))


def official_part(attnconv: AttnConv) -> dict[str, Tensor]:
    """AttnConv's weights under the names of the ablated one."""
    own = attnconv.state_dict()
    two_thirds = len(own["aggregate.bias"]) * 2 // 3
    split = {
        f"{name}.{kind}": own[f"aggregate.{kind}"][part]
        for name, part in (("aggregate_qk", slice(two_thirds)), ("aggregate_v", slice(two_thirds, None)))
        for kind in ("weight", "bias")
    }
    return split | {key: value for key, value in own.items() if key.startswith("gate")}


def test_with_nothing_changed_it_is_attnconv() -> None:
    attnconv, ablated = AttnConv(8, 5, 4**-0.5), AblatedAttnConv(8, 2, 5)
    ablated.load_state_dict(official_part(attnconv))
    x = noise(2, 24, 6, 7)
    torch.testing.assert_close(ablated(x), attnconv(x), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("gate", "weight"),
    [
        ("swish_tanh", lambda inner, outer: math.tanh(outer(inner / (1 + math.exp(-inner))) / math.sqrt(2))),
        ("tanh", lambda inner, outer: math.tanh(outer(inner) / math.sqrt(2))),
        ("sigmoid", lambda inner, outer: 1 / (1 + math.exp(-outer(inner) / math.sqrt(2)))),
        ("none", lambda inner, outer: outer(inner) / math.sqrt(2)),
    ],
)
def test_a_gate_of_one_pixel_by_hand(gate: str, weight: object) -> None:
    """Width 2 in one head, diagonal 1×1 convolutions, no aggregation: each channel is a sum of its own."""
    made = AblatedAttnConv(2, 1, 3, gate, aggregate_qk=False, aggregate_v=False)
    with torch.no_grad():
        for layer, factor, shift in ((made.gate_in, 3.0, 0.5), (made.gate_out, -2.0, 0.25)):
            layer.weight.copy_(factor * torch.eye(2)[:, :, None, None])
            layer.bias.fill_(shift)
    query, key, value = (0.3, -1.2), (0.7, 0.4), (5.0, -3.0)
    out = made(torch.tensor([*query, *key, *value]).reshape(1, 6, 1, 1)).flatten().tolist()
    expected = [
        weight(3.0 * q * k + 0.5, lambda inner: -2.0 * inner + 0.25) * v  # type: ignore[operator]
        for q, k, v in zip(query, key, value, strict=True)
    ]
    assert out == pytest.approx(expected, rel=1e-5)


def test_softmax_gates_of_a_head_sum_to_one_at_every_pixel() -> None:
    made = AblatedAttnConv(6, 2, 3, "softmax", aggregate_v=False)
    qkv = noise(2, 18, 4, 4)
    qkv[:, 12:] = 1.0  # values of 1 leave the weights themselves
    gates = made(qkv).reshape(2, 2, 3, 4, 4)
    torch.testing.assert_close(gates.sum(dim=2), torch.ones(2, 2, 4, 4))


def test_what_is_not_aggregated_does_not_see_its_neighbours() -> None:
    """The gradient of one output pixel says which input pixels it depends on, by stream."""
    for aggregate_qk, aggregate_v in ((True, False), (False, True), (False, False)):
        made = AblatedAttnConv(4, 2, 5, aggregate_qk=aggregate_qk, aggregate_v=aggregate_v)
        qkv = noise(1, 12, 9, 9).requires_grad_()
        made(qkv)[0, :, 4, 4].sum().backward()
        assert qkv.grad is not None
        reach = (qkv.grad[0] != 0).sum(dim=(1, 2))
        assert set(reach[:8].tolist()) == {25 if aggregate_qk else 1}
        assert set(reach[8:].tolist()) == {25 if aggregate_v else 1}


def shifts() -> Iterator[tuple[str, float]]:
    """Largest difference between shifting the input by one pixel and shifting the output, away from the border."""
    x = noise(1, 16, 20, 20)
    for name in LOCAL_OPERATORS:
        torch.manual_seed(0)
        layer = CloAttention(16, 4, [4, 0], [5], 1, name).eval()
        moved = layer(torch.roll(x, (1, 1), (2, 3)))
        difference = (moved - torch.roll(layer(x), (1, 1), (2, 3)))[:, :, 6:-6, 6:-6]
        yield name, float(difference.abs().max())


def test_all_but_tiles_are_equivariant_to_translation() -> None:
    with torch.no_grad():
        errors = dict(shifts())
    assert all(errors[name] < 1e-5 for name in ("attnconv", "conv", "neighbourhood"))
    assert errors["window"] > 1e-2


@pytest.mark.parametrize(("operator", "gate", "aggregate_qk", "aggregate_v"), SETTINGS)
def test_every_setting_learns_in_every_parameter(
    operator: str, gate: str, aggregate_qk: bool, aggregate_v: bool
) -> None:
    made = CloAttention(16, 4, [1, 2, 1], [3, 5], 2, operator, gate, aggregate_qk, aggregate_v)
    out = made(noise(2, 16, 7, 6))
    assert out.shape == (2, 16, 7, 6)
    out.square().sum().backward()
    silent = [name for name, p in made.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert silent == []
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in made.parameters())


def test_a_plain_ffn_is_a_conv_ffn_without_its_convolution() -> None:
    plain = ConvFFN(8, 16, 5, 1, 8, depthwise=False)
    weights = dict(plain.state_dict())
    x = noise(2, 8, 5, 5)
    expected = conv(nn.functional.gelu(conv(x, weights, "fc1")), weights, "fc2")
    torch.testing.assert_close(plain(x), expected)
    assert [key for key in weights if "dwconv" in key] == []


def test_official_weights_are_refused_by_another_operator() -> None:
    official = CloAttention(8, 2, [1, 1], [3], 2)
    weights = official.official_tensors()
    with pytest.raises(OfficialStateDictError, match="another local operator than the published AttnConv"):
        CloAttention(8, 2, [1, 1], [3], 2, "conv").load_official_state_dict(weights)
    block = CloBlock(8, 8, 2, [1, 1], [3], 2, 3, 2, 1, "official", "attnconv", "sigmoid")
    with pytest.raises(OfficialStateDictError, match="another local operator"):
        block.load_official_state_dict(CloBlock(8, 8, 2, [1, 1], [3], 2, 3, 2, 1, "official").official_tensors())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("swin",), "operator is 'swin'; it is one of attnconv, conv, neighbourhood, window"),
        (("attnconv", "relu"), "gate is 'relu'; it is one of swish_tanh, tanh, sigmoid, softmax, none"),
    ],
)
def test_what_is_no_operator_is_refused_with_the_allowed_ones(arguments: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        CloAttention(8, 2, [1, 1], [3], 2, *arguments)


def test_a_stride_without_a_depth_wise_convolution_is_refused() -> None:
    with pytest.raises(ValueError, match="stride is 2 without a depth-wise convolution"):
        ConvFFN(8, 16, 5, 2, 8, depthwise=False)
    with pytest.raises(ValueError, match="ffn is 'mlp'; it is 'conv' or 'plain'"):
        CloBlock(8, 8, 2, [1, 1], [3], 2, 3, 2, 1, ffn="mlp")
