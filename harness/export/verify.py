"""Whether an export says elsewhere what the model says here: its script run in a fresh process, outputs compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

import harness
from harness.common.atomic import scratch_folder
from harness.common.errors import UserError
from harness.export import fresh_process
from harness.export.exported import Form
from harness.latency.runtimes import Dtype, prediction, relative_difference

# Largest relative difference of a channel where PyTorch runs both; the order of sums may differ, the rest may not.
_SAME_CODE = 1e-4
_SECONDS = 600.0
_WITHOUT_US = frozenset({Form.ONNX, Form.STANDALONE})


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What a fresh process said, and how far from the model here.

    Attributes:
        engine: Name and version of what ran it.
        output_shape: Of what it said.
        max_difference: Largest absolute difference, in the outputs' own units.
    """

    engine: str
    output_shape: tuple[int, ...]
    max_difference: float


def compare_in_fresh_process(network: nn.Module, folder: Path, imgsz: int, form: Form) -> Compared:
    """Load a written export as somebody else would and compare what it says of one image.

    Args:
        network: The model that was written.
        folder: The export's; has `load.py`.
        imgsz: Side of the square input, in pixels.
        form: What was written.

    Raises:
        UserError: It does not load, says something else, or an ONNX file's script needs clo-nas.
    """
    pixels = fresh_process.fixed_image(imgsz)
    expected = fresh_process.first_output(network, torch.from_numpy(pixels))
    with scratch_folder() as scratch:
        image, output = scratch / "image.npy", scratch / "output.npy"
        np.save(image, pixels)
        said = json.loads(_run(folder, image, output, form))
        found = torch.from_numpy(np.load(output))
    if form in _WITHOUT_US and said["needs_harness"]:
        script = "load.py" if form is Form.ONNX else "train.py"
        what = "an ONNX file" if form is Form.ONNX else "a standalone model"
        raise UserError(f"export: {script} imports clo-nas, which {what} must do without")
    tolerance = Dtype.FP32.tolerance if form is Form.ONNX else _SAME_CODE
    shape = tuple(found.shape)
    found, expected = prediction(network, found), prediction(network, expected)
    relative = relative_difference(found, expected)
    if not relative <= tolerance:
        raise UserError(
            f"export: what was written, loaded in a fresh process, says something else than the model here (relative "
            f"difference {relative:.2g}, rounding explains {tolerance:g}), so that nothing is kept of it"
        )
    return Compared(
        engine=str(said["engine"]), output_shape=shape, max_difference=float((found - expected).abs().max())
    )


def _run(folder: Path, image: Path, output: Path, form: Form) -> str:
    """Run the script in a fresh process and return the last line of its standard output."""
    paths = [] if form in _WITHOUT_US else [str(Path(harness.__file__).parents[1])]
    paths += filter(None, [os.environ.get("PYTHONPATH")])
    program = [sys.executable, "-P", fresh_process.__file__]
    arguments = [folder, image, output, torch.get_num_threads()]
    try:
        done = subprocess.run(
            [*program, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise UserError(f"export: load.py takes longer than {_SECONDS:.0f} s in a fresh process") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        reason = lines[-1] if lines else f"exit code {done.returncode}"
        raise UserError(f"export: load.py does not run in a fresh process, so that nothing is kept of it: {reason}")
    return done.stdout.strip().splitlines()[-1]
