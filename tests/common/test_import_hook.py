"""A function runs right after a module's import, once, and nothing is imported before its time."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.common.import_hook import moved, when_imported

SOURCE = "calls = []\nanswer = 42\n"
FOLLOWER = "def note(module):\n    module.calls.append(module.answer)\n"


@pytest.fixture
def late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Name of a module that nobody has imported; `follower:note` adds to its `calls`."""
    name = f"late_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(SOURCE, encoding="utf-8")
    (tmp_path / f"{name}_follower.py").write_text(FOLLOWER, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    finders = list(sys.meta_path)
    yield name
    sys.meta_path[:] = finders
    for each in (name, f"{name}_follower"):
        sys.modules.pop(each, None)


def test_the_function_runs_right_after_the_import(late: str) -> None:
    when_imported(late, f"{late}_follower:note")
    assert late not in sys.modules
    assert f"{late}_follower" not in sys.modules
    assert importlib.import_module(late).calls == [42]


def test_a_module_that_is_loaded_is_followed_at_once(late: str) -> None:
    module = importlib.import_module(late)
    when_imported(late, f"{late}_follower:note")
    assert module.calls == [42]


def test_asking_twice_runs_it_once(late: str) -> None:
    when_imported(late, f"{late}_follower:note")
    when_imported(late, f"{late}_follower:note")
    assert importlib.import_module(late).calls == [42]


def test_the_import_system_is_as_before_afterwards(late: str) -> None:
    before = list(sys.meta_path)
    when_imported(late, f"{late}_follower:note")
    assert len(sys.meta_path) == len(before) + 1
    importlib.import_module(late)
    assert sys.meta_path == before


def test_other_modules_are_left_alone(late: str) -> None:
    when_imported(late, f"{late}_follower:note")
    spec = importlib.util.find_spec("colorsys")
    assert spec is not None
    assert type(spec.loader).__module__ == "_frozen_importlib_external"
    assert late not in sys.modules


def test_source_and_path_of_the_module_are_still_found(late: str, tmp_path: Path) -> None:
    when_imported(late, f"{late}_follower:note")
    module = importlib.import_module(late)
    assert inspect.getsource(module) == SOURCE
    assert module.__file__ == str(tmp_path / f"{late}.py")


def test_an_error_in_the_module_is_its_own(late: str, tmp_path: Path) -> None:
    (tmp_path / f"{late}.py").write_text("1 / 0\n", encoding="utf-8")
    when_imported(late, f"{late}_follower:note")
    with pytest.raises(ZeroDivisionError):
        importlib.import_module(late)
    assert late not in sys.modules


def test_a_module_that_does_not_exist_is_missing_as_ever() -> None:
    finders = list(sys.meta_path)
    when_imported("no_such_module_here", "colorsys:note")
    try:
        with pytest.raises(ModuleNotFoundError, match="no_such_module_here"):
            importlib.import_module("no_such_module_here")
    finally:
        sys.meta_path[:] = finders


def test_importing_the_harness_imports_neither_torch_nor_ultralytics() -> None:
    script = (
        "import sys, harness, harness.cli.app; print({'torch', 'ultralytics', 'optuna', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_moved_module_is_imported_by_its_old_name_when_something_of_it_is_asked_for(late: str) -> None:
    old = f"harness.{late}"
    moved(old, late)
    alias = importlib.import_module(old)
    assert late not in sys.modules
    assert alias.answer == 42
    with pytest.raises(AttributeError):
        _ = alias.question
    del sys.modules[old], sys.modules[late]
