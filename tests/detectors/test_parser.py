"""Ultralytics learns our blocks on import, in either order, and a parser we do not know is refused."""

from __future__ import annotations

import copy
import subprocess
import sys
import types
from typing import Any

import pytest
from ultralytics.nn import tasks
from ultralytics.nn.modules.conv import Conv

from harness.blocks import CloBlock
from harness.detectors import build, resolve_base
from harness.detectors.parser import register
from harness.errors import UserError

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


def yolov7_tiny_with(activation: str, row: int, arguments: list[int]) -> dict[str, Any]:
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


def test_an_activation_is_a_layer_of_torch_and_no_other_expression() -> None:
    with pytest.raises(UserError, match="cannot be built: TypeError"):
        build(yolov7_tiny_with("print('any code')", 2, [64, 64, 32, 32, 2, 1]))
