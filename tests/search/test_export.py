"""What an export holds, which weights go along, and that a fresh process would notice if it were wrong."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from harness.detectors import build
from harness.errors import UserError
from harness.search.export import check_replaceable, prepare_export, write_export
from harness.search.exported import Form
from harness.search.fresh_process import fill
from harness.search.kept_weights import trained_weights
from harness.search.load_script import load_script
from harness.search.verify_export import compare_in_fresh_process
from tests.search.exportable import BLOCK, IDENTITY, begun_with, description, keep_weights

THEIR_BLOCK = """
from torch import Tensor, nn
from harness.blocks import register_block


@register_block("{name}")
class Mixing(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(x)
"""

# --- Which weights --------------------------------------------------------------------------------


def test_the_longest_trainings_first_seed_goes_along(tmp_path: Path) -> None:
    record = begun_with(tmp_path, seeds={3: (0,), 24: (4,), 100: (7, 5, 6)})
    assert trained_weights(record, tmp_path / "x", IDENTITY) is None
    for epochs, seed in ((24, 4), (100, 6), (100, 5), (200, 9)):  # the last is of no training of the study
        path = tmp_path / "x" / "trained" / f"{IDENTITY}-{epochs}epochs-base0-seed{seed}.pt"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    found = trained_weights(record, tmp_path / "x", IDENTITY)
    assert found is not None
    assert (found.epochs, found.seed, found.path.name) == (100, 5, f"{IDENTITY}-100epochs-base0-seed5.pt")


def test_weights_and_class_names_are_the_checkpoints(tmp_path: Path) -> None:
    record = begun_with(tmp_path, seeds={3: (0,), 100: (5,)})
    path = keep_weights(tmp_path, 100, 5)
    export = prepare_export(record, tmp_path / "x", IDENTITY, Form.PT)
    kept = torch.load(path, weights_only=False)["model"]
    assert all(torch.equal(tensor, kept.state_dict()[name]) for name, tensor in export.network.state_dict().items())
    assert export.network.names == {0: "cat", 1: "it's"}


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    record = begun_with(tmp_path, seeds={3: (0,), 100: (5,)})
    keep_weights(tmp_path, 100, 5, description(replace(BLOCK, ffn_ratio=4)))
    with pytest.raises(UserError, match=r"seed5\.pt: holds the weights of another model than the study's"):
        prepare_export(record, tmp_path / "x", IDENTITY, Form.PT)


# --- A user's own blocks --------------------------------------------------------------------------


def test_a_file_of_blocks_goes_along_and_the_yaml_names_it_without_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs").mkdir()
    file = tmp_path / "theirs" / "mixing_export.py"
    file.write_text(THEIR_BLOCK.format(name="mixing_export"))
    placement = replace(BLOCK, kind=f"{file}:mixing_export")
    record = begun_with(tmp_path, placement, {3: (0,), 100: (5,)}, block_files={file.name: "another hash"})
    keep_weights(tmp_path, 100, 5, description(placement))
    with pytest.raises(UserError, match=r"mixing_export.py: has changed since study x searched with it"):
        prepare_export(record, tmp_path / "x", IDENTITY, Form.PT)
    export = prepare_export(replace(record, settings={"imgsz": 64}), tmp_path / "x", IDENTITY, Form.PT)
    (tmp_path / "export").mkdir()
    written = write_export(export, tmp_path / "export")  # in a fresh process, which knows the copy alone
    assert written.files == (f"{IDENTITY}.pt", f"{IDENTITY}.yaml", "README.md", "load.py", "mixing_export.py")
    assert yaml.safe_load((tmp_path / "export" / f"{IDENTITY}.yaml").read_text())["blocks"] == ["mixing_export.py"]
    here = str(tmp_path / "theirs").encode()
    assert not [path for path in (tmp_path / "export").iterdir() if path.is_file() and here in path.read_bytes()]
    assert written.max_difference == 0


# --- The check notices ----------------------------------------------------------------------------


def test_a_model_that_says_something_else_in_a_fresh_process_is_refused(tmp_path: Path) -> None:
    """The KV pool has no weights: only what the network computes tells."""
    other = description(replace(BLOCK, kv_pool=4))
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(other))
    (tmp_path / "load.py").write_text(load_script(Form.YAML, "m", 64))
    network = build(description())
    fill(network)
    with pytest.raises(UserError, match=r"says something else than the model here \(relative difference \d"):
        compare_in_fresh_process(network, tmp_path, 64, Form.YAML)


FAKE = """
class Input:
    name = "images"
class Session:
    def get_inputs(self): return [Input]
    def run(self, names, feed): return [feed["images"] {how}]
session = Session()
"""


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import no_such_module", "load.py does not run in a fresh process.*No module named 'no_such_module'"),
        ("import harness" + FAKE.format(how=""), "load.py imports clo-nas, which an ONNX file must do without"),
        (FAKE.format(how="* 1.1"), r"relative difference 0\.1, rounding explains 0\.01"),
        (FAKE.format(how="* float('nan')"), "relative difference nan"),
    ],
)
def test_what_does_not_load_or_says_something_else_is_one_sentence(tmp_path: Path, script: str, reason: str) -> None:
    (tmp_path / "load.py").write_text(script)
    with pytest.raises(UserError, match=reason):
        compare_in_fresh_process(torch.nn.Identity(), tmp_path, 64, Form.ONNX)


def test_the_distance_is_the_largest_of_all_outputs(tmp_path: Path) -> None:
    (tmp_path / "load.py").write_text(FAKE.format(how="+ 0.001"))
    found = compare_in_fresh_process(torch.nn.Identity(), tmp_path, 64, Form.ONNX)
    assert found.max_difference == pytest.approx(0.001, rel=1e-3)
    assert found.output_shape == (1, 3, 64, 64)
    assert re.fullmatch(r"onnxruntime \d+\.\d+\.\d+", found.engine)


def test_fixed_weights_leave_no_block_the_identity() -> None:
    network = build(description())
    fill(network)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert all(parameter.abs().max() > 0 for parameter in trained)
    again = build(description())
    fill(again)
    assert all(map(torch.equal, network.state_dict().values(), again.state_dict().values()))


# --- What is replaced -----------------------------------------------------------------------------


def test_a_folder_with_something_else_in_it_is_not_replaced(tmp_path: Path) -> None:
    export = prepare_export(begun_with(tmp_path), tmp_path / "x", IDENTITY, Form.YAML)
    target = tmp_path / "mine"
    check_replaceable(export, target)
    target.mkdir()
    for name in ("README.md", "load.py", f"{IDENTITY}.yaml", f"{IDENTITY}.onnx", "__pycache__"):
        (target / name).touch()
    check_replaceable(export, target)
    (target / "thesis.tex").touch()
    with pytest.raises(UserError, match=f"mine: holds thesis.tex, which is not of an export of {IDENTITY}"):
        check_replaceable(export, target)
    with pytest.raises(UserError, match=r"thesis.tex: is a file; name a folder"):
        check_replaceable(export, target / "thesis.tex")


@pytest.mark.parametrize("form", [Form.YAML, Form.PT, Form.ONNX])
@pytest.mark.parametrize("picks", [False, True])
def test_a_script_is_python_and_short(form: Form, picks: bool) -> None:
    script = load_script(form, IDENTITY, 64, ("own.py",), picks=picks)
    compile(script, "load.py", "exec")
    lines = [line for line in script.splitlines() if line.strip()]
    assert len(lines) <= 16
