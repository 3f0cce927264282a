"""Is AttnConv made of convolutions and point-wise operations, and is it equivariant to translation?

Two views of one larger map, some pixels apart, show the same things at shifted places: nothing is invented at a
border and nothing wraps around. Where both see a pixel, away from their borders, an equivariant operator gives it
the same value but for rounding.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from harness.blocks import CloAttention
from harness.claims.verdict import Cell, Figure, Finding, Verdict, judge
from harness.cost.counts import module_cost

# Largest error that counts as rounding, of the output's RMS: 84 times float32's epsilon.
ROUNDING = 1e-5
# Elementwise operators that see one pixel at a time, by the names of `harness.cost.elementwise`.
POINTWISE = frozenset({"sigmoid", "silu", "tanh", "mul", "add", "addcmul", "bias", "sub", "div"})
# Attention within tiles: the operator that must fail.
CONTROL = "window"
# Rows and columns. No tile of 3, 5, 7 or 9 pixels repeats at any of them.
SHIFTS = ((0, 1), (1, 0), (2, 1), (4, 5), (8, 8))


@dataclass(frozen=True, kw_only=True)
class Shifted:
    """What a shift did to an operator.

    Attributes:
        kernel: Side of the kernel or tile, in pixels.
        shift: Rows and columns.
        error: Greatest error of all seeds away from the border, of the output's RMS.
    """

    kernel: int
    shift: tuple[int, int]
    error: float


def attnconv_is_equivariant(
    operator: str = "attnconv",
    kernels: Sequence[int] = (3, 5, 7, 9),
    shifts: Sequence[tuple[int, int]] = SHIFTS,
    seeds: Sequence[int] = (0, 1, 2),
) -> Finding:
    """Check an operator in AttnConv's socket against `CONTROL` in the same socket, with the same weights around it."""
    measured = [shift_error(operator, k, shift, seeds) for k, shift in itertools.product(kernels, shifts)]
    control = [shift_error(CONTROL, k, shift, seeds) for k, shift in itertools.product(kernels, shifts)]
    worst, best_control = max(one.error for one in measured), min(one.error for one in control)
    others = foreign_operators(local_attention(operator, kernels[0], seed=0))
    figures = (
        Figure(name=f"greatest error of {operator}", value=worst, unit="of the output's RMS"),
        Figure(name="smallest error of attention within tiles", value=best_control, unit="of the output's RMS"),
        Figure(name="operators that are neither convolutions nor point-wise", value=len(others)),
    )
    rows: tuple[dict[str, Cell], ...] = tuple(
        {"kernel": own.kernel, "shift": f"{own.shift[0]}, {own.shift[1]}", operator: own.error, "tiles": other.error}
        for own, other in zip(measured, control, strict=True)
    )
    caption = "Greatest error after a shift by rows, columns, away from the border, of the output's RMS."
    if operator != CONTROL and best_control <= ROUNDING:
        return Finding(
            verdict=Verdict.UNDECIDED,
            sentence=f"Attention within tiles passes as well, with an error of {best_control:.1g}: the check is blind.",
            figures=figures,
            rows=rows,
            caption=caption,
            to_decide="shifts that are no multiple of a tile, and a map larger than a tile",
        )
    made_of = f"{', '.join(others)} among others" if others else "convolutions and point-wise operations alone"
    return Finding(
        verdict=judge(worst <= ROUNDING and not others),
        sentence=(
            f"Made of {made_of}; after a shift the output differs by at most {worst:.1g} of its RMS away from the "
            f"border, attention within tiles by at least {best_control:.2g}."
        ),
        figures=figures,
        rows=rows,
        caption=caption,
    )


def shift_error(operator: str, kernel: int, shift: tuple[int, int], seeds: Sequence[int], side: int = 24) -> Shifted:
    """Measure the greatest error of one operator, kernel and shift.

    Args:
        operator: A key of `harness.blocks.operators.LOCAL_OPERATORS`.
        kernel: Side of the kernel or tile, in pixels.
        shift: Rows and columns, 0 or more.
        seeds: Of weights and map.
        side: Side of each view, in pixels.
    """
    errors = [_error(local_attention(operator, kernel, seed), kernel // 2, shift, seed, side) for seed in seeds]
    return Shifted(kernel=kernel, shift=shift, error=max(errors))


def local_attention(operator: str, kernel: int, seed: int) -> nn.Module:
    """Build a Clo attention of 16 channels whose four heads are all local, with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CloAttention(16, 4, [4, 0], [kernel], 1, operator).eval()


def foreign_operators(module: nn.Module) -> list[str]:
    """List the operators of one forward pass that are neither convolutions nor point-wise, by name."""
    cost = module_cost(module, (1, 16, 12, 12))
    return sorted(({*cost.by_operator} - {"conv"}) | ({*cost.elementwise} - POINTWISE) | {*cost.uncounted})


def _error(module: nn.Module, margin: int, shift: tuple[int, int], seed: int, side: int) -> float:
    down, right = shift
    generator = torch.Generator().manual_seed(seed)
    whole = torch.randn(1, 16, side + down, side + right, generator=generator)
    with torch.no_grad():
        here = module(whole[..., :side, :side].contiguous())
        there = module(whole[..., down:, right:].contiguous())
    stays = here[..., margin + down : side - margin, margin + right : side - margin]
    moved = there[..., margin : side - margin - down, margin : side - margin - right]
    return float((stays - moved).abs().max() / here.square().mean().sqrt())
