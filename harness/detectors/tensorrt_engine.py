"""A detector as a TensorRT engine in float16, made by Ultralytics' own exporter: what `yolo export` deploys."""

from __future__ import annotations

import copy
import importlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from harness.common.errors import UserError


def tensorrt_for(purpose: str) -> Any:
    """Return the module `tensorrt`.

    Args:
        purpose: What wants it, the subject of the sentence if it is not there.

    Raises:
        UserError: It is not installed.
    """
    try:
        return importlib.import_module("tensorrt")
    except ImportError as error:
        raise UserError(
            f"{purpose} needs NVIDIA's package tensorrt, which is not installed here; nothing is installed unasked"
        ) from error


def tensorrt_engine(model: nn.Module, image: Tensor, purpose: str) -> Callable[[Tensor], object]:
    """Build the engine of a detector for images of one shape, and load it as Ultralytics runs it.

    Args:
        model: In eval mode; it stays as it is.
        image: (batch, channels, height, width), on a CUDA device.
        purpose: What wants it, for messages.

    Raises:
        UserError: TensorRT, or a package that the exporter needs beside it, is not installed.
        RuntimeError: The model cannot be exported or built.
    """
    tensorrt_for(purpose)
    from ultralytics.engine import exporter  # seconds, and trainings have no use for it
    from ultralytics.nn.autobackend import AutoBackend
    from ultralytics.utils import checks

    head: Any = list(getattr(model, "model", [None]))[-1]
    arguments = {
        "format": "engine",
        "quantize": 16,
        "imgsz": list(image.shape[2:]),
        "batch": len(image),
        "device": str(image.device.index or 0),
        "nms": False if getattr(head, "end2end", False) else None,  # of a head with two, the one that the model uses
        "verbose": False,
    }
    checks.AUTOINSTALL = False  # whatever the user has set: nothing is installed by a measurement
    model = copy.copy(model)
    model.task = "detect"  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder:
        model.pt_path = str(Path(folder) / "model.pt")  # type: ignore[assignment]  # beside it the exporter writes
        try:
            file = exporter.Exporter(overrides=arguments)(model)
            engine: Callable[[Tensor], object] = AutoBackend(file, device=image.device, fp16=True, verbose=False)
        except ImportError as error:
            raise UserError(f"{purpose} needs the package {error.name}, which is not installed here") from error
        except (AssertionError, AttributeError, TypeError, ValueError) as error:
            raise RuntimeError(str(error)) from error
    return engine
