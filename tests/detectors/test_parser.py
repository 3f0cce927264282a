"""Ultralytics learns our blocks on import, in either order, and a parser we do not know is refused."""

from __future__ import annotations

import copy
import subprocess
import sys
import types
from pathlib import Path

import pytest
from ultralytics.nn import tasks
from ultralytics.nn.modules.conv import Conv

from harness.architecture import Architecture, Placement
from harness.blocks import CloBlock
from harness.common.errors import UserError
from harness.detectors import build, insert, resolve_base, to_yaml
from harness.detectors.cloformer import CloFormerStem
from harness.detectors.model_yaml import Description
from harness.detectors.parser import register

KNOWS = "import ultralytics.nn.tasks as t; print(t.CloBlock.__module__)"


@pytest.mark.parametrize("order", [f"import harness; {KNOWS}", f"import ultralytics.nn.tasks; import harness; {KNOWS}"])
def test_either_order_of_import_works(order: str) -> None:
    done = subprocess.run([sys.executable, "-c", order], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "harness.blocks.block"


def test_importing_harness_alone_imports_neither_torch_nor_ultralytics() -> None:
    script = "import sys, harness; print(sorted({'torch', 'ultralytics'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_registering_twice_changes_nothing() -> None:
    register(tasks)
    register(tasks)
    assert tasks.CloBlock is CloBlock


def test_a_parser_that_looks_different_is_refused() -> None:
    module = types.ModuleType("tasks")
    exec("def parse_model(d, ch, verbose=True):\n    return None", module.__dict__)
    with pytest.raises((UserError, OSError)):
        register(module)


def test_a_layer_of_ultralytics_own_is_not_overwritten() -> None:
    module = types.ModuleType("tasks")
    module.parse_model = tasks.parse_model  # type: ignore[attr-defined]
    module.CloBlock = object  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="a layer named CloBlock of its own"):
        register(module)


# --- Rows of ours ---------------------------------------------------------------------------------


def test_a_layer_that_changes_channels_takes_its_stand_ins_place() -> None:
    description = copy.deepcopy(resolve_base("yolov8n").config)
    rows = description["backbone"]
    rows[0:2] = [[-1, 1, "CloFormerStem", [3, 32, "xxs"]], [-1, 1, "Conv", [128, 1, 1]]]
    network = build(description)
    stem = network.model[0]
    assert isinstance(stem, CloFormerStem)
    assert [getattr(stem, name) for name in ("i", "f", "type")] == [0, -1, "CloFormerStem"]
    assert stem.np == sum(parameter.numel() for parameter in stem.parameters()) > 0
    assert network.model[1].conv.in_channels == 32


def test_a_repeated_layer_that_changes_channels_is_refused() -> None:
    description = copy.deepcopy(resolve_base("yolov8n").config)
    description["backbone"][0] = [-1, 2, "CloFormerStem", [3, 32, "xxs"]]
    with pytest.raises(UserError, match="CloFormerStem is repeated 2 times"):
        build(description)


def test_channels_in_a_row_that_are_not_the_layers_are_refused() -> None:
    description = copy.deepcopy(resolve_base("yolov8n").config)
    description["backbone"][0] = [-1, 1, "CloFormerStem", [3, 48, "xxs"]]
    with pytest.raises(UserError, match=r"stem of xxs: channels \(3, 48\) in its row; they are \(3, 32\)"):
        build(description)


def test_a_description_stays_as_it_was_written() -> None:
    description = copy.deepcopy(resolve_base("yolov8n").config)
    description["backbone"][4][3].append({"inside": {"RegisteredBlock": [32, {"name": "se"}]}})
    before = copy.deepcopy(description)
    network = build(description)
    assert description == before
    assert network.yaml["backbone"] == before["backbone"]


def test_a_block_inside_a_layer_without_bottlenecks_is_refused() -> None:
    description = copy.deepcopy(resolve_base("yolov8n").config)
    description["backbone"][9][3].append({"inside": {"RegisteredBlock": [256, {"name": "se"}]}})
    with pytest.raises(UserError, match="SPPF has no bottleneck to put a block inside"):
        build(description)


OWN = """
from torch import nn
from harness.blocks import register_block
@register_block("of_a_model")
class OfAModel(nn.Conv2d):
    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 1)
"""
TRAINED_ELSEWHERE = """
import harness
from ultralytics import YOLO
print(sum(type(m).__name__ == "OfAModel" for m in YOLO("own.yaml").model.modules()))
"""


def test_a_model_yaml_names_the_file_of_its_own_block(tmp_path: Path) -> None:
    (tmp_path / "own_block.py").write_text(OWN)
    placement = Placement(site="neck.P3", kind=f"{tmp_path / 'own_block.py'}:of_a_model")
    config = insert(resolve_base("yolov5n"), Architecture(base="yolov5n", placements=(placement,)))
    assert config["blocks"] == [str(tmp_path / "own_block.py")]
    (tmp_path / "own.yaml").write_text(to_yaml(config))
    done = subprocess.run(
        [sys.executable, "-c", TRAINED_ELSEWHERE], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "1", done.stderr


def test_a_base_with_a_block_of_ones_own_keeps_its_file(tmp_path: Path) -> None:
    (tmp_path / "first_block.py").write_text(OWN.replace("of_a_model", "first_of_two"))
    (tmp_path / "second_block.py").write_text(OWN.replace("of_a_model", "second_of_two"))
    first, second = (str(tmp_path / f"{name}_block.py") for name in ("first", "second"))
    own = Placement(site="neck.P3", kind=f"{first}:first_of_two")
    config = insert(resolve_base("yolov5n"), Architecture(base="yolov5n", placements=(own,)))
    (tmp_path / "base.yaml").write_text(to_yaml(config))
    base = resolve_base(str(tmp_path / "base.yaml"))
    more = Placement(site="neck.P4", kind=f"{second}:second_of_two")
    assert insert(base, Architecture(base="base", placements=(more,)))["blocks"] == [first, second]
    before = base.fingerprint
    Path(first).write_text(OWN + "# changed\n")
    assert resolve_base(str(tmp_path / "base.yaml")).fingerprint != before


def test_an_unknown_block_inside_a_layer_is_refused_with_the_known_ones() -> None:
    description = copy.deepcopy(resolve_base("yolov8n").config)
    description["backbone"][4][3].append({"inside": {"Foo": [32]}})
    with pytest.raises(UserError, match="inside: Foo is none of CloAttention, CloBlock, RegisteredBlock"):
        build(description)


def test_a_relative_file_of_blocks_lies_beside_the_models_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = to_yaml({**resolve_base("yolov8n").config, "blocks": ["beside.py"]})
    (tmp_path / "m.yaml").write_text(text)
    (tmp_path / "beside.py").write_text("imported = True")
    monkeypatch.chdir(tmp_path.parent)
    monkeypatch.delitem(sys.modules, "beside", raising=False)
    base = resolve_base(str(Path(tmp_path.name) / "m.yaml"))
    assert base.config["blocks"] == [str(tmp_path / "beside.py")]
    tasks.DetectionModel(str(Path(tmp_path.name) / "m.yaml"), verbose=False)  # plain Ultralytics
    assert sys.modules["beside"].__file__ == str(tmp_path / "beside.py")
    forgotten: Description = {**base.config, "blocks": ["beside.py"], "yaml_file": "gone.yaml"}
    build(forgotten)  # a checkpoint's, once it was read


def test_restricted_loading_runs_no_file_that_a_model_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    description: Description = {**copy.deepcopy(resolve_base("yolov8n").config), "blocks": [str(tmp_path / "evil.py")]}
    (tmp_path / "evil.py").write_text("raise SystemExit('run')")
    monkeypatch.setenv("ULTRALYTICS_SAFE_LOAD", "1")
    with pytest.raises(UserError, match=r"names a file of blocks, .*evil\.py, which ULTRALYTICS_SAFE_LOAD keeps"):
        build(description)


def yolov7_tiny_with(activation: str, row: int, arguments: list[int]) -> Description:
    config = copy.deepcopy(resolve_base("yolov7-tiny").config)
    config["backbone"][row][3] = arguments
    return {**config, "activation": activation}


def test_a_models_activation_stays_its_own() -> None:
    before = Conv.default_act
    resolve_base("yolov7-tiny").build()
    assert Conv.default_act is before
    later = resolve_base("yolov8n").build()
    assert {type(m.act).__name__ for m in later.modules() if isinstance(m, Conv)} == {"SiLU"}


@pytest.mark.parametrize(
    ("row", "arguments"),
    [
        pytest.param(2, [64, 64, 32, 32, 3, 2], id="in a layer of ours"),
        pytest.param(1, [64, 3, 2, 0, 7], id="in a layer of Ultralytics"),
    ],
)
def test_a_models_activation_stays_its_own_when_building_fails(row: int, arguments: list[int]) -> None:
    before = Conv.default_act
    with pytest.raises(UserError, match="cannot be built"):
        build(yolov7_tiny_with("torch.nn.LeakyReLU(0.1)", row, arguments))
    assert Conv.default_act is before


@pytest.mark.parametrize(
    "error", [RuntimeError("DefaultCPUAllocator: can't allocate memory"), RuntimeError("bad_alloc")]
)
def test_too_little_memory_to_build_is_not_the_descriptions_fault(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lack(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("harness.detectors.families.DetectionModel", lack)
    with pytest.raises(RuntimeError, match="alloc"):
        build(resolve_base("yolov5n").config)


def test_an_activation_is_a_layer_of_torch_and_no_other_expression() -> None:
    with pytest.raises(UserError, match=r"cannot be built: its activation .* is no torch.nn layer"):
        build(yolov7_tiny_with("print('any code')", 2, [64, 64, 32, 32, 2, 1]))


def test_a_restricted_load_under_way_runs_none_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    description: Description = {**copy.deepcopy(resolve_base("yolov8n").config), "blocks": [str(tmp_path / "evil.py")]}
    (tmp_path / "evil.py").write_text("raise SystemExit('run')")
    monkeypatch.setattr(tasks._SafeLoad._local, "active", True, raising=False)
    with pytest.raises(UserError, match=r"names a file of blocks, .*evil\.py"):
        build(description)
