"""Checkpoints from strangers: layers and weights are read, and nothing in the file is run."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from ultralytics import YOLO
from ultralytics.nn import tasks

from harness.architecture import Architecture, Gate, Kind, LocalGroup, Operator, Placement
from harness.blocks.registry import block_names
from harness.common.errors import UserError
from harness.detectors import build, find_sites, insert, load_model, read_checkpoint, resolve_base
from harness.training.accuracy import Schedule, Training, initial_model, save_checkpoint

OWN = """
from torch import Tensor, nn
from harness.blocks import register_block


class Inner(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


@register_block("{name}")
class Theirs(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 1)
        self.inner = Inner()

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(self.inner(x))
"""


class Calls:
    """What a pickle makes of it is the result of a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.fixture
def proof(tmp_path: Path) -> Path:
    """The file that a payload writes if it is run."""
    return tmp_path / "the payload was run"


def hostile(proof: Path, how: str) -> Calls:
    code = f"open({str(proof)!r}, 'w').close()"
    return {
        "system": lambda: Calls(os.system, f"touch '{proof}'"),
        "exec": lambda: Calls(exec, code),
        "eval": lambda: Calls(eval, code),
        "process": lambda: Calls(subprocess.check_call, ["touch", str(proof)]),
        "getattr": lambda: Calls(getattr, Calls(__import__, "os"), "system"),
        "torch": lambda: Calls(torch.save, {}, str(proof)),
    }[how]()


HOW = ("system", "exec", "eval", "process", "getattr", "torch")


def test_the_payloads_of_these_tests_do_run_where_a_pickle_is_trusted(tmp_path: Path, proof: Path) -> None:
    torch.save({"model": hostile(proof, "system")}, tmp_path / "evil.pt")
    torch.load(tmp_path / "evil.pt", weights_only=False)
    assert proof.exists()


def with_payload(path: Path, payload: object) -> Path:
    model = resolve_base("yolov5n").build(2)
    model.names = {0: payload, 1: "dog"}
    torch.save({"model": model, "ema": None, "epoch": -1, "train_args": {"task": "detect"}}, path)
    return path


@pytest.mark.parametrize("how", HOW)
def test_a_payload_in_a_checkpoint_is_refused_in_a_sentence_and_not_run(tmp_path: Path, proof: Path, how: str) -> None:
    path = with_payload(tmp_path / "evil.pt", hostile(proof, how))
    why = r"evil\.pt: (refers to .* could run code, so|holds a block of the module)"
    with pytest.raises(UserError, match=why) as refused:
        resolve_base(str(path))
    assert "\n" not in str(refused.value)
    assert not proof.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_bare_payload_is_refused_too(tmp_path: Path, proof: Path, zipped: bool) -> None:
    torch.save(hostile(proof, "system"), tmp_path / "evil.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=r"evil\.pt: ") as refused:
        load_model(str(tmp_path / "evil.pt"))
    assert "\n" not in str(refused.value)
    assert not proof.exists()


def test_a_training_that_starts_from_it_runs_nothing(tmp_path: Path, proof: Path) -> None:
    config = resolve_base("yolov5n").config
    path = with_payload(tmp_path / "evil.pt", hostile(proof, "exec"))
    schedule = Schedule(epochs=1, batch=2, imgsz=64, learning_rate=1e-3)
    for where in ({"base_weights": path}, {"base_weights": None, "start": path}):
        training = Training(
            config=config, base_config=config, layers={}, data="", classes=2, schedule=schedule, seed=0, device="cpu",
            threads=1, **where,
        )  # fmt: skip
        with pytest.raises(UserError, match="could run code"):
            initial_model(training)
    assert not proof.exists()


def test_plain_ultralytics_runs_nothing_either_once_harness_is_imported(tmp_path: Path, proof: Path) -> None:
    path = with_payload(tmp_path / "evil.pt", hostile(proof, "system"))
    with pytest.raises(TypeError, match="outside the supported Ultralytics checkpoint format"):
        YOLO(path)
    assert not proof.exists()


def test_only_a_user_can_say_that_every_checkpoint_is_trusted(tmp_path: Path, proof: Path) -> None:
    path = with_payload(tmp_path / "mine.pt", hostile(proof, "system"))
    environment = {**os.environ, "ULTRALYTICS_SAFE_LOAD": "0", "PYTHONPATH": str(Path(__file__).parents[2])}
    program = "import sys; from harness.detectors import read_checkpoint; read_checkpoint(sys.argv[1])"
    subprocess.run([sys.executable, "-c", program, str(path)], env=environment, check=True, capture_output=True)
    assert proof.exists()


# --- What is written beside the weights -----------------------------------------------------------


def checkpoint_that_says(path: Path, **description: object) -> Path:
    model = resolve_base("yolov5n").build(2)
    model.yaml |= description
    save_checkpoint(model, path)
    return path


def test_a_checkpoint_runs_no_file_of_blocks_that_it_names(tmp_path: Path, proof: Path) -> None:
    (tmp_path / "beside_it.py").write_text(f"open({str(proof)!r}, 'w').close()  # register_block")
    for named in ("beside_it.py", str(tmp_path / "beside_it.py")):
        path = checkpoint_that_says(tmp_path / "m.pt", blocks=[named], yaml_file=str(tmp_path / "m.yaml"))
        with pytest.raises(UserError, match=r"m\.pt: was trained with the block file beside_it\.py"):
            resolve_base(str(path)).build()
    assert not proof.exists()


def test_an_activation_in_a_description_is_not_evaluated(tmp_path: Path, proof: Path) -> None:
    path = checkpoint_that_says(tmp_path / "m.pt", activation=f"open({str(proof)!r}, 'w')")
    with pytest.raises(UserError, match=r"cannot be built: its activation .* is no torch.nn layer with plain"):
        resolve_base(str(path)).build()
    assert not proof.exists()


def test_a_row_of_a_description_names_a_layer_and_no_function() -> None:
    description = copy.deepcopy(resolve_base("yolov5n").config)
    description["backbone"][0] = [-1, 1, "attempt_download_asset", ["https://example.org/x.pt"]]
    with pytest.raises(UserError, match="cannot be built"):
        build(description)
    description["backbone"][0] = [-1, 1, "yaml_model_load", ["x.yaml"]]
    with pytest.raises(UserError, match=r"cannot be built: layer 0, .* 'yaml_model_load' is no layer"):
        build(description)


# --- What still loads -----------------------------------------------------------------------------


def saved(path: Path, base: str, *placements: Placement) -> tuple[nn.Module, nn.Module]:
    detector = resolve_base(base)
    architecture = Architecture(base=base, placements=placements)
    model = build(insert(detector, architecture, sites=find_sites(detector), classes=2))
    save_checkpoint(model, path)
    return model, read_checkpoint(path)[0]


def same(a: nn.Module, b: nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(
    "base", ["yolov5n", "yolov8n", "yolo11n", "yolo26n", "yolov10n", "yolov7-tiny", "cloformer-xxs"]
)
def test_checkpoints_of_all_families_load(tmp_path: Path, base: str) -> None:
    assert same(*saved(tmp_path / "m.pt", base))


@pytest.mark.parametrize("operator", Operator)
def test_checkpoints_with_clo_blocks_load(tmp_path: Path, operator: Operator) -> None:
    kinds = zip(("backbone.P3", "backbone.P4", "neck.P4"), (Kind.BLOCK, Kind.ATTENTION, Kind.BARE), strict=True)
    blocks = [
        Placement(
            site=site, kind=kind, groups=(LocalGroup(3, 2),), global_heads=2, kv_pool=2, operator=operator,
        )
        for site, kind in kinds
    ]  # fmt: skip
    assert same(*saved(tmp_path / "m.pt", "yolov5n", *blocks))


def test_checkpoints_with_registered_blocks_load(tmp_path: Path) -> None:
    for name in (name for name in block_names() if name in {"se", "cbam"}):
        assert same(*saved(tmp_path / "m.pt", "yolov5n", Placement(site="neck.P4", kind=name)))


def test_a_checkpoint_with_a_block_of_ones_own_loads_once_its_file_was_imported(tmp_path: Path) -> None:
    file = tmp_path / "own_in_checkpoint.py"
    file.write_text(OWN.format(name="own_in_checkpoint"))
    placement = Placement(site="neck.P4", kind=f"{file}:own_in_checkpoint")
    written, read = saved(tmp_path / "m.pt", "yolov5n", placement)
    assert same(written, read)
    assert {"Theirs", "Inner"} <= {type(module).__name__ for module in read.modules()}
    assert resolve_base(str(tmp_path / "m.pt")).config["blocks"] == [str(file)]


def test_in_a_new_process_its_file_is_looked_for_on_pythonpath_alone(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "own_elsewhere.py").write_text(OWN.format(name="own_elsewhere"))
    saved(tmp_path / "m.pt", "yolov5n", Placement(site="neck.P4", kind=f"{theirs / 'own_elsewhere.py'}:own_elsewhere"))
    program = (
        "import sys; from harness.detectors import resolve_base; print(resolve_base(sys.argv[1]).config['blocks'])"
    )
    root = str(Path(__file__).parents[2])

    def run(path: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program, str(tmp_path / "m.pt")]
        environment = {**os.environ, "PYTHONPATH": path}
        return subprocess.run(command, env=environment, cwd=theirs, capture_output=True, text=True, check=False)

    assert "put the folder of own_elsewhere.py on PYTHONPATH" in run(root).stderr  # though it is the current folder
    found = run(os.pathsep.join([root, str(theirs)]))
    assert found.stdout.strip() == str([str(theirs / "own_elsewhere.py")]), found.stderr


def test_ultralytics_itself_loads_clo_blocks_from_a_checkpoint(tmp_path: Path) -> None:
    block = Placement(site="neck.P4", kind=Kind.BLOCK, groups=(LocalGroup(3, 2),), global_heads=2, kv_pool=2)
    written, _ = saved(tmp_path / "m.pt", "yolov5n", block)
    assert tasks.SAFE_LOAD is True
    assert same(written, YOLO(tmp_path / "m.pt").model)


def test_a_choice_in_a_checkpoint_from_before_its_module_moved_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(resolve_base("yolov5n").config)
    model.gate = Gate.TANH
    with monkeypatch.context() as patch:
        patch.setattr(Gate, "__module__", "harness.choices")
        save_checkpoint(model, tmp_path / "old.pt")
    assert b"harness.choices" in (tmp_path / "old.pt").read_bytes()
    read, _ = read_checkpoint(tmp_path / "old.pt")
    assert read.gate is Gate.TANH
