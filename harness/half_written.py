"""Files and folders that are being written are named by their writer, so that what a kill left can be removed."""

from __future__ import annotations

import os
import platform
import re
import shutil
from pathlib import Path

import psutil

_HOST = re.sub(r"[^A-Za-z0-9-]", "-", platform.node()) or "unknown"
_NAME = re.compile(rf"\..+\.{re.escape(_HOST)}\.(\d+)\.part")


def part_of(path: Path) -> Path:
    """Where this process writes a file or a folder, beside it, before it puts it in its place in one step."""
    return path.with_name(f".{path.name}.{_HOST}.{os.getpid()}.part")


def remove_left_overs(folder: Path) -> None:
    """Remove parts whose process has ended; of other machines, which may share the folder, nothing is known."""
    for path in folder.glob(".*.part"):
        named = _NAME.fullmatch(path.name)
        if named and not psutil.pid_exists(int(named[1])):
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)  # another process may be doing the same
    else:
        path.unlink(missing_ok=True)
