"""An empty working folder, in which nothing trains unless it is pretended."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.characterisation import door


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLO_NAS_CACHE", str(tmp_path / "cache"))
    door.forbid_training(monkeypatch)
    return tmp_path
