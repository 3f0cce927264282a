"""Elementwise operations by stated conventions: what a forward pass computes besides convolutions and products.

They are a small part of the arithmetic and a large part of the time, since each is bound by memory. So they
are counted, named apart, and never added to MACs. The unit is one addition, subtraction, multiplication,
division or comparison of floating-point numbers, or one call of exp, log, tanh, sigmoid, erf or a root. A
function is written out in these: SiLU is a sigmoid and a multiplication, 2; softmax subtracts the maximum it
has found, calls exp, sums and divides, 5. Arithmetic on integers and truth values is none of activations'
and counts nothing.

Norms are fvcore's formulas: a norm in eval mode scales and shifts, 2; one that takes its statistics from the
map adds those, 4, or 5 with a scale and shift of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from fvcore.nn.jit_handles import batchnorm_flop_jit, get_shape, norm_flop_counter

# Takes the traced inputs and outputs of one call; gives its elementwise operations.
Formula = Callable[[list[Any], list[Any]], float]

# Additions of a convolution's or a product's bias: one for each element of the output.
BIAS = "bias"
# Scale, mask and softmax inside scaled-dot-product attention.
ATTENTION_SOFTMAX = "attention_softmax"
# Multiplications of an einsum that sums over nothing.
EINSUM_MULTIPLY = "einsum_multiply"

# Operations for each element of the output. Copying by nearest-neighbour upsampling is 1 as in fvcore, GELU is x/√2,
# erf, + 1, · x, / 2.
PER_OUTPUT: Mapping[str, int] = {
    **dict.fromkeys(("add", "sub", "rsub", "mul", "div", "neg", "abs", "maximum", "minimum", "where"), 1),
    **dict.fromkeys(("exp", "log", "tanh", "sigmoid", "erf", "sqrt", "rsqrt", "pow", "reciprocal"), 1),
    **dict.fromkeys(("sin", "cos", "floor", "ceil", "round", "masked_fill", "relu", "upsample_nearest2d"), 1),
    **dict.fromkeys(("leaky_relu", "clamp", "hardtanh", "relu6", "silu", "prelu"), 2),
    **dict.fromkeys(("elu", "softplus"), 3),
    **dict.fromkeys(("upsample_bilinear2d", "grid_sampler", "hardsigmoid"), 4),
    **dict.fromkeys(("gelu", "mish", "hardswish", "softmax", "log_softmax"), 5),
}

# Operations for each element of the input: n − 1 additions and a division make a mean of n.
PER_INPUT: Mapping[str, int] = {
    **dict.fromkeys(("mean", "sum", "amax", "amin", "max", "min", "cumsum", "adaptive_avg_pool2d"), 1),
    **dict.fromkeys(("linalg_vector_norm", "norm"), 2),
}


def _is_floating(value: Any) -> bool:
    scalar = value.type().scalarType() if hasattr(value.type(), "scalarType") else None
    return scalar in {None, "Float", "Double", "Half", "BFloat16"}


def _each(times: int, values: Callable[[list[Any], list[Any]], Any]) -> Formula:
    """Return a formula: so many operations for each element of one floating-point input or output."""

    def formula(inputs: list[Any], outputs: list[Any]) -> float:
        value = values(inputs, outputs)
        return times * math.prod(get_shape(value) or ()) if _is_floating(value) else 0

    return formula


def _pool(less: int) -> Formula:
    """Return a formula: the pixels of the window, less so many, for each output; clipped windows count in full.

    Averaging n pixels takes n − 1 additions and a division, their maximum n − 1 comparisons.
    """

    def formula(inputs: list[Any], outputs: list[Any]) -> float:
        sides = _integers(inputs[1])
        window = math.prod(sides) if len(sides) > 1 else sides[0] ** 2
        return float(math.prod(get_shape(outputs[0])) * (window - less))

    return formula


def _integers(value: Any) -> list[int]:
    """Read a constant list of a trace, or one made of constants."""
    constant = value.toIValue()
    return [item.toIValue() for item in value.node().inputs()] if constant is None else list(constant)


# Formula of each elementwise operator, by its name in a trace.
ELEMENTWISE: Mapping[str, Formula] = {
    **{name: _each(times, lambda _, outputs: outputs[0]) for name, times in PER_OUTPUT.items()},
    **{name: _each(times, lambda inputs, _: inputs[0]) for name, times in PER_INPUT.items()},
    "batch_norm": batchnorm_flop_jit,
    "group_norm": norm_flop_counter(2),
    "layer_norm": norm_flop_counter(2),
    "instance_norm": norm_flop_counter(1),
    "avg_pool2d": _pool(less=0),
    "max_pool2d": _pool(less=1),
}

# Every name under which elementwise operations are counted.
ELEMENTWISE_NAMES = frozenset({*ELEMENTWISE, BIAS, ATTENTION_SOFTMAX, EINSUM_MULTIPLY})


def attention_softmax(inputs: list[Any], outputs: list[Any]) -> int:
    """Count one scaling, one addition of a mask where there is one, and a softmax for each pair of query and key."""
    scores: int = math.prod(get_shape(outputs[0])[:-1]) * get_shape(inputs[1])[-2]
    return scores * (1 + (get_shape(inputs[3]) is not None) + PER_OUTPUT["softmax"])
