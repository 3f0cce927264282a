"""The Fourier spectrum of what the two branches of a Clo attention put out, seen while a model runs.

The measure is Park & Kim's (arXiv:2202.06709, figure 2): the log amplitude of the Fourier spectrum of a feature map
along its diagonal, mean over channels, relative to the one at frequency 0. A branch that only blurs lies low at high
frequencies.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness.blocks import CloAttention

HIGH = 0.5
"""Lower end of the high frequencies, in units of π a pixel; 1 is the highest."""
CONSTANT = math.log(1e-5)
"""Relative log amplitude below which there is rounding alone; float32's is ln(1.2e-7), −15.9."""
SMALLEST_SIDE = 4
"""Side of the smallest map that is looked at, in pixels: a smaller one has no diagonal to speak of."""
BATCH = 16
Curves = NDArray[np.float64]
"""(images, frequencies)."""


@dataclass(frozen=True, kw_only=True)
class BranchSpectrum:
    """Relative log amplitudes in one Clo attention; 0 at frequency 0, natural logarithm.

    Attributes:
        name: Path of the attention within the model.
        side: Shorter side of its map, in pixels.
        frequencies: In units of π a pixel, from 0 to 1.
        entering: Of the attention's input.
        local_branch: Of all local heads.
        global_branch: Of all global heads.
    """

    name: str
    side: int
    frequencies: NDArray[np.float64]
    entering: Curves
    local_branch: Curves
    global_branch: Curves

    @property
    def global_is_constant(self) -> bool:
        """Whether the global branch puts out nothing but a constant and rounding.

        It attends to all windows alike, or there is one window alone: a map no larger than the pool.
        """
        return bool(self.global_branch[:, 1:].max() < CONSTANT)

    def high(self, curves: Curves) -> NDArray[np.float64]:
        """Mean over the high frequencies, one value an image."""
        means: NDArray[np.float64] = curves[:, self.frequencies >= HIGH].mean(axis=1)
        return means


def branch_spectrum(model: nn.Module, images: Tensor) -> list[BranchSpectrum]:
    """The spectra in every Clo attention of a model that has both branches, in the order of its modules.

    Attentions on maps below `SMALLEST_SIDE` are left out.

    Args:
        model: Takes images; evaluated in eval mode, and left as it was.
        images: (B, 3, H, W).
    """
    attentions = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, CloAttention) and module.local_widths and module.global_branch is not None
    }
    seen: dict[str, _Seen] = {name: _Seen() for name in attentions}
    place = next(model.parameters())
    was_training = {module: module.training for module in model.modules()}
    with ExitStack() as stack, torch.no_grad():
        for name, attention in attentions.items():
            for handle in seen[name].watch(attention):
                stack.callback(handle.remove)
        model.eval()
        for first in range(0, len(images), BATCH):
            model(images[first : first + BATCH].to(place))
            for one in seen.values():
                one.note_batch()
    for module, training in was_training.items():
        module.training = training
    return [one.spectrum(name) for name, one in seen.items() if one.side >= SMALLEST_SIDE]


def relative_log_amplitude(maps: Tensor) -> Tensor:
    """Log amplitude along the diagonal of the spectrum less the one at frequency 0, mean over channels.

    What lies below float32's rounding of a channel's largest amplitude is put at that: a constant map has nothing
    but rounding at the other frequencies, or exact zeros, whose logarithm would be minus infinity.

    Args:
        maps: (B, C, H, W); a square is cut from the middle, since the diagonal is one.

    Returns:
        (B, side // 2 + 1), at the frequencies 2 i / side, in units of π a pixel.
    """
    side = min(maps.shape[-2:])
    top, left = (maps.shape[-2] - side) // 2, (maps.shape[-1] - side) // 2
    square = maps[..., top : top + side, left : left + side].double()
    amplitude = torch.fft.fft2(square).abs()
    rounding = amplitude.amax(dim=(-2, -1), keepdim=True) * torch.finfo(torch.float32).eps
    amplitude = torch.maximum(amplitude, rounding).clamp_min(torch.finfo(torch.float64).tiny)
    diagonal: Tensor = amplitude.log().mean(dim=1).diagonal(dim1=-2, dim2=-1)[:, : side // 2 + 1]
    relative: Tensor = diagonal - diagonal[:, :1]
    return relative


class _Seen:
    """What hooks see of one attention, reduced to curves after each batch."""

    def __init__(self) -> None:
        self.side = 0
        self.maps: dict[str, list[Tensor]] = {"entering": [], "local": [], "global": []}
        self.curves: dict[str, list[Tensor]] = {"entering": [], "local": [], "global": []}

    def watch(self, attention: CloAttention) -> list[torch.utils.hooks.RemovableHandle]:
        assert attention.global_branch is not None
        handles = [branch.register_forward_hook(self._hook("local")) for branch in attention.local_branch]
        handles.append(attention.global_branch.register_forward_hook(self._hook("global")))
        handles.append(attention.register_forward_pre_hook(lambda _m, args: self.maps["entering"].append(args[0])))
        return handles

    def _hook(self, branch: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
            self.maps[branch].append(output)

        return hook

    def note_batch(self) -> None:
        for branch, maps in self.maps.items():
            if maps:
                self.side = min(maps[0].shape[-2:])
                self.curves[branch].append(relative_log_amplitude(torch.cat(maps, dim=1)).cpu())
                maps.clear()

    def spectrum(self, name: str) -> BranchSpectrum:
        entering, local_branch, global_branch = (torch.cat(curves).numpy() for curves in self.curves.values())
        return BranchSpectrum(
            name=name,
            side=self.side,
            frequencies=np.arange(self.side // 2 + 1) * 2 / self.side,
            entering=entering,
            local_branch=local_branch,
            global_branch=global_branch,
        )
