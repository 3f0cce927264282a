"""A model as an ONNX file, by torch's exporter; ONNX and ONNX Runtime are an optional extra."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from harness.common.errors import UserError

# Version of ONNX's operators that files are written for: the newest that torch's older exporter knows.
OPSET = 17
# Names in the graph, as Ultralytics' own exports have them.
INPUT, OUTPUT = "images", "output0"


def onnxruntime_for(purpose: str) -> Any:
    """Import the module `onnxruntime`.

    Args:
        purpose: What wants it, the subject of the sentence if it is not there.

    Raises:
        UserError: It or ONNX is not installed.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnx  # noqa: F401  # torch's exporter needs it
        import onnxruntime
    except ImportError as error:
        raise UserError(f"{purpose} needs the package {error.name}; pip install 'clo-nas[onnx]'") from error
    return onnxruntime


def onnx_file(model: nn.Module, image: Tensor, properties: Mapping[str, object] | None = None) -> bytes:
    """Export the first of a model's outputs as a graph for images of one size.

    Args:
        model: In eval mode.
        image: (batch, channels, height, width); the file takes this shape alone.
        properties: What the file says of itself, as text.

    Raises:
        RuntimeError: Torch cannot export the model.
    """
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations, and tracing's remarks
        torch.onnx.export(
            _Predicting(model),
            (image,),
            file,  # type: ignore[arg-type]  # the older exporter takes a file, too
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            dynamo=False,
        )
    return _with_properties(file.getvalue(), properties) if properties else file.getvalue()


def _with_properties(file: bytes, properties: Mapping[str, object]) -> bytes:
    import onnx

    graph = onnx.load_model_from_string(file)
    onnx.helper.set_model_props(graph, {name: str(value) for name, value in properties.items()})
    return bytes(graph.SerializeToString())


class _Predicting(nn.Module):
    """A model that gives the first of its outputs alone: what is deployed needs no raw maps."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.inner = model

    def forward(self, images: Tensor) -> Tensor:
        outputs = self.inner(images)
        while not isinstance(outputs, Tensor):
            outputs = outputs[0]
        return outputs
