"""The version, from its single source: `version` in pyproject.toml."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path

_PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def version() -> str:
    """Return the version of the installed distribution; of the clone, where nothing was installed."""
    try:
        return installed_version("clo-nas")
    except PackageNotFoundError:
        project: dict[str, str] = tomllib.loads(_PYPROJECT.read_text(encoding="utf-8"))["project"]
        return project["version"]


def versions() -> dict[str, str]:
    """Return the versions that bear on figures, for a bug report: ours, Python's, the libraries', CUDA's."""
    import platform

    import torch

    libraries = {name: installed_version(name) for name in ("torch", "torchvision", "ultralytics", "optuna", "fvcore")}
    cuda = torch.version.cuda or "none: torch is a CPU build"
    if torch.version.cuda and not torch.cuda.is_available():
        cuda += " (torch's; there is no CUDA GPU here)"
    return {"clo-nas": version(), "Python": platform.python_version(), **libraries, "CUDA": cuda}
