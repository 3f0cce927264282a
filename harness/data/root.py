"""Where the files of a dataset YAML are: beside the YAML first, and nowhere by chance.

Ultralytics takes a relative `path` from the current folder, then from its setting `datasets_dir`; it never looks beside
the YAML, so that the same command reads other images in another folder. Here the YAML's own folder comes first, and
where a second place would do as well, the user is asked.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.common.errors import UserError
from harness.common.isolation import cache_folder

_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")


def find_root(content: Mapping[str, Any], yaml: Path) -> Path:
    """Find the folder that a data set's paths are relative to.

    Args:
        content: Of the YAML; `train` and `val` are paths or lists of paths.
        yaml: The file.

    Returns:
        A resolved path. If none of the places has the images it is the first that exists, or else the last.

    Raises:
        UserError: `path` is no path, is one of Windows, or means two places which both have the images.
    """
    given = content.get("path") or str(yaml.parent)
    if not isinstance(given, str):
        raise UserError(f"Data set {yaml}: 'path' must be the path of a folder, not {given!r}.")
    refuse_windows(given, "path", yaml)
    try:
        roots = _places(given, yaml)
        fitting = [root for root in roots if _has_images(root, content)]
        if len(fitting) > 1:
            raise UserError(
                f"Data set {yaml}: its path {given!r} means two folders that both have its images, {fitting[0]} and "
                f"{fitting[1]}; write the one that you mean as an absolute path into the YAML."
            )
        return (*fitting, *(root for root in roots if root.exists()), roots[-1])[0]
    except (OSError, ValueError) as error:
        raise UserError(f"Data set {yaml}: 'path' can be no folder's: {error}.") from error


def searched(content: Mapping[str, Any], yaml: Path) -> str:
    """Return a clause that names all places that a relative `path` may mean; empty where there is one."""
    given = content.get("path") or str(yaml.parent)
    roots = _places(given, yaml)
    if len(roots) < 2:
        return ""
    return f"; its path {given!r} was looked for in {', '.join(map(str, roots[:-1]))} and {roots[-1]}"


def refuse_windows(given: str, key: str, yaml: Path) -> None:
    """Refuse a Windows path where it can be no path.

    Raises:
        UserError: It is one, and this is not Windows.
    """
    if os.name != "nt" and _WINDOWS.match(given):
        raise UserError(
            f"Data set {yaml}: its {key!r} is a path of Windows, {given}; write that folder's path on this machine."
        )


def datasets_dir() -> Path:
    """Return Ultralytics' folder of data sets as in the user's own settings, from which trainings are kept apart."""
    from ultralytics.data.utils import DATASETS_DIR

    if Path(os.environ.get("YOLO_CONFIG_DIR", "")) != cache_folder():
        return Path(DATASETS_DIR)  # the user's own settings are in use
    try:
        chosen = json.loads((_config_folder() / "Ultralytics" / "settings.json").read_text(encoding="utf-8"))
        return Path(chosen["datasets_dir"])
    except (OSError, ValueError, KeyError, TypeError):
        return Path(DATASETS_DIR)


def _config_folder() -> Path:
    """Return where Ultralytics keeps its settings if nobody says otherwise (its `get_user_config_dir`)."""
    if os.name == "nt":
        return Path.home() / "AppData" / "Roaming"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def _places(given: str, yaml: Path) -> list[Path]:
    """List what a path may mean, in the order of preference, each once."""
    path = Path(given).expanduser()
    if path.is_absolute():
        return [path.resolve()]
    places = (yaml.parent / path, Path.cwd() / path, datasets_dir() / path)
    return list(dict.fromkeys(place.resolve() for place in places))


def _has_images(root: Path, content: Mapping[str, Any]) -> bool:
    """Return whether something is there for both splits; not for what can be no path, on which `listing` says more."""
    with suppress(OSError, ValueError):
        return all(any(_exists(root, name) for name in _listed(content[split])) for split in ("train", "val"))
    return False


def _exists(root: Path, name: str) -> bool:
    return (root / name).exists() or (name.startswith("../") and (root / name[3:]).exists())


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
