"""Which input pixels an output pixel hears: those that its gradient leads to, in float64."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Channels of the maps that are used.
WIDTH = 8


def pixels_reached(module: nn.Module, side: int) -> Tensor:
    """Mark the input pixels that the output pixel at (side // 2, side // 2) depends on, (side, side).

    Args:
        module: Keeps the size of maps of `WIDTH` channels; is in float64 afterwards.
        side: Side of the map, in pixels.
    """
    given, out = _run(module, (side, side))
    return _heard_by(out[0, side // 2, side // 2], given)


def share_reached(module: nn.Module, size: tuple[int, int]) -> float:
    """Compute the share of all pairs of an output and an input pixel in which the output depends on the input.

    Args:
        module: See `pixels_reached`.
        size: Height and width of the map, in pixels.
    """
    given, out = _run(module, size)
    return sum(int(_heard_by(pixel, given).sum()) for pixel in out.flatten()) / out.numel() ** 2


def _run(module: nn.Module, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Run a random map: the map, and (1, H, W), a random combination of the output channels at each pixel."""
    generator = torch.Generator().manual_seed(0)
    given = torch.randn(1, WIDTH, *size, generator=generator, dtype=torch.float64, requires_grad=True)
    out: Tensor = module.double()(given)
    direction = torch.randn(out.shape[1], generator=generator, dtype=torch.float64)
    return given, (out * direction.view(1, -1, 1, 1)).sum(dim=1)


def _heard_by(pixel: Tensor, given: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(pixel, given, retain_graph=True)
    return gradient[0].abs().amax(dim=0) > 0
