"""What an export holds, which weights go along, and that a fresh process would notice if it were wrong."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from harness.common.errors import UserError
from harness.cost.ledger import deployed
from harness.detectors import build, resolve_base
from harness.export import export as export_module
from harness.export.export import check_replaceable, prepare_export, trained_weights
from harness.export.exported import Form, load_script
from harness.export.fresh_process import fill
from harness.export.verify import compare_in_fresh_process
from tests.export.exportable import BLOCK, IDENTITY, begun_with, description, keep_weights, their_block
from tests.report.example import failed, frame, record, row

# --- Which weights --------------------------------------------------------------------------------


def test_the_longest_trainings_first_seed_goes_along(tmp_path: Path) -> None:
    keys = [(3, 0), (24, 4), (100, 7), (100, 5), (100, 6)]
    rows = [row(IDENTITY, 0) | {"epochs": epochs, "seed": seed} for epochs, seed in keys]
    study = record(frame([*rows, failed(IDENTITY, 0) | {"epochs": 100, "seed": 4}]))
    assert trained_weights(study, tmp_path, IDENTITY) is None
    (tmp_path / "trained").mkdir()
    for epochs, seed in ((24, 4), (100, 6), (100, 5), (100, 4), (200, 9)):  # of the last two is no complete training
        (tmp_path / "trained" / f"{IDENTITY}-{epochs}epochs-base0-seed{seed}.pt").touch()
    found = trained_weights(study, tmp_path, IDENTITY)
    assert found is not None
    assert (found.epochs, found.seed, found.path.name) == (100, 5, f"{IDENTITY}-100epochs-base0-seed5.pt")


def test_weights_and_class_names_are_the_checkpoints_which_is_of_this_very_model(tmp_path: Path) -> None:
    study = begun_with(tmp_path, seeds={100: (5,)})
    path = keep_weights(tmp_path, 100, 5)
    export = prepare_export(study, tmp_path / "x", IDENTITY, Form.PT)
    kept = torch.load(path, weights_only=False)["model"]
    assert all(torch.equal(tensor, kept.state_dict()[name]) for name, tensor in export.network.state_dict().items())
    assert export.network.names == {0: "cat", 1: "it's"}

    keep_weights(tmp_path, 100, 5, description(replace(BLOCK, ffn_ratio=4)))
    with pytest.raises(UserError, match=r"seed5\.pt: holds the weights of another model than the study's"):
        prepare_export(study, tmp_path / "x", IDENTITY, Form.PT)


# --- A user's own blocks --------------------------------------------------------------------------


def test_a_file_of_blocks_that_has_changed_is_refused(tmp_path: Path) -> None:
    """That it goes along is seen where it is trained, in `test_export_trained`."""
    _, theirs = their_block(tmp_path, "changing_export")
    study = begun_with(tmp_path, (theirs,), block_files={"changing_export.py": "another hash"})
    with pytest.raises(UserError, match=r"changing_export\.py: has changed since study x searched with it"):
        prepare_export(study, tmp_path / "x", IDENTITY, Form.YAML)


# --- The check notices ----------------------------------------------------------------------------


def test_a_model_that_says_something_else_in_a_fresh_process_is_refused(tmp_path: Path) -> None:
    """The KV pool has no weights: only what the network computes tells."""
    other = description(replace(BLOCK, kv_pool=4))
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(other))
    (tmp_path / "load.py").write_text(load_script(Form.YAML, "m", 64))
    network = build(description(BLOCK))
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
    network = build(description(BLOCK))
    fill(network)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert all(parameter.abs().max() > 0 for parameter in trained)
    again = build(description(BLOCK))
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
def test_a_script_is_python_and_short(form: Form) -> None:
    script = load_script(form, IDENTITY, 64, ("own.py",))
    compile(script, "load.py", "exec")
    lines = [line for line in script.splitlines() if line.strip()]
    assert len(lines) <= 16


@pytest.mark.parametrize(("name", "unused"), [("yolo26n", True), ("yolov5n", False), ("yolov10n", True)])
def test_an_export_knows_whether_a_head_is_left_out(name: str, unused: bool) -> None:
    """YOLO26 and YOLOv10 train a one-to-one head too, and Ultralytics validates the one-to-many head."""
    network = resolve_base(name).build(2)
    assert export_module._has_unused_head(network) is unused
    fused: Any = deployed(network).model[-1]  # type: ignore[index]
    assert fused.cv2 is not None
    assert getattr(fused, "one2one_cv2", None) is None
