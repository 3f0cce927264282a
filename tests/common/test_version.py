"""One version: pyproject.toml's."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from harness.common import version as _version

DECLARED = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["version"]


def test_the_version_is_the_one_that_pyproject_declares() -> None:
    assert _version.version() == DECLARED


def test_a_clone_that_was_not_installed_knows_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing_installed(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(_version, "installed_version", nothing_installed)
    assert _version.version() == DECLARED


def test_the_changelog_has_the_version() -> None:
    changelog = (Path(__file__).parents[2] / "CHANGELOG.md").read_text()
    assert f"## [{DECLARED}]" in changelog
