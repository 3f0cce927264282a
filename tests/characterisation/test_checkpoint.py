"""Checkpoints that users have: written before, they load for ever.

A checkpoint is a pickle of a network. It names the classes of its layers by their modules, `harness.blocks.block` and
so on: wherever these classes go, these names have to find them, for PyTorch's restricted loading too (Ultralytics is
told what is a layer; see `harness.detectors.checkpoints`).
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.characterisation import pure_figures
from tests.characterisation.pure_cases import STORED
from tests.characterisation.test_golden import assert_near

EXPECTED = pure_figures.expected("checkpoint")
NAMES = sorted({each for stored in EXPECTED.values() for each in stored["pickled_names"]})
MOST_BYTES = 1_500_000
LOAD = """
import harness
from ultralytics import YOLO
print(len(YOLO(r"{file}").model.state_dict()))
"""


@pytest.mark.parametrize("name", STORED)
def test_a_checkpoint_still_loads_and_says_the_same(name: str) -> None:
    found, wanted = pure_figures.of_checkpoint(name), EXPECTED[name]
    assert (found["classes"], found["names"]) == (wanted["classes"], wanted["names"])
    assert_near(found["boxes"], wanted["boxes"])
    assert_near(found["scores"], wanted["scores"])


def test_a_checkpoint_loads_in_a_program_that_imports_nothing_but_harness(tmp_path: Path) -> None:
    file = pure_figures.CHECKPOINTS / "blocks.pt"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run(
        [sys.executable, "-c", LOAD.format(file=file)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout.split()[-1]) > 0


@pytest.mark.parametrize("name", STORED)
def test_commands_take_a_checkpoint_as_a_model(name: str) -> None:
    assert pure_figures.of_commands(name) == {key: EXPECTED[name][key] for key in ("sites", "cost")}


@pytest.mark.parametrize("name", STORED)
def test_a_checkpoint_names_these_classes(name: str) -> None:
    assert pure_figures.pickled_names(name) == EXPECTED[name]["pickled_names"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_a_checkpoint_can_be_imported(name: str) -> None:
    module, _, attribute = name.partition(":")
    assert isinstance(getattr(importlib.import_module(module), attribute), type)


def test_checkpoints_are_small_and_all_here() -> None:
    files = sorted(pure_figures.CHECKPOINTS.iterdir())
    assert {file.stem for file in files} == set(STORED) == set(EXPECTED)
    assert sum(file.stat().st_size for file in files) < MOST_BYTES
