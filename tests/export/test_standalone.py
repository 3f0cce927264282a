"""A model that goes home without clo-nas: the same function, trained and exported by stock Ultralytics."""

from __future__ import annotations

import ast
import copy
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from ultralytics.nn import tasks

from harness.architecture import Init, Mode
from harness.blocks import CloAttention, CloBlock, RegisteredBlock
from harness.blocks.operators import LOCAL_OPERATORS
from harness.blocks.registry import block_entry, block_names
from harness.common.errors import UserError
from harness.detectors import build, resolve_base
from harness.export.export import prepare_export, write_export
from harness.export.exported import Form
from harness.export.fresh_process import fill, first_output, fixed_image
from harness.export.standalone import _MODULES, _parts, imported, standalone_source
from tests.cli.command_line import read, run_here
from tests.export.exportable import BLOCK, IDENTITY, begun_with, description, keep_weights, their_block

SHAPE: tuple[Any, ...] = (32, 4, [2, 2], [3], 2)
SHIPPED = [name for name in block_names() if block_entry(name).build.__module__.startswith("harness.")]
BLOCKS = [
    *((CloAttention, (*SHAPE, operator)) for operator in LOCAL_OPERATORS),
    (CloAttention, (*SHAPE, "attnconv", "tanh", False, True)),
    (CloBlock, (32, 32, 4, [2, 1, 1], [3, 9], 4, 5, 2, 1, "residual")),
    (CloBlock, (32, 32, *SHAPE[1:], 5, 0, 1, "identity")),
    *((RegisteredBlock, (32, {"name": name}, "identity")) for name in SHIPPED),
    (RegisteredBlock, (32, {"name": "cbam"}, "official")),
]


@pytest.mark.parametrize(("layer", "arguments"), BLOCKS)
def test_a_block_computes_there_what_it_computes_here(
    tmp_path: Path, layer: type[nn.Module], arguments: tuple[Any, ...]
) -> None:
    file = tmp_path / "clo_block.py"
    file.write_text(standalone_source([layer.__name__]), encoding="utf-8")
    ours = layer(*arguments)
    fill(ours)
    with imported(file) as module:
        theirs = getattr(module, layer.__name__)(*arguments)
        theirs.load_state_dict(ours.state_dict())
        image = torch.randn(2, 32, 13, 9, generator=torch.Generator().manual_seed(0))
        for mode in (True, False):
            assert torch.equal(ours.train(mode)(image), theirs.train(mode)(image))
    assert "clo_block" not in sys.modules


def test_the_file_imports_torch_and_the_standard_library_alone() -> None:
    tree = ast.parse(standalone_source(["CloBlock", "CloAttention", "RegisteredBlock"]))
    modules = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [each.name for each in node.names]
            if isinstance(node, ast.Import)
            else [str(node.module)]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert modules - sys.stdlib_module_names == {"torch", "ultralytics"}  # ultralytics within `register`
    assert "GNU Affero General" in (ast.get_docstring(tree) or "")


def test_no_two_modules_define_one_name() -> None:
    """One of them would be lost where both are in one file."""
    names = [name for module in _MODULES for part in _parts(module) for name in part.names]
    assert len(names) == len(set(names)) > 20


def test_what_is_not_needed_is_left_out() -> None:
    assert "class CloBlock" not in standalone_source(["RegisteredBlock"])
    assert "class SqueezeExcitation" not in standalone_source(["CloBlock"])
    assert "\nclass" not in standalone_source([])


def test_class_branches_are_as_wide_without_clo_nas(tmp_path: Path) -> None:
    file = tmp_path / "clo_block.py"
    file.write_text(standalone_source([], class_width=True), encoding="utf-8")
    config: Any = {**resolve_base("yolov5n").config, "nc": 3, "class_width": 80}
    with imported(file) as module:
        theirs, _ = module._with_class_width(tasks.parse_model._clo_nas_wraps)(copy.deepcopy(config), 3, False)
    ours = build(config).model
    shapes = [{name: tensor.shape for name, tensor in each.state_dict().items()} for each in (theirs, ours)]
    assert shapes[0] == shapes[1]
    assert (theirs[-1].nc, theirs[-1].no) == (ours[-1].nc, ours[-1].no)
    assert "_with_class_width" not in standalone_source([])


def test_a_baseline_goes_home_too(tmp_path: Path) -> None:
    written = write_export(prepare_export(begun_with(tmp_path), tmp_path / "x", "baseline", Form.STANDALONE), tmp_path)
    assert written.max_difference == 0 and "baseline.pt" not in written.files


def test_what_cannot_do_without_clo_nas_is_said(tmp_path: Path) -> None:
    _, theirs = their_block(tmp_path, "standalone_theirs")
    inside = replace(BLOCK, site="backbone.P4", mode=Mode.INSIDE)
    refused = {
        theirs: r"has blocks of a user's own \(.*standalone_theirs\.py\), which are registered with clo-nas",
        inside: "has blocks inside C3, which Ultralytics alone does not put there",
    }
    for at, (placement, reason) in enumerate(refused.items()):
        study = begun_with(tmp_path / str(at), (placement,))
        with pytest.raises(UserError, match=f"--to standalone: it {reason}; take --to pt, yaml or onnx"):
            prepare_export(study, tmp_path / str(at) / "x", IDENTITY, Form.STANDALONE)


FORBIDS = """
import sys


class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "harness":
            raise ModuleNotFoundError("there is no clo-nas here")


sys.meta_path.insert(0, Forbidden())
"""
THERE = """
import sys
from pathlib import Path
import numpy, torch, types
try:
    import torchvision
except RuntimeError:  # of another torch's build
    from ultralytics.utils.nms import TorchNMS
    stand_in = types.ModuleType("torchvision")
    stand_in.ops, stand_in.__version__ = types.SimpleNamespace(nms=TorchNMS.nms), "0"
    sys.modules["torchvision"] = stand_in
import train  # the folder's own
network = train.model.model
with torch.inference_mode():
    found = network.eval()(torch.from_numpy(numpy.load(sys.argv[1])))
numpy.save(sys.argv[2], (found[0] if isinstance(found, (tuple, list)) else found).numpy())
train.model.train(data=sys.argv[3], imgsz=64, epochs=1, batch=8, workers=0, device="cpu", plots=False, val=False,
                  amp=False, project=sys.argv[4], name="run", verbose=False)
from ultralytics import YOLO
again = YOLO(Path(sys.argv[4]) / "run" / "weights" / "last.pt")
assert [type(m).__module__ for m in again.model.modules() if type(m).__name__ == "CloBlock"] == ["clo_block"]
print("exported to", again.export(format="torchscript", imgsz=64))
assert "harness" not in sys.modules
"""


@pytest.mark.slow
def test_the_folder_is_trained_reloaded_and_exported_where_there_is_no_clo_nas(
    tmp_path: Path, small_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    block = replace(BLOCK, init=Init.OFFICIAL)  # one that does something
    begun_with(tmp_path / "results", (block,), seeds={100: (5,)}, classes=10, data=str(small_data))
    kept = keep_weights(tmp_path / "results", 100, 5, description(block, classes=10))
    network = torch.load(kept, weights_only=False)["model"]
    out = run_here(monkeypatch, capsys, "export", "x", IDENTITY, "--to", "standalone", "--out", "home", "--json")
    said = read(out)
    assert set(said["files"]) == {f"{IDENTITY}.pt", f"{IDENTITY}.yaml", "README.md", "clo_block.py", "train.py"}
    assert said["verified"]["max_difference"] == 0
    assert len((tmp_path / "home" / "train.py").read_text().splitlines()) <= 13

    (tmp_path / "forbids").mkdir()
    (tmp_path / "forbids" / "sitecustomize.py").write_text(FORBIDS)
    np.save(tmp_path / "image.npy", fixed_image(64))
    done = subprocess.run(
        [sys.executable, "-c", THERE, "image.npy", "found.npy", str(small_data), str(tmp_path / "runs")],
        env={
            **os.environ, "PYTHONPATH": f"{tmp_path / 'forbids'}:{tmp_path / 'home'}",
            "YOLO_CONFIG_DIR": str(tmp_path), "YOLO_OFFLINE": "true",
        },
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "exported to" in done.stdout
    found = torch.from_numpy(np.load(tmp_path / "found.npy"))
    expected = first_output(network, torch.from_numpy(fixed_image(64)))
    assert (found - expected).abs().max() <= 1e-6 * expected.abs().max()
