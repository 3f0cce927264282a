"""What training frameworks, compilers and GPUs ask of a module."""

from __future__ import annotations

import copy
import io
import shutil
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import onnxruntime
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from harness.blocks import CloAttention, ConvFFN, RegisteredBlock
from harness.blocks.operators import GATES
from tests.blocks.test_block import build, noise

MODULES: dict[str, Callable[[], nn.Module]] = {
    "attention": lambda: CloAttention(16, 4, [1, 1, 2], [3, 5], 4),
    "attention of pixels": lambda: CloAttention(16, 4, [4], [], 1),
    "ffn": lambda: ConvFFN(16, 32, 5, 1, 16),
    "identity block": build,
    "official block": lambda: build(init="official"),
    "downsampling block": lambda: build(stride=2, out_dim=24),
    "block without ffn": lambda: build(mlp_ratio=0),
    "convolution": lambda: CloAttention(16, 4, [1, 1, 2], [3, 5], 4, "conv"),
    "neighbourhood": lambda: CloAttention(16, 4, [1, 1, 2], [3, 5], 4, "neighbourhood"),
    "tiles": lambda: CloAttention(16, 4, [1, 1, 2], [3, 5], 4, "window"),
    **{f"gate {gate}": partial(CloAttention, 16, 4, [4, 0], [3], 1, "attnconv", gate) for gate in GATES},
    "nothing aggregated": lambda: CloAttention(16, 4, [4, 0], [3], 1, "attnconv", "swish_tanh", False, False),
    "plain ffn": lambda: ConvFFN(16, 32, 5, 1, 16, depthwise=False),
    "SE": lambda: RegisteredBlock(16, {"name": "se", "reduction": 4}),
    "CBAM": lambda: RegisteredBlock(16, {"name": "cbam", "reduction": 4}),
}


@pytest.fixture(params=sorted(MODULES))
def module(request: pytest.FixtureRequest) -> nn.Module:
    """A module whose layer scales, if any, are not zero, so that nothing hides behind them."""
    made = MODULES[request.param]().eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "layer_scale" in name:
                parameter.fill_(0.5)
    return made


def test_forward_on_cuda_makes_no_cpu_tensor(module: nn.Module) -> None:
    """Fake tensors follow devices without a GPU: mixing cpu and cuda raises."""
    state = module.state_dict()
    with FakeTensorMode():
        fake = {key: torch.empty(value.shape, dtype=value.dtype, device="cuda") for key, value in state.items()}
        x = torch.empty(2, 16, 9, 7, device="cuda")
        out = torch.func.functional_call(module, fake, (x,))
    assert out.device.type == "cuda"


def test_backward_on_meta_reaches_every_parameter(module: nn.Module) -> None:
    module.to("meta").train()
    module(torch.empty(2, 16, 9, 7, device="meta")).sum().backward()
    assert [name for name, parameter in module.named_parameters() if parameter.grad is None] == []


def test_autocast_stays_close_to_float32(module: nn.Module) -> None:
    x = noise(2, 16, 9, 7)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        reduced = module(x)
    with torch.no_grad():
        torch.testing.assert_close(reduced.float(), module(x), atol=0.05, rtol=0.05)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_reduced_precision_weights_keep_their_dtype(module: nn.Module, dtype: torch.dtype) -> None:
    with torch.no_grad():
        assert module.to(dtype)(noise(2, 16, 9, 7).to(dtype)).dtype == dtype


def test_an_identity_block_is_the_identity_under_autocast() -> None:
    x = noise(2, 16, 8, 8).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(build()(x), x)


def test_deep_copies_share_nothing(module: nn.Module) -> None:
    x = noise(1, 16, 5, 5)
    copied = copy.deepcopy(module)
    before = copied(x)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1)
    assert torch.equal(copied(x), before)


def test_pickling_keeps_the_function(module: nn.Module) -> None:
    buffer = io.BytesIO()
    torch.save(module, buffer)
    buffer.seek(0)
    loaded: nn.Module = torch.load(buffer, weights_only=False)
    x = noise(1, 16, 5, 5)
    assert torch.equal(loaded(x), module(x))


def test_the_compiler_sees_one_graph(module: nn.Module) -> None:
    x = noise(2, 16, 6, 5)
    torch.compiler.reset()
    compiled = torch.compile(module, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), module(x))


def test_exports_with_a_dynamic_batch(module: nn.Module) -> None:
    batch = torch.export.Dim("batch", min=1, max=64)
    shapes: tuple[dict[int, torch.export.Dim]] = ({0: batch},)
    program = torch.export.export(module, (noise(2, 16, 6, 5),), dynamic_shapes=shapes)
    x = noise(7, 16, 6, 5)
    torch.testing.assert_close(program.module()(x), module(x))


def test_onnx_runs_any_batch_and_agrees(module: nn.Module, tmp_path: Path) -> None:
    file = tmp_path / "block.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        torch.onnx.export(
            module,
            (noise(2, 16, 6, 5),),
            file,
            dynamo=False,
            opset_version=17,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}},
        )
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    for batch in (1, 3):
        x = noise(batch, 16, 6, 5)
        with torch.no_grad():
            torch.testing.assert_close(
                torch.from_numpy(session.run(None, {"x": x.numpy()})[0]), module(x), atol=1e-4, rtol=1e-4
            )


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler, g++, for torch.compile on CPU")
@pytest.mark.parametrize("made", ["attention", "identity block", "neighbourhood", "tiles", "CBAM"])
def test_compiled_code_agrees(made: str) -> None:
    torch.compiler.reset()
    block = MODULES[made]().eval()
    compiled = torch.compile(block)
    x = noise(2, 16, 6, 5)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), block(x), atol=1e-4, rtol=1e-4)
