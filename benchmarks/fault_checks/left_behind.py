"""What a search may have left behind: processes, locks, files half written."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import filelock
import psutil

MARK = "CLO_NAS_FAULTS"
"""Environment variable that a search and all that it starts have; its value is the study's own."""
HALF_WRITTEN = ("*.part", "*.tmp", "*.pt.*")


def processes(mark: str, patience: float = 10.0) -> list[psutil.Process]:
    """Processes of a study that are still there after some seconds: children need a moment to notice a death."""
    deadline = time.monotonic() + patience
    while (alive := _marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return alive


def _marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def held_locks(folders: Iterable[Path]) -> list[Path]:
    """Lock files below folders that can't be locked now."""
    held = []
    for folder in folders:
        for path in folder.rglob("*.lock"):
            lock = filelock.FileLock(path, timeout=0)
            try:
                with lock:
                    pass
            except filelock.Timeout:
                held.append(path)
    return held


def half_written(folders: Iterable[Path]) -> list[Path]:
    """Files below folders that a finished run should have completed or removed."""
    found = {path for folder in folders for pattern in HALF_WRITTEN for path in folder.rglob(pattern)}
    return sorted(path for path in found if path.suffix != ".lock")
