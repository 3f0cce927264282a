"""Does the local branch of a trained Clo attention put out the high frequencies that the global branch lacks?

Both branches are measured on the same images, while a model runs, and compared image by image.

The measure is Park & Kim's (arXiv:2202.06709, figure 2): the log amplitude of the Fourier spectrum of a feature map
along its diagonal, mean over channels, relative to the one at frequency 0. A branch that only blurs lies low at high
frequencies.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness.analysis.intervals import t_interval
from harness.blocks import CloAttention
from harness.claims.verdict import Cell, Figure, Finding, Verdict, judge_gain
from harness.common.errors import UserError
from harness.detectors import load_model

# Lower end of the high frequencies, in units of π a pixel; 1 is the highest.
HIGH = 0.5
# Relative log amplitude below which there is rounding alone; float32's is ln(1.2e-7), −15.9.
CONSTANT = math.log(1e-5)
# Side of the smallest map that is looked at, in pixels: a smaller one has no diagonal to speak of.
SMALLEST_SIDE = 4
BATCH = 16
# (images, frequencies).
Curves = NDArray[np.float64]


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
        """Average over the high frequencies, one value an image."""
        means: NDArray[np.float64] = curves[:, self.frequencies >= HIGH].mean(axis=1)
        return means


def branch_spectrum(model: nn.Module, images: Tensor) -> list[BranchSpectrum]:
    """Compute the spectra in every Clo attention of a model that has both branches, in the order of its modules.

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
    """Compute log amplitude along the spectrum's diagonal less the one at frequency 0, mean over channels.

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


def local_branch_supplies_high_frequencies(
    checkpoint: str | Path | nn.Module | None = None, images: Tensor | None = None
) -> Finding:
    """Compare the branches' high frequencies over images: the verdict follows from the interval of the difference.

    Args:
        checkpoint: A trained detector with Clo attention, or its file; None leaves the claim undecided.
        images: (B, 3, H, W) from 0 to 1 (see `harness.claims.images.read_images`), of the data that it was trained
            for, H and W multiples of its stride.

    Raises:
        UserError: The checkpoint cannot be read, or has no attention with both branches.
    """
    if checkpoint is None or images is None or len(images) < 2:
        return Finding(
            verdict=Verdict.UNDECIDED,
            sentence="The branches' spectra are a matter of trained weights, and there are none here.",
            to_decide="one trained detector with Clo attention and two or more images of its data set",
            command="clo train yolov5n-clo-head",
        )
    model = checkpoint if isinstance(checkpoint, nn.Module) else load_model(str(checkpoint))
    spectra = branch_spectrum(model, images)
    if not spectra:
        name = type(model).__name__ if isinstance(checkpoint, nn.Module) else checkpoint
        raise UserError(
            f"{name}: holds no Clo attention with a local and a global branch, on a map of at least {SMALLEST_SIDE} "
            "pixels; train one that does, such as yolov5n-clo-head"
        )
    return _judge(spectra, len(images))


def _judge(spectra: Sequence[BranchSpectrum], images: int) -> Finding:
    usable = [one for one in spectra if not one.global_is_constant]
    rows = tuple(_row(one) for one in spectra)
    caption = (
        f"Mean relative log amplitude from {HIGH:g} π to π, and the difference's interval over {images} images. "
        "Attentions whose global branch puts out a constant are left out of the verdict."
    )
    if not usable:
        return Finding(
            verdict=Verdict.UNDECIDED,
            sentence="No attention's global branch puts out anything but a constant.",
            rows=rows,
            caption=caption,
            to_decide="longer training, so that the global branches tell windows apart, or maps of several windows",
        )
    differences = [_difference(one) for one in usable]
    mean = np.mean(differences, axis=0)
    low, high = t_interval(mean.tolist())
    verdict = judge_gain(low, high, 0.0)
    positive = sum(bool(difference.mean() > 0) for difference in differences)
    return Finding(
        verdict=verdict,
        sentence=(
            f"Above {HIGH:g} π the local branch's relative log amplitude differs from the global branch's by "
            f"{mean.mean():+.2f} [{low:+.2f}, {high:+.2f}], mean over {images} images; it is higher in {positive} of "
            f"{len(usable)} attentions ({len(spectra) - len(usable)} more left out)."
        ),
        figures=(
            Figure(
                name="local minus global branch", value=float(mean.mean()), low=low, high=high, unit="log amplitude"
            ),
        ),
        rows=rows,
        caption=caption,
        to_decide="more images" if verdict is Verdict.UNDECIDED else "",
    )


def _difference(one: BranchSpectrum) -> NDArray[np.float64]:
    return one.high(one.local_branch) - one.high(one.global_branch)


def _row(one: BranchSpectrum) -> dict[str, Cell]:
    low, high = t_interval(_difference(one).tolist())
    return {
        "attention": one.name,
        "map side": one.side,
        "input": float(one.high(one.entering).mean()),
        "local branch": float(one.high(one.local_branch).mean()),
        "global branch": float(one.high(one.global_branch).mean()),
        "global branch is constant": one.global_is_constant,
        "local minus global": float(_difference(one).mean()),
        "low": low,
        "high": high,
    }
