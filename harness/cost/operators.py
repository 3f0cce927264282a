"""What one call of each operator multiplies and accumulates: fvcore's handlers where they are right, else ours.

fvcore's own know no scaled-dot-product attention, add normalisation and interpolation to the total, and
miscount products whose operands are broadcast (tests/cost/test_oracles.py has the proof), so that products
are counted here from the output's shape. What else is computed is counted by `elementwise`, under names apart.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from fvcore.nn.jit_handles import conv_flop_jit, get_shape

from harness.cost.elementwise import ATTENTION_SOFTMAX, BIAS, EINSUM_MULTIPLY, ELEMENTWISE, attention_softmax

# Takes the traced inputs and outputs of one call; gives its count under fvcore's operator name.
Handler = Callable[[list[Any], list[Any]], Counter[str]]

# Operators that make masks, indices and places; their calls are listed beside every result.
#
# fvcore's list of ignored operators holds besides these only what moves or reshapes data, computes sizes, or fills new
# tensors; none of that is arithmetic on activations, and it is in no figure here.
IGNORED: Mapping[str, str] = {
    **dict.fromkeys(("eq", "ne", "ge", "gt", "le", "lt"), "one comparison an element, for a mask or an index"),
    "bitwise_not": "one bit operation an element, of a mask",
    "remainder": "one division an element, of indices",
    "meshgrid": "places of pixels, made once for each image size",
}


def _convolution(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """Count MACs as fvcore counts them, and the bias apart."""
    biased = get_shape(inputs[2]) is not None
    return Counter(conv_flop_jit(inputs, outputs)) + Counter({BIAS: biased * math.prod(get_shape(outputs[0]))})


def _product(name: str, left: int) -> Handler:
    """Return a counter of a matrix product's MACs: each output element sums over the left operand's last dimension."""

    def handler(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
        elements = math.prod(get_shape(outputs[0]))
        biased = left == 1 or (name == "linear" and get_shape(inputs[2]) is not None)
        return Counter({name: elements * get_shape(inputs[left])[-1], BIAS: biased * elements})

    return handler


def _attention(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
    """Count MACs of softmax(QKᵀ)V: batch · heads · Lq · Lk · (Dqk + Dv). A causal mask spares none of them."""
    query, key, result = get_shape(inputs[0]), get_shape(inputs[1]), get_shape(outputs[0])
    macs = key[-2] * (math.prod(query) + math.prod(result))
    return Counter({ATTENTION: macs, ATTENTION_SOFTMAX: attention_softmax(inputs, outputs)})


def _einsum(inputs: list[Any], outputs: list[Any]) -> Counter[str]:  # noqa: ARG001
    """Count MACs of two operands' contraction: the product of the sizes of all labels that meet in it.

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
        return Counter({EINSUM_MULTIPLY: math.prod(sizes[label] for label in set(left + right) & set(result))})
    return Counter({"einsum": math.prod(sizes[label] for label in shared | set(result))})


def _named(name: str, count: Callable[..., float]) -> Handler:
    def handler(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
        return Counter({name: int(count(inputs, outputs))})

    return handler


def _call(name: str) -> Handler:
    return _named(name, lambda *_: 1)


ATTENTION = "scaled_dot_product_attention"
MANY_OPERANDS = "einsum of an ellipsis or not two operands"

# Matrix products and the place of their left operand among the inputs.
PRODUCTS = {
    "linear": 0, "matmul": 0, "mm": 0, "bmm": 0, "mv": 0, "dot": 0,
    "addmm": 1, "addmv": 1, "baddbmm": 1,
}  # fmt: skip

# What only moves data or changes its shape and is younger than fvcore's list of such operators.
_MOVES = (
    *("alias", "clone", "expand_as", "flip", "mT", "movedim", "pixel_shuffle", "repeat", "reshape_as"),
    *("swapaxes", "unflatten", "view_as"),
)

HANDLERS: Mapping[str, Handler | None] = {
    "aten::_convolution": _convolution,
    "aten::scaled_dot_product_attention": _attention,
    "aten::einsum": _einsum,
    **{f"aten::{name}": _product(name, left) for name, left in PRODUCTS.items()},
    **{f"aten::{name}{end}": _named(name, count) for name, count in ELEMENTWISE.items() for end in ("", "_")},
    **{f"aten::{name}": _call(name) for name in IGNORED},
    **{f"aten::{name}": None for name in _MOVES},
}
