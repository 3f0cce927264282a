"""Parameters and multiply-accumulates, with a ledger of what was not counted.

"FLOPs" that are MACs, that leave attention out or that add up normalisations make figures of two tools
differ by a factor. Here `macs` is what convolutions and matrix products multiply and accumulate, and
nothing else; all other operators are named beside it.

fvcore traces the model and calls a handler for each operator; `operators` holds them.

A second oracle, `torch.utils.flop_counter.FlopCounterMode`, counts the same convolutions and
products (times two) for every model here. It misses attention that runs in PyTorch's fused CPU kernel,
for which it has no formula, and products of a matrix with a vector.
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

from harness.errors import UserError
from harness.measure.operators import ATTENTION, ELEMENTWISE, HANDLERS, IGNORED, MANY_OPERANDS, PRODUCTS, Handler

__all__ = ["IGNORED", "Cost", "Handler", "model_cost", "module_cost"]


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
        analysis.clear_op_handles().set_op_handle(**HANDLERS)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        counts: Counter[str] = analysis.by_operator()
        uncounted: Counter[str] = analysis.unsupported_ops()
    products = _part(counts, {*PRODUCTS, "conv", "einsum", ATTENTION})
    return Cost(
        params=sum(parameter.numel() for parameter in module.parameters()),
        macs=sum(products.values()),
        by_operator=products,
        elementwise=_part(counts, ELEMENTWISE),
        ignored=_part(counts, IGNORED),
        uncounted={name.removeprefix("aten::"): calls for name, calls in sorted(uncounted.items())}
        | _part(counts, {MANY_OPERANDS}),
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
