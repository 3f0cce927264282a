"""Parameters and multiply-accumulates, with a ledger of what was not counted.

"FLOPs" that are MACs, that leave attention out or that add up normalisations make figures of two tools
differ by a factor. Here `macs` is what convolutions and matrix products multiply and accumulate, and
nothing else; all other operators are named beside it.

fvcore traces the model and calls a handler for each operator. Its own handlers know no
scaled-dot-product attention, add normalisation and interpolation to the total, and miscount
products whose operands are broadcast, so that products are counted here from the output's shape.

A second oracle, `torch.utils.flop_counter.FlopCounterMode`, counts the same convolutions and
products (times two) for every model here. It misses attention that runs in PyTorch's fused CPU kernel,
for which it has no formula, and products of a matrix with a vector.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis
from fvcore.nn.jit_handles import (
    batchnorm_flop_jit,
    conv_flop_jit,
    elementwise_flop_counter,
    get_shape,
    norm_flop_counter,
)
from torch import Tensor, nn

from harness.errors import UserError

Handler = Callable[[list[Any], list[Any]], Counter[str]]
"""Takes the traced inputs and outputs of one call; gives its count under fvcore's operator name."""

IGNORED: Mapping[str, str] = {
    "relu": "one comparison an element",
    "relu_": "one comparison an element",
    "clamp": "two comparisons an element",
    "clamp_": "two comparisons an element",
    "max": "one comparison an element",
    "eq": "one comparison an element",
    "ge": "one comparison an element",
    "gt": "one comparison an element",
    "bitwise_not": "one bit operation an element",
    "floor": "one rounding an element",
    "remainder": "one division an element, of indices",
}
"""Operators that fvcore leaves out although they compute something for each element, and what.

fvcore's list holds besides these only what moves or reshapes data, computes sizes, or fills new tensors;
none of that is arithmetic on activations, and it is in no figure here."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one forward pass in eval mode takes; operator names are fvcore's.

    Attributes:
        params: Learnable parameters.
        macs: Multiply-accumulates of convolutions and matrix products; the sum of `by_operator`.
        by_operator: The MACs of each of these operators.
        elementwise: Elementwise operations of normalisation, interpolation and pooling, by fvcore's
            formulas. Not part of `macs`; fused models do not run the batch norms among them.
        ignored: Calls of operators in `IGNORED`.
        uncounted: Calls of operators that no handler counts, activation functions for instance.
    """

    params: int
    macs: int
    by_operator: dict[str, int]
    elementwise: dict[str, int]
    ignored: dict[str, int]
    uncounted: dict[str, int]

    @property
    def flops(self) -> int:
        """Operations of convolutions and products: a MAC is a multiplication and an addition."""
        return 2 * self.macs


def model_cost(model: nn.Module, imgsz: int, channels: int = 3) -> Cost:
    """Cost of a detector for one square image, in eval mode and unfused. The model stays as it was.

    Heads that only training uses (one-to-many beside one-to-one) are counted where the model computes
    them in eval mode too, as an unfused Ultralytics model does.

    Args:
        model: Takes images (1, channels, imgsz, imgsz).
        imgsz: Side of the image, in pixels.
        channels: Channels of the image.

    Raises:
        UserError: `imgsz` is not a positive multiple of the model's largest stride.
    """
    stride = int(torch.as_tensor(getattr(model, "stride", 1)).max())
    if imgsz < 1 or imgsz % stride:
        smaller = max(imgsz // stride, 1) * stride
        raise UserError(
            f"image size {imgsz}: the model's largest stride is {stride}, "
            f"so it is a positive multiple of that, such as {smaller} or {smaller + stride}"
        )
    return module_cost(model, (1, channels, imgsz, imgsz))


def module_cost(module: nn.Module, input_shape: tuple[int, int, int, int]) -> Cost:
    """Cost of one module. Cost of blocks that keep channels and stride adds up: base + Σ block at its site.

    Args:
        module: Takes one tensor; gives tensors in any nesting of sequences and mappings.
        input_shape: (B, C, H, W).
    """
    # A copy, because tracing puts hooks on modules, and Ultralytics' heads keep the anchors of the last size.
    traced = _FlatOutput(copy.deepcopy(module)).cpu().float().eval()
    with torch.no_grad(), _attention_as_written():
        analysis = FlopCountAnalysis(traced, torch.zeros(input_shape))
        analysis.clear_op_handles().set_op_handle(**_HANDLERS)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        counts: Counter[str] = analysis.by_operator()
        uncounted: Counter[str] = analysis.unsupported_ops()
    products = _part(counts, {*_PRODUCTS, "conv", "einsum", _ATTENTION})
    return Cost(
        params=sum(parameter.numel() for parameter in module.parameters()),
        macs=sum(products.values()),
        by_operator=products,
        elementwise=_part(counts, _ELEMENTWISE),
        ignored=_part(counts, IGNORED),
        uncounted={name.removeprefix("aten::"): calls for name, calls in sorted(uncounted.items())}
        | _part(counts, {_MANY_OPERANDS}),
    )


class _FlatOutput(nn.Module):
    """The module with its output as a flat tuple of tensors, which is all that tracing takes."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(_tensors(self.module(x)))


def _tensors(output: object) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from _tensors(value)
    elif isinstance(output, Sequence) and not isinstance(output, str):
        for value in output:
            yield from _tensors(value)


@contextmanager
def _attention_as_written() -> Iterator[None]:
    """Without `nn.MultiheadAttention`'s fast path: one opaque operator that cannot be traced."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _part(counts: Mapping[str, float], names: Iterable[str]) -> dict[str, int]:
    return {name: int(counts[name]) for name in sorted(names) if counts.get(name)}


# --- Handlers -----------------------------------------------------------------------------------


def _product(name: str, left: int) -> Handler:
    """MACs of a matrix product: each element of the output sums over the left operand's last dimension."""

    def handler(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
        return Counter({name: math.prod(get_shape(outputs[0])) * get_shape(inputs[left])[-1]})

    return handler


def _attention(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """MACs of softmax(QKᵀ)V: batch · heads · Lq · Lk · (Dqk + Dv). A causal mask spares none of them."""
    query, key, result = get_shape(inputs[0]), get_shape(inputs[1]), get_shape(outputs[0])
    return Counter({_ATTENTION: key[-2] * (math.prod(query) + math.prod(result))})


def _einsum(inputs: list[Any], outputs: list[Any]) -> Counter[str]:  # noqa: ARG001
    """MACs of two operands' contraction: the product of the sizes of all labels that meet in it.

    A label that is neither in the other operand nor in the result is summed before, by additions alone;
    without a label to sum over it is a multiplication of elements. Three or more operands can be
    contracted in several orders, which cost differently: those are listed as uncounted.
    """
    equation = inputs[0].toIValue().replace(" ", "")
    shapes = [get_shape(value) for value in inputs[1].node().inputs()]
    if len(shapes) != 2 or "." in equation:
        return Counter({_MANY_OPERANDS: 1})
    terms, arrow, result = equation.partition("->")
    left, right = terms.split(",")
    if not arrow:
        result = "".join(label for label, times in Counter(left + right).items() if times == 1)
    sizes = dict(zip(left + right, shapes[0] + shapes[1], strict=True))
    shared = set(left) & set(right)
    if not shared - set(result):
        return Counter({"einsum": 0})
    return Counter({"einsum": math.prod(sizes[label] for label in shared | set(result))})


def _named(name: str, count: Callable[..., float]) -> Handler:
    def handler(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
        return Counter({name: int(count(inputs, outputs))})

    return handler


def _call(name: str) -> Handler:
    return _named(name, lambda *_: 1)


_ATTENTION = "scaled_dot_product_attention"
_MANY_OPERANDS = "einsum of an ellipsis or not two operands"

_PRODUCTS = {
    "linear": 0, "matmul": 0, "mm": 0, "bmm": 0, "mv": 0, "dot": 0,
    "addmm": 1, "addmv": 1, "baddbmm": 1,
}  # fmt: skip
"""Matrix products and the place of their left operand among the inputs."""

_ELEMENTWISE: Mapping[str, Callable[..., float]] = {
    "batch_norm": batchnorm_flop_jit,
    "group_norm": norm_flop_counter(2),
    "layer_norm": norm_flop_counter(2),
    "instance_norm": norm_flop_counter(1),
    "upsample_nearest2d": elementwise_flop_counter(0, 1),
    "upsample_bilinear2d": elementwise_flop_counter(0, 4),
    "avg_pool2d": elementwise_flop_counter(1, 0),
    "adaptive_avg_pool2d": elementwise_flop_counter(1, 0),
    "grid_sampler": elementwise_flop_counter(0, 4),
}

_MOVES = ("alias", "clone", "expand_as", "flip", "mT", "movedim", "repeat", "reshape_as", "view_as")
"""What only moves data or changes its shape and is younger than fvcore's list of such operators."""

_HANDLERS: Mapping[str, Handler | None] = {
    "aten::_convolution": conv_flop_jit,
    "aten::scaled_dot_product_attention": _attention,
    "aten::einsum": _einsum,
    **{f"aten::{name}": _product(name, left) for name, left in _PRODUCTS.items()},
    **{f"aten::{name}": _named(name, count) for name, count in _ELEMENTWISE.items()},
    **{f"aten::{name}": _call(name) for name in IGNORED},
    **{f"aten::{name}": None for name in _MOVES},
}
