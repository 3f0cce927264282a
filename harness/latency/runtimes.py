"""How a model is run: by which engine, in which number format and memory layout, fused or as trained.

`checked_passes` makes passes that are ready to be timed. It refuses a pass whose answer differs from plain
PyTorch's: a fast wrong answer is no latency.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from harness.common.errors import UserError
from harness.cost.ledger import deployed
from harness.detectors.tensorrt_engine import tensorrt_engine, tensorrt_for
from harness.latency.onnx_file import INPUT, onnx_file, onnxruntime_for

# One forward pass on an image that it holds; gives the model's outputs.
Pass = Callable[[], object]

# Passes after which an engine has compiled all it will: Ultralytics' head makes its anchors in the first.
_FIRST_PASSES = 3
_ONNX_MODE = "latency: mode onnxruntime"
_TENSORRT_MODE = "latency: mode tensorrt"
# Column of the confidence in detections (x, y, x, y, confidence, class).
_SCORE = 4
# Values below are zero when answers are compared: neither float16 nor ONNX Runtime's sigmoid has digits there.
_SMALLEST = 1e-5


class Mode(StrEnum):
    """What runs the model."""

    # PyTorch, operator by operator.
    EAGER = "eager"
    # `torch.compile` with its default backend, for this one image shape.
    COMPILE = "compile"
    # PyTorch's kernels, recorded once and replayed: no launch by launch from Python.
    CUDA_GRAPHS = "cuda_graphs"
    # ONNX Runtime on the CPU, from torch's export.
    ONNXRUNTIME = "onnxruntime"
    # TensorRT on CUDA in float16, by Ultralytics' own exporter and as Ultralytics runs it.
    TENSORRT = "tensorrt"


class Dtype(StrEnum):
    """Number format of weights and image."""

    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"

    @property
    def torch(self) -> torch.dtype:
        """The same as torch has it."""
        return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[self]

    @property
    def tolerance(self) -> float:
        """Largest relative difference to float32 that rounding explains (TF32's too, on a GPU)."""
        return {"fp32": 0.01, "fp16": 0.02, "bf16": 0.1}[self]


class MemoryFormat(StrEnum):
    """Order of an image's numbers in memory."""

    CONTIGUOUS = "contiguous"
    CHANNELS_LAST = "channels_last"

    @property
    def torch(self) -> torch.memory_format:
        """The same as torch has it."""
        return torch.channels_last if self == "channels_last" else torch.contiguous_format


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """How a model is run.

    Attributes:
        mode: What runs it.
        dtype: Number format of weights and image.
        memory_format: Order in memory; None is channels_last on CUDA and contiguous elsewhere.
        fused: Whether it has its deployed form: norms merged into convolutions, branches re-parameterised.
    """

    mode: Mode = Mode.EAGER
    dtype: Dtype = Dtype.FP32
    memory_format: MemoryFormat | None = None
    fused: bool = True

    def on(self, device: torch.device) -> Runtime:
        """Return the same with its memory format decided.

        Raises:
            UserError: The mode is not one for this device, number format or memory format.
        """
        on_cuda = device.type == "cuda"
        if self.mode in {Mode.CUDA_GRAPHS, Mode.TENSORRT} and not on_cuda:
            others = "eager, compile or onnxruntime" if self.mode is Mode.TENSORRT else "eager or compile"
            raise UserError(f"latency: mode {self.mode} runs on a CUDA device, not on {device}; use {others}")
        has_own_file = self.mode in {Mode.ONNXRUNTIME, Mode.TENSORRT}
        if has_own_file:
            dtype = Dtype.FP16 if self.mode is Mode.TENSORRT else Dtype.FP32
            for wrong, right in (
                (self.mode is Mode.ONNXRUNTIME and on_cuda, "device cpu"),
                (self.dtype is not dtype, f"dtype {dtype}"),
                (self.memory_format is MemoryFormat.CHANNELS_LAST, "memory format contiguous: its own is inside"),
                (self.mode is Mode.TENSORRT and not self.fused, "fused models: its exporter fuses them"),
            ):
                if wrong:
                    raise UserError(f"latency: mode {self.mode} is measured with {right}")
        default = MemoryFormat.CHANNELS_LAST if on_cuda and not has_own_file else MemoryFormat.CONTIGUOUS
        return replace(self, memory_format=self.memory_format or default)

    @property
    def engine(self) -> str:
        """Name and version of what runs the model."""
        if self.mode is Mode.ONNXRUNTIME:
            return f"onnxruntime {onnxruntime_for(_ONNX_MODE).__version__}"
        if self.mode is Mode.TENSORRT:
            return f"tensorrt {tensorrt_for(_TENSORRT_MODE).__version__}"
        return f"torch {torch.__version__}"

    def __str__(self) -> str:
        form = "fused" if self.fused else "unfused"
        return ", ".join([self.mode, self.dtype, *filter(None, [self.memory_format]), form])


def checked_passes(models: Mapping[str, nn.Module], image: Tensor, runtime: Runtime) -> list[Pass]:
    """Prepare passes of models on one image. The models stay as they were.

    Args:
        models: By the name that errors call them.
        image: (batch, channels, height, width), float32, on the device.
        runtime: How they are run.

    Raises:
        UserError: The engine is not installed or cannot run a model, or its answer is not the model's.
    """
    runtime = runtime.on(image.device)
    if runtime.mode is Mode.COMPILE:
        torch.compiler.reset()  # code of earlier models counts against torch's limit, beyond which it runs eagerly
    return [_checked_pass(name, model, image, runtime) for name, model in models.items()]


def _checked_pass(name: str, model: nn.Module, image: Tensor, runtime: Runtime) -> Pass:
    plain = Runtime(memory_format=MemoryFormat.CONTIGUOUS, fused=runtime.fused)
    reference = deployed(model, fused=runtime.fused).to(image.device)
    if runtime == plain:
        return partial(reference, image)
    with torch.inference_mode():
        expected = prediction(reference, reference(image)).clone()
    memory_format = (runtime.memory_format or MemoryFormat.CONTIGUOUS).torch
    timed = deployed(model, fused=runtime.fused).to(image.device, runtime.dtype.torch)
    timed.to(memory_format=memory_format)  # type: ignore[call-overload]  # torch's stubs miss this one
    image = image.to(runtime.dtype.torch).contiguous(memory_format=memory_format)
    try:
        run = _ENGINES[runtime.mode](timed, image)
        with torch.inference_mode():
            outputs = [run() for _ in range(_FIRST_PASSES)][-1]
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        needs = "; on the CPU torch.compile needs a C++ compiler such as g++" if runtime.mode is Mode.COMPILE else ""
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(f"latency: the {name} does not run as {runtime} on {image.device}: {reason}{needs}") from error
    difference = relative_difference(prediction(reference, outputs), expected)
    if not difference <= runtime.dtype.tolerance:
        raise UserError(
            f"latency: the {name}'s answer as {runtime} differs from eager fp32's by {difference:.2g} "
            f"(relative; rounding explains {runtime.dtype.tolerance}), so its time would mean nothing"
        )
    return run


def prediction(model: nn.Module, outputs: Any) -> Tensor:
    """Return what a model says, of all that it gives: the first tensor, in Ultralytics' the decoded detections.

    Of a model that picks its own detections, their confidences alone: which of two equals comes first is open.
    """
    while isinstance(outputs, Sequence | Mapping):
        outputs = next(iter(outputs.values() if isinstance(outputs, Mapping) else outputs))
    found = torch.as_tensor(outputs)
    layers = getattr(model, "model", None)
    picks = isinstance(layers, nn.Sequential) and getattr(layers[-1], "end2end", False)
    return found[..., _SCORE] if picks else found


def relative_difference(found: Tensor, expected: Tensor) -> float:
    """Return the largest relative difference of a channel: of scores as of coordinates, a thousand times larger."""
    if found.shape != expected.shape:
        return float("inf")
    by_channel = [
        (tensor.double().movedim(1, 0) if tensor.ndim > 2 else tensor.double()[None]).flatten(1)
        for tensor in (found.to(expected.device), expected)
    ]
    error = (by_channel[0] - by_channel[1]).norm(dim=1)
    size = by_channel[1].norm(dim=1) + _SMALLEST * by_channel[1].shape[1] ** 0.5
    return float((error / size).max())


def _eager_pass(model: nn.Module, image: Tensor) -> Pass:
    return partial(model, image)


def _compiled_pass(model: nn.Module, image: Tensor) -> Pass:
    """Compile one graph: a first pass in eager mode makes the head's anchors, which would break it into its layers."""
    with torch.inference_mode():
        model(image)
    return partial(torch.compile(model, dynamic=False), image)


def _graph_pass(model: nn.Module, image: Tensor) -> Pass:
    """Capture a CUDA graph as torch's notes say: first passes on a side stream, then the capture."""
    current, side = torch.cuda.current_stream(image.device), torch.cuda.Stream(image.device)  # type: ignore[no-untyped-call]
    graph = torch.cuda.CUDAGraph()
    with torch.inference_mode():
        side.wait_stream(current)
        with torch.cuda.stream(side):
            for _ in range(_FIRST_PASSES):
                model(image)
        current.wait_stream(side)
        with torch.cuda.graph(graph):
            outputs = model(image)

    def replay() -> object:
        graph.replay()
        return outputs

    return replay


def _onnx_pass(model: nn.Module, image: Tensor) -> Pass:
    onnxruntime = onnxruntime_for(_ONNX_MODE)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    # Threads of one model that still spin for work would slow the other down, whose turn it is.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 3
    file = onnx_file(model, image)
    failures = onnxruntime.capi.onnxruntime_pybind11_state
    try:
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except (failures.Fail, failures.InvalidGraph, failures.NotImplemented) as error:
        raise RuntimeError(str(error)) from error
    feed = {INPUT: image.numpy()}
    return lambda: session.run(None, feed)


def _tensorrt_pass(model: nn.Module, image: Tensor) -> Pass:
    return partial(tensorrt_engine(model, image, _TENSORRT_MODE), image)


_ENGINES: dict[Mode, Callable[[nn.Module, Tensor], Pass]] = {
    Mode.EAGER: _eager_pass,
    Mode.COMPILE: _compiled_pass,
    Mode.CUDA_GRAPHS: _graph_pass,
    Mode.ONNXRUNTIME: _onnx_pass,
    Mode.TENSORRT: _tensorrt_pass,
}
