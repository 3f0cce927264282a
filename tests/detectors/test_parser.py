"""Ultralytics learns our blocks on import, in either order, and a parser we do not know is refused."""

from __future__ import annotations

import subprocess
import sys
import types

import pytest
from ultralytics.nn import tasks

from harness.blocks import CloBlock
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
