"""Does the local branch of a trained Clo attention put out the high frequencies that the global branch lacks?

Both branches are measured on the same images and compared image by image; `spectrum` says how.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from harness.analysis.intervals import t_interval
from harness.claims.spectrum import HIGH, SMALLEST_SIDE, BranchSpectrum, branch_spectrum
from harness.claims.verdict import Cell, Figure, Finding, Verdict, judge_gain
from harness.detectors import load_model
from harness.errors import UserError


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
