"""What one call of each operator multiplies and accumulates: fvcore's handlers where they are right, else ours.

fvcore's own know no scaled-dot-product attention, add normalisation and interpolation to the total, and
miscount products whose operands are broadcast, so that products are counted here from the output's shape.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from fvcore.nn.jit_handles import (
    batchnorm_flop_jit,
    conv_flop_jit,
    elementwise_flop_counter,
    get_shape,
    norm_flop_counter,
)

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


def _product(name: str, left: int) -> Handler:
    """MACs of a matrix product: each element of the output sums over the left operand's last dimension."""

    def handler(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
        return Counter({name: math.prod(get_shape(outputs[0])) * get_shape(inputs[left])[-1]})

    return handler


def _attention(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """MACs of softmax(QKᵀ)V: batch · heads · Lq · Lk · (Dqk + Dv). A causal mask spares none of them."""
    query, key, result = get_shape(inputs[0]), get_shape(inputs[1]), get_shape(outputs[0])
    return Counter({ATTENTION: key[-2] * (math.prod(query) + math.prod(result))})


def _einsum(inputs: list[Any], outputs: list[Any]) -> Counter[str]:  # noqa: ARG001
    """MACs of two operands' contraction: the product of the sizes of all labels that meet in it.

    A label that is neither in the other operand nor in the result is summed before, by additions alone;
    without a label to sum over it is a multiplication of elements. Three or more operands can be
    contracted in several orders, which cost differently: those are listed as uncounted.
    """
    equation = inputs[0].toIValue().replace(" ", "")
    shapes = [get_shape(value) for value in inputs[1].node().inputs()]
    if len(shapes) != 2 or "." in equation:
        return Counter({MANY_OPERANDS: 1})
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


ATTENTION = "scaled_dot_product_attention"
MANY_OPERANDS = "einsum of an ellipsis or not two operands"

PRODUCTS = {
    "linear": 0, "matmul": 0, "mm": 0, "bmm": 0, "mv": 0, "dot": 0,
    "addmm": 1, "addmv": 1, "baddbmm": 1,
}  # fmt: skip
"""Matrix products and the place of their left operand among the inputs."""

ELEMENTWISE: Mapping[str, Callable[..., float]] = {
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

HANDLERS: Mapping[str, Handler | None] = {
    "aten::_convolution": conv_flop_jit,
    "aten::scaled_dot_product_attention": _attention,
    "aten::einsum": _einsum,
    **{f"aten::{name}": _product(name, left) for name, left in PRODUCTS.items()},
    **{f"aten::{name}": _named(name, count) for name, count in ELEMENTWISE.items()},
    **{f"aten::{name}": _call(name) for name in IGNORED},
    **{f"aten::{name}": None for name in _MOVES},
}
