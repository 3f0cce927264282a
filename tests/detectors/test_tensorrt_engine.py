"""An engine is Ultralytics' own export in float16; nothing is installed for it, and nothing left behind."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from ultralytics.engine import exporter
from ultralytics.nn import autobackend
from ultralytics.utils import checks

from harness.common.errors import UserError
from harness.cost.ledger import deployed
from harness.detectors import load_model
from harness.detectors.tensorrt_engine import tensorrt_engine, tensorrt_for

IMAGE = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """TensorRT, in name alone; and a folder to be left as it is."""
    module = ModuleType("tensorrt")
    module.__version__ = "10.9.0"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    monkeypatch.setattr(checks, "AUTOINSTALL", True)
    monkeypatch.chdir(tmp_path)


def exporting(monkeypatch: pytest.MonkeyPatch, call: Callable[[Any, nn.Module], str]) -> list[dict[str, Any]]:
    """Put a function in the place of Ultralytics' exporter; what exporters were told."""
    told: list[dict[str, Any]] = []

    class Exporter:
        def __init__(self, overrides: dict[str, Any]) -> None:
            told.append(overrides)

        def __call__(self, model: nn.Module) -> str:
            return call(self, model)

    monkeypatch.setattr(exporter, "Exporter", Exporter)
    return told


def test_without_tensorrt_it_is_one_sentence_and_nothing_is_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    told = exporting(monkeypatch, lambda *_: "")
    with pytest.raises(UserError, match="latency needs NVIDIA's package tensorrt, which is not installed here"):
        tensorrt_engine(nn.Identity(), IMAGE, "latency")
    assert told == []


@pytest.mark.usefixtures("installed")
def test_the_engine_is_ultralytics_own_export_in_float16_in_a_folder_that_goes_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    written: list[Path] = []

    def export(_exporter: Any, model: nn.Module) -> str:
        assert not checks.AUTOINSTALL
        written.append(Path(str(model.pt_path)).with_suffix(".engine"))
        written[0].write_bytes(b"engine")
        return str(written[0])

    def load(file: str, **options: Any) -> tuple[bytes, Any]:
        return Path(file).read_bytes(), options["device"]

    monkeypatch.setattr(autobackend, "AutoBackend", load)
    told, model = exporting(monkeypatch, export), nn.Identity()
    loaded: Any = tensorrt_engine(model, IMAGE, "latency")
    assert loaded == (b"engine", torch.device("cpu"))
    assert (told[0]["format"], told[0]["quantize"], told[0]["imgsz"], told[0]["batch"]) == ("engine", 16, [64, 96], 2)
    assert not written[0].parent.exists()
    assert [*tmp_path.iterdir()] == []
    assert not hasattr(model, "pt_path")
    assert tensorrt_for("latency").__version__ == "10.9.0"


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (
            ModuleNotFoundError("no modelopt", name="modelopt"),
            UserError,
            "latency needs the package modelopt, which is",
        ),
        (AssertionError("export running on CPU"), RuntimeError, "export running on CPU"),
        (RuntimeError("TensorRT engine build failed"), RuntimeError, "engine build failed"),
        (torch.OutOfMemoryError("CUDA out of memory"), torch.OutOfMemoryError, "out of memory"),
    ],
)
def test_what_keeps_it_from_being_built_has_its_reason(
    error: Exception, kind: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(*_: object) -> str:
        raise error

    exporting(monkeypatch, export)
    with pytest.raises(kind, match=said):
        tensorrt_engine(nn.Identity(), IMAGE, "latency")


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", ["yolov5n-clo-backbone", "yolo26n"])
def test_ultralytics_exporter_takes_a_detector_as_it_is_timed(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Up to the ONNX file that TensorRT reads; ONNX Runtime reads it here, on the CPU."""
    model = deployed(load_model(name))
    with torch.inference_mode():
        expected = model(IMAGE)[0]
    monkeypatch.setattr(exporter, "select_device", lambda _device: torch.device("cpu"))
    monkeypatch.setattr(exporter.Exporter, "export_engine", exporter.Exporter.export_onnx)
    run: Any = tensorrt_engine(copy.deepcopy(model).half(), IMAGE, "latency")
    found: Tensor = run(IMAGE)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02 * float(expected.abs().max()))
    assert [*tmp_path.iterdir()] == []
