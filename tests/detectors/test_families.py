"""Whatever the family: blocks at every site change nothing at first, learn, fuse, export and come back from a file."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import DetectionModel

from harness.detectors import find_sites, load_model, resolve_base
from harness.training.accuracy import save_checkpoint
from tests.detectors.everywhere import CLASSES, awaken, pair, raw

FAMILIES = [
    "yolov5n", "yolov8n", "yolo11n", "yolo26n", "yolov7-tiny", "cloformer-xxs",
    pytest.param("yolov7", marks=pytest.mark.slow),
]  # fmt: skip
IMAGE = (64, 96)


@pytest.fixture(scope="module", params=FAMILIES)
def name(request: pytest.FixtureRequest) -> str:
    asked: str = request.param
    return asked


@pytest.fixture(scope="module")
def fresh(name: str) -> Any:
    """Base, detector with blocks, and what was transferred."""
    return pair(name)


@pytest.fixture
def awake(fresh: Any) -> DetectionModel:
    """A detector of one's own, whose blocks take part."""
    detector: DetectionModel = copy.deepcopy(fresh[1])
    awaken(detector)
    return detector


def images(batch: int = 2) -> Tensor:
    return torch.rand(batch, 3, *IMAGE, generator=torch.Generator().manual_seed(0))


def targets() -> dict[str, Tensor]:
    """Two images with an object each, as Ultralytics' loader gives them."""
    return {
        "img": images(),
        "batch_idx": torch.tensor([0.0, 1.0]),
        "cls": torch.tensor([[1.0], [3.0]]),
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.6], [0.3, 0.6, 0.5, 0.3]]),
    }


def loss_of(detector: DetectionModel) -> Tensor:
    detector.args = get_cfg()  # the trainer does this
    loss, _ = detector.train()(targets())
    total: Tensor = loss.sum()
    return total


def test_blocks_at_every_site_change_nothing_at_first(fresh: Any, name: str) -> None:
    original, detector, moved = fresh
    assert len(awaken(copy.deepcopy(detector))) == len(find_sites(resolve_base(name)))
    assert (moved.arrived, moved.left_behind) == (moved.total, {})
    assert torch.equal(raw(detector, images()), raw(original, images()))
    with torch.no_grad():
        assert torch.equal(detector(images())[0], original(images())[0])


def test_blocks_that_are_awake_change_the_output(fresh: Any, awake: DetectionModel) -> None:
    assert not torch.allclose(raw(awake, images()), raw(fresh[0], images()), atol=1e-3)


def test_gradients_reach_every_parameter_of_the_blocks_and_a_step_moves_them(awake: DetectionModel) -> None:
    blocks = awaken(awake)
    before = copy.deepcopy(awake.state_dict())
    optimiser = torch.optim.AdamW([p for p in awake.parameters() if p.requires_grad], lr=1e-3, weight_decay=0.0)
    loss_of(awake).backward()  # type: ignore[no-untyped-call]
    gradients = [p.grad for block in blocks for p in block.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    optimiser.step()
    head = f"model.{len(awake.model) - 1}."  # its branches learn only where an object was
    still = [
        name
        for name, parameter in awake.named_parameters()
        if parameter.ndim > 1 and not name.startswith(head) and parameter.equal(before[name])
    ]
    assert still == []


def test_fusing_keeps_the_output(awake: DetectionModel) -> None:
    expected = raw(awake, images())
    fused = awake.fuse(verbose=False)
    assert fused.is_fused()
    torch.testing.assert_close(raw(fused, images()), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_onnx_computes_the_same_at_two_batch_sizes(awake: DetectionModel, tmp_path: Path) -> None:
    """With the exporter that Ultralytics uses, torch's older one."""
    awake.model[-1].export = True  # Ultralytics' exporter does this: one tensor instead of a tuple
    path = tmp_path / "detector.onnx"
    names: dict[str, Any] = {"input_names": ["images"], "dynamic_axes": {"images": {0: "batch"}}}
    torch.onnx.export(awake, (images(),), path, opset_version=17, dynamo=False, **names)
    onnx.checker.check_model(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for size in (1, 3):
        with torch.no_grad():
            expected = awake(images(size))
        [given] = session.run(None, {"images": images(size).numpy()})
        torch.testing.assert_close(torch.from_numpy(given), expected, atol=1e-4, rtol=1e-4)


def test_a_checkpoint_comes_back_as_it_was(awake: DetectionModel, tmp_path: Path) -> None:
    expected = raw(awake, images())
    path = tmp_path / "detector.pt"
    save_checkpoint(awake, path)
    again = load_model(str(path)).eval()
    assert again.yaml["nc"] == CLASSES
    assert torch.equal(raw(again, images()), expected)


def test_forward_on_cuda_makes_no_cpu_tensor(awake: DetectionModel) -> None:
    """Fake tensors follow devices without a GPU: mixing cpu and cuda raises.

    The head alone is in training, so that Ultralytics does not make anchors; batch norms in training ask for CUDA.
    """
    awake.model[-1].training = True
    state = awake.state_dict()
    with FakeTensorMode():
        fake = {key: torch.empty(value.shape, dtype=value.dtype, device="cuda") for key, value in state.items()}
        out = torch.func.functional_call(awake, fake, (torch.empty(2, 3, *IMAGE, device="cuda"),))
    assert {tensor.device.type for tensor in flat(out)} == {"cuda"}


def test_backward_on_meta_reaches_every_parameter(awake: DetectionModel) -> None:
    awake.to("meta").train()
    out = awake(torch.empty(2, 3, *IMAGE, device="meta"))
    torch.stack([tensor.sum() for tensor in flat(out)]).sum().backward()  # type: ignore[no-untyped-call]
    assert [name for name, p in awake.named_parameters() if p.requires_grad and p.grad is None] == []


def flat(predictions: dict[str, Any]) -> list[Tensor]:
    """Boxes and scores of every branch of the head."""
    branches = [predictions] if "boxes" in predictions else list(predictions.values())
    return [branch[key] for branch in branches for key in ("boxes", "scores")]
