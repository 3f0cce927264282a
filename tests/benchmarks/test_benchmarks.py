"""Every benchmark can at least be loaded: what it imports is there."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SHARED = {"postgres_server", "ray_cluster"}
"""What benchmarks and tests start; nothing to be run by itself."""
FILES = [file for file in sorted((Path(__file__).parents[2] / "benchmarks").glob("*.py")) if file.stem not in SHARED]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_benchmark_can_be_loaded_and_says_what_it_is(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(file.parent))
    spec = importlib.util.spec_from_file_location(f"benchmark_{file.stem}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, spec.name, module)
    spec.loader.exec_module(module)
    assert module.__doc__
    assert callable(module.main)
