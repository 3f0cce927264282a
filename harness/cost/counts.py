"""Parameters and multiply-accumulates, with a ledger of what was not counted.

"FLOPs" that are MACs, that leave attention out or that add up normalisations make figures of two tools
differ by a factor. Here `macs` is what convolutions and matrix products multiply and accumulate, and
nothing else; what all other operators compute is named beside it.

fvcore traces the model and calls a handler for each operator; `operators` and `elementwise` hold them.

A second oracle, `torch.utils.flop_counter.FlopCounterMode`, counts the same convolutions and products
(times two) of every model here. It is wrong in two places, as tests/cost/test_oracles.py proves: it
has no formula for attention in PyTorch's fused CPU kernel nor for products of a matrix with a vector.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn

from harness.common.errors import UserError
from harness.cost.elementwise import ELEMENTWISE_NAMES
from harness.cost.operators import ATTENTION, HANDLERS, IGNORED, MANY_OPERANDS, PRODUCTS, Handler

__all__ = ["IGNORED", "PRODUCT_NAMES", "Cost", "Handler", "model_cost", "module_cost", "trace"]

# Operators whose multiply-accumulates are counted.
PRODUCT_NAMES = frozenset({*PRODUCTS, "conv", "einsum", ATTENTION})


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one forward pass in eval mode takes; operator names are fvcore's.

    Attributes:
        params: Learnable parameters.
        macs: Multiply-accumulates of convolutions and matrix products; the sum of `by_operator`.
        by_operator: The MACs of each of these operators.
        elementwise: Elementwise operations of each other operator, by the conventions of
            `harness.cost.elementwise`. Not part of `macs`, nor of `flops`.
        ignored: Calls of operators in `IGNORED`.
        uncounted: Calls of operators that no handler counts.
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
    """Count a detector's cost for one square image, in eval mode and unfused. The model stays as it was.

    Heads that only training uses (one-to-many beside one-to-one) are counted where the model computes
    them in eval mode too, as an unfused Ultralytics model does.

    Args:
        model: Takes images (1, channels, imgsz, imgsz).
        imgsz: Side of the image, in pixels.
        channels: Channels of the image.

    Raises:
        UserError: `imgsz` is not a positive multiple of the model's largest stride.
    """
    return module_cost(model, square_input(model, imgsz, channels))


def square_input(model: nn.Module, imgsz: int, channels: int) -> tuple[int, int, int, int]:
    """Return the shape of one square image.

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
    return (1, channels, imgsz, imgsz)


def module_cost(module: nn.Module, input_shape: tuple[int, int, int, int]) -> Cost:
    """Count one module's cost. Costs of blocks that keep channels and stride add up: base + Σ block at its site.

    Args:
        module: Takes one tensor; gives tensors in any nesting of sequences and mappings.
        input_shape: (B, C, H, W).
    """
    return cost_of_trace(module, trace(module, input_shape))


def cost_of_trace(module: nn.Module, traced: Trace) -> Cost:
    """Return the cost that a trace of the module says."""
    return Cost(
        params=sum(parameter.numel() for parameter in module.parameters()),
        macs=sum(_part(traced.total, PRODUCT_NAMES).values()),
        by_operator=_part(traced.total, PRODUCT_NAMES),
        elementwise=_part(traced.total, ELEMENTWISE_NAMES),
        ignored=_part(traced.total, IGNORED),
        uncounted={name.removeprefix("aten::"): calls for name, calls in sorted(traced.uncounted.items())}
        | _part(traced.total, {MANY_OPERANDS}),
    )


@dataclass(frozen=True, kw_only=True)
class Trace:
    """All counts of one forward pass.

    Attributes:
        total: Every name that a handler counts under, with its count.
        by_module: The same for each module by its name, its descendants' included.
        uncounted: Calls of operators without a handler.
    """

    total: Counter[str]
    by_module: Mapping[str, Counter[str]]
    uncounted: Counter[str]


def trace(module: nn.Module, input_shape: tuple[int, int, int, int]) -> Trace:
    """Count one forward pass in eval mode; see `module_cost`. The module stays as it was."""
    # A copy, because tracing puts hooks on modules, and Ultralytics' heads keep the anchors of the last size.
    traced = _FlatOutput(first_pass(module))
    with torch.no_grad(), _attention_as_written():
        analysis = FlopCountAnalysis(traced, torch.zeros(input_shape))
        analysis.clear_op_handles().set_op_handle(**HANDLERS)
        # By who calls it: Ultralytics' layers share one activation, which would be each one's by ownership.
        analysis.ancestor_mode("caller")
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        by_module: Mapping[str, Counter[str]] = analysis.by_module_and_operator()
        uncounted: Counter[str] = analysis.unsupported_ops()
    inside = {name.removeprefix("module").removeprefix("."): counts for name, counts in by_module.items() if name}
    return Trace(total=by_module[""], by_module=inside, uncounted=uncounted)


def first_pass(module: nn.Module) -> nn.Module:
    """Copy a module to the CPU, in eval mode and float32, that has seen no image: its head makes anchors anew.

    Else the anchors' arithmetic would be counted or not depending on the size of the last image.
    """
    copied = copy.deepcopy(module).cpu().float().eval()
    for part in copied.modules():
        if hasattr(part, "anchors") and hasattr(part, "shape"):
            part.shape = None  # type: ignore[assignment]
    return copied


def tensors(output: object) -> Iterator[Tensor]:
    """Yield the tensors in any nesting of sequences and mappings, in order."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from tensors(value)
    elif isinstance(output, Sequence) and not isinstance(output, str):
        for value in output:
            yield from tensors(value)


class _FlatOutput(nn.Module):
    """The module with its output as a flat tuple of tensors, which is all that tracing takes."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(tensors(self.module(x)))


@contextmanager
def _attention_as_written() -> Iterator[None]:
    """Switch off `nn.MultiheadAttention`'s fast path: one opaque operator that cannot be traced."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _part(counts: Mapping[str, float], names: Iterable[str]) -> dict[str, int]:
    return {name: int(counts[name]) for name in sorted(names) if counts.get(name)}
