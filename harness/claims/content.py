"""Do AttnConv's weights follow the content of the input, as a convolution's cannot?

An operator's effective weight at a pixel is the gradient of its output there by its own value there, queries and
keys held: the central tap of the depth-wise kernel for a convolution, the same tap times the gate for AttnConv.
Output pixels farther apart than a kernel are asked at once, since none of them sees another's value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness.blocks.attention import CloAttention
from harness.claims.verdict import Figure, Finding, Verdict, judge

# Least variation that counts as following the content, of the weights' RMS; rounding makes 1e-7.
ADAPTS = 1e-3
WIDTH = 16
HEADS = 4
# Kernel and seed to a Clo attention of `WIDTH` channels whose heads are all local, in one group.
Build = Callable[[int, int], nn.Module]


@dataclass(frozen=True, kw_only=True)
class Variation:
    """How much effective weights vary, as standard deviation over RMS, averaged over channels.

    Attributes:
        over_tokens: Over the pixels of an image.
        over_images: Over images, at one pixel.
        spread: Greatest difference of any two weights of a channel: exactly 0 where they are one number.
    """

    over_tokens: float
    over_images: float
    spread: float


def weights_adapt(build: Build | None = None, kernels: tuple[int, ...] = (3, 5, 7, 9), images: int = 8) -> Finding:
    """Check the weights of AttnConv, or of what `build` makes, with a convolution as the control."""
    build = build or attention("attnconv")
    measured = {kernel: variation(build(kernel, kernel), kernel, images) for kernel in kernels}
    control = {kernel: variation(attention("conv")(kernel, kernel), kernel, images) for kernel in kernels}
    least = min(min(one.over_tokens, one.over_images) for one in measured.values())
    spread = max(one.spread for one in control.values())
    figures = (
        Figure(name="least variation of AttnConv's weights", value=least, unit="of their RMS"),
        Figure(name="greatest difference of a convolution's weights", value=spread),
    )
    rows = tuple(
        {
            "kernel": kernel,
            "over tokens": measured[kernel].over_tokens,
            "over images": measured[kernel].over_images,
            "convolution, over tokens": control[kernel].over_tokens,
            "convolution, over images": control[kernel].over_images,
        }
        for kernel in kernels
    )
    caption = "Standard deviation of the effective weights over their RMS, mean over channels."
    if spread > 0:
        return Finding(
            verdict=Verdict.UNDECIDED,
            sentence=f"A convolution's weights seem to vary, by {spread:.1g}: the check measures something else.",
            figures=figures,
            rows=rows,
            caption=caption,
            to_decide="a measurement that finds a convolution's weights the same everywhere",
        )
    return Finding(
        verdict=judge(least >= ADAPTS),
        sentence=f"The weights vary by at least {least:.1%} of their RMS over tokens and images; a convolution's by 0.",
        figures=figures,
        rows=rows,
        caption=caption,
    )


def attention(operator: str) -> Build:
    """Return a function that builds Clo attentions with this local operator and random weights."""

    def build(kernel: int, seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return CloAttention(WIDTH, HEADS, [HEADS, 0], [kernel], 1, operator)

    return build


def variation(module: nn.Module, kernel: int, images: int) -> Variation:
    """Measure the variation of the effective weights on random images of one size.

    Args:
        module: See `Build`.
        kernel: Side of its kernel, in pixels.
        images: How many.
    """
    weights = effective_weights(module, kernel, _images(images, 6 * kernel)).flatten(2)  # (images, channels, tokens)
    rms = weights.square().mean(dim=(0, 2)).sqrt().clamp_min(torch.finfo(weights.dtype).tiny)
    highest, lowest = weights.amax(dim=(0, 2)), weights.amin(dim=(0, 2))
    return Variation(
        over_tokens=float((weights.std(dim=2).mean(dim=0) / rms).mean()),
        over_images=float((weights.std(dim=0).mean(dim=1) / rms).mean()),
        spread=float((highest - lowest).max()),
    )


def effective_weights(module: nn.Module, kernel: int, images: Tensor) -> Tensor:
    """Compute the effective weight of every channel at a lattice of pixels, (B, channels, rows, columns).

    Args:
        module: See `Build`.
        kernel: Side of its kernel, in pixels: the lattice's period, and how far it stays from the border.
        images: (B, WIDTH, H, W), H and W more than twice the kernel.
    """
    assert isinstance(module, CloAttention)
    branch, streams = module.local_branch[0], module.input_widths[0] // module.local_widths[0]
    with torch.no_grad():
        given = module.project_in(images)
    value = given.narrow(1, (streams - 1) * WIDTH, WIDTH).clone().requires_grad_()
    held = given.narrow(1, 0, (streams - 1) * WIDTH)
    out: Tensor = branch(torch.cat((held, value), dim=1))
    lattice = (..., slice(kernel, -kernel, kernel), slice(kernel, -kernel, kernel))
    asked = torch.zeros_like(out)
    asked[lattice] = 1
    (gradient,) = torch.autograd.grad(out, value, asked)
    weights: Tensor = gradient[lattice]
    return weights


def _images(number: int, side: int) -> Tensor:
    return torch.randn(number, WIDTH, side, side, generator=torch.Generator().manual_seed(0))
