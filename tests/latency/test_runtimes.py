"""Any engine gives the model's own answer, or says in one sentence why it doesn't."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.common.errors import UserError
from harness.cost.ledger import deployed
from harness.latency import runtimes
from harness.latency.runtimes import Dtype, MemoryFormat, Mode, Runtime, checked_passes, prediction

CPU = torch.device("cpu")


class Fusible(nn.Module):
    """A convolution; `fuse` is called as Ultralytics' is."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.verbose: bool | None = None

    def fuse(self, verbose: bool = True) -> None:
        self.verbose = verbose

    def forward(self, x: Tensor) -> Any:
        return self.conv(x).sigmoid(), {"raw": x}


@pytest.fixture
def model() -> Fusible:
    torch.manual_seed(0)
    return Fusible()


@pytest.fixture
def image() -> Tensor:
    return torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def answer(model: nn.Module, image: Tensor, runtime: Runtime) -> Tensor:
    [run] = checked_passes({"candidate": model}, image, runtime)
    with torch.inference_mode():
        return prediction(model, run())


# --- Deployed form ------------------------------------------------------------------------------


@pytest.mark.parametrize(("fused", "verbose"), [(True, False), (False, None)])
def test_the_deployed_form_is_a_quietly_fused_copy_in_eval_mode(
    model: Fusible, fused: bool, verbose: bool | None
) -> None:
    copied: Any = deployed(model, fused=fused)
    assert model.training and model.verbose is None
    assert not copied.training and copied.verbose is verbose
    assert not any(parameter.requires_grad for parameter in copied.parameters())


def test_a_model_that_cannot_fuse_is_deployed_as_it_is() -> None:
    assert isinstance(deployed(nn.Identity()), nn.Identity)


# --- The same answer ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "runtime",
    [
        Runtime(),
        Runtime(fused=False),
        Runtime(memory_format=MemoryFormat.CHANNELS_LAST),
        Runtime(dtype=Dtype.BF16),
        Runtime(mode=Mode.ONNXRUNTIME),
    ],
    ids=str,
)
def test_a_runtime_gives_the_models_answer(model: nn.Module, image: Tensor, runtime: Runtime) -> None:
    expected = model(image)[0].detach()
    tolerance = runtime.dtype.tolerance
    found = answer(model, image, runtime)
    torch.testing.assert_close(found.float(), expected, atol=tolerance, rtol=tolerance)
    assert runtime.mode is Mode.ONNXRUNTIME or found.dtype is runtime.dtype.torch


def test_the_image_and_the_weights_have_the_memory_format_and_dtype() -> None:
    seen: list[tuple[bool, torch.dtype, torch.dtype]] = []

    class Looks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            channels_last = [t.is_contiguous(memory_format=torch.channels_last) for t in (x, self.conv.weight)]
            seen.append((all(channels_last), x.dtype, self.conv.weight.dtype))
            return torch.as_tensor(self.conv(x))

    runtime = Runtime(dtype=Dtype.BF16, memory_format=MemoryFormat.CHANNELS_LAST)
    answer(Looks(), torch.rand(1, 3, 8, 8), runtime)
    assert seen[0] == (False, torch.float32, torch.float32)  # what the answer is compared with
    assert set(seen[1:]) == {(True, torch.bfloat16, torch.bfloat16)}


def test_compiled_code_is_what_runs(model: nn.Module, image: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler itself takes longer than all of these tests; CI's slow tests have it for the blocks."""
    calls: list[str] = []

    def compiling(compiled: nn.Module, *, dynamic: bool) -> Callable[[Tensor], Any]:
        assert not dynamic

        def run(x: Tensor) -> Any:
            calls.append("compiled")
            return compiled(x)

        return run

    monkeypatch.setattr(torch, "compile", compiling)
    monkeypatch.setattr(torch.compiler, "reset", lambda: calls.append("reset"))
    answer(model, image, Runtime(mode=Mode.COMPILE))
    assert calls == ["reset", *["compiled"] * 4]


def test_what_a_model_makes_in_its_first_pass_is_there_before_it_is_compiled(
    image: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the anchors of Ultralytics' head: made within the graph, they would break it into its layers."""

    class LateAnchors(nn.Module):
        anchors: Tensor | None = None

        def forward(self, x: Tensor) -> Tensor:
            if self.anchors is None:
                self.anchors = torch.ones(1)
            return x * self.anchors

    compiled: list[Any] = []

    def compiling(model: Any, *, dynamic: bool) -> Any:
        compiled.append(model.anchors)
        return model

    monkeypatch.setattr(torch, "compile", compiling)
    checked_passes({"candidate": LateAnchors()}, image, Runtime(mode=Mode.COMPILE))
    assert compiled == [torch.ones(1)]


# --- Refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("runtime", "device", "reason"),
    [
        (Runtime(mode=Mode.CUDA_GRAPHS), "cpu", "cuda_graphs runs on a CUDA device, not on cpu; use eager or compile"),
        (Runtime(mode=Mode.TENSORRT), "cpu", "tensorrt runs on a CUDA device, not on cpu; use eager, compile or onnx"),
        (Runtime(mode=Mode.TENSORRT), "cuda", "tensorrt is measured with dtype fp16"),
        (Runtime(mode=Mode.TENSORRT, dtype=Dtype.FP16, fused=False), "cuda", "tensorrt is measured with fused models"),
        (Runtime(mode=Mode.ONNXRUNTIME), "cuda", "onnxruntime is measured with device cpu"),
        (Runtime(mode=Mode.ONNXRUNTIME, dtype=Dtype.FP16), "cpu", "onnxruntime is measured with dtype fp32"),
        (
            Runtime(mode=Mode.ONNXRUNTIME, memory_format=MemoryFormat.CHANNELS_LAST),
            "cpu",
            "onnxruntime is measured with memory format contiguous",
        ),
    ],
)
def test_a_combination_that_does_not_exist_is_refused(runtime: Runtime, device: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        runtime.on(torch.device(device))


@pytest.mark.parametrize(("device", "default"), [("cpu", "contiguous"), ("cuda", "channels_last")])
def test_the_memory_format_follows_the_device_unless_it_is_named(device: str, default: str) -> None:
    place = torch.device(device)
    assert Runtime().on(place).memory_format == default
    assert Runtime(memory_format=MemoryFormat.CONTIGUOUS).on(place).memory_format == "contiguous"


def test_an_engine_with_a_file_of_its_own_takes_contiguous_images() -> None:
    assert Runtime(mode=Mode.TENSORRT, dtype=Dtype.FP16).on(torch.device("cuda")).memory_format == "contiguous"


@pytest.mark.parametrize("factor", [1.0, 1.1])
def test_a_tensorrt_engine_is_compared_with_the_model_too(
    model: nn.Module, image: Tensor, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def engine(exported: nn.Module, shown: Tensor, _purpose: str) -> Callable[[Tensor], Any]:
        assert shown.dtype is torch.float16
        return lambda x: exported(x)[0] * factor

    monkeypatch.setattr(runtimes, "tensorrt_engine", engine)
    monkeypatch.setattr(Runtime, "on", lambda runtime, _device: runtime)
    runtime = Runtime(mode=Mode.TENSORRT, dtype=Dtype.FP16)
    if factor == 1:
        assert answer(model, image, runtime).dtype is torch.float16
        return
    with pytest.raises(UserError, match="the candidate's answer as tensorrt, fp16, fused differs"):
        answer(model, image, runtime)


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_an_engine_that_is_not_installed_is_named_with_its_extra(
    model: nn.Module, image: Tensor, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"needs the package {package}; pip install 'clo-nas\[onnx\]'"):
        answer(model, image, Runtime(mode=Mode.ONNXRUNTIME))


def test_a_failing_compiler_is_one_sentence(model: nn.Module, image: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any, **__: Any) -> Any:
        raise RuntimeError("No working C++ compiler found\nand forty lines more")

    monkeypatch.setattr(torch, "compile", failing)
    with pytest.raises(UserError) as refused:
        answer(model, image, Runtime(mode=Mode.COMPILE))
    said = str(refused.value)
    assert "the candidate does not run as compile, fp32, contiguous, fused on cpu: No working C++ compiler" in said
    assert "needs a C++ compiler such as g++" in said and "forty" not in said


def test_a_model_that_a_format_breaks_is_refused(image: Tensor) -> None:
    class Views(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.view(len(x), -1)

    with pytest.raises(UserError, match="does not run as eager, fp32, channels_last, fused on cpu: view size"):
        answer(Views(), image, Runtime(memory_format=MemoryFormat.CHANNELS_LAST))


@pytest.mark.parametrize("wrong", [lambda y: y * 1.1, lambda y: y * float("nan"), lambda y: y[:1]])
def test_a_fast_wrong_answer_is_no_latency(
    model: nn.Module, image: Tensor, wrong: Callable[[Tensor], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda compiled, dynamic: lambda x: wrong(compiled(x)[0]))
    with pytest.raises(UserError, match="the candidate's answer as compile, fp32, contiguous, fused differs"):
        answer(model, image, Runtime(mode=Mode.COMPILE))


def test_too_little_memory_is_not_the_users_fault(
    model: nn.Module, image: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "compile", full)
    with pytest.raises(torch.OutOfMemoryError):
        answer(model, image, Runtime(mode=Mode.COMPILE))


# --- What is compared ---------------------------------------------------------------------------


def test_small_scores_count_as_much_as_large_coordinates(image: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    class Detects(nn.Module):
        scores = 0.001

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([x.new_full((1, 4, 9), 600.0), x.new_full((1, 1, 9), self.scores)], 1)

    def compiling(compiled: Any, dynamic: bool) -> Any:
        compiled.scores = 0.0012
        return compiled

    monkeypatch.setattr(torch, "compile", compiling)
    with pytest.raises(UserError, match=r"differs from eager fp32's by 0\.2"):
        answer(Detects(), image, Runtime(mode=Mode.COMPILE))


def test_of_a_model_that_picks_its_detections_the_confidences_are_compared() -> None:
    picks = nn.Module()
    picks.model = nn.Sequential(nn.Identity())
    picks.model[-1].end2end = True  # type: ignore[assignment]  # as Ultralytics' heads have it
    detections = torch.rand(1, 300, 6)
    assert prediction(picks, (detections, {})).equal(detections[..., 4])
    assert prediction(nn.Identity(), [{"y": detections}]).equal(detections)


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", list(Dtype))
def test_a_recorded_cuda_graph_gives_the_models_answer(model: nn.Module, image: Tensor, dtype: Dtype) -> None:
    expected = model(image)[0].detach()
    found = answer(model, image.cuda(), Runtime(mode=Mode.CUDA_GRAPHS, dtype=dtype))
    torch.testing.assert_close(found.float().cpu(), expected, atol=dtype.tolerance, rtol=dtype.tolerance)


def test_every_mode_has_an_engine() -> None:
    assert set(runtimes._ENGINES) == set(Mode)
