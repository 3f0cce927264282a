"""The version, from its single source: `version` in pyproject.toml."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path

_PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def version() -> str:
    """Version of the installed distribution; of the clone, where nothing was installed."""
    try:
        return installed_version("clo-nas")
    except PackageNotFoundError:
        project: dict[str, str] = tomllib.loads(_PYPROJECT.read_text(encoding="utf-8"))["project"]
        return project["version"]
