"""What the cache folder holds, how much of it is kept, and who uses it.

Pretrained baselines are what grows: 5 to 300 MB each, one for every base, data set and schedule ever tried. Beyond
`LIMIT_BYTES` those that were not used for longest are removed. What a running program uses is never removed: it holds
a lock on it, which the operating system lets go of when the program ends, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import portalocker
from portalocker import LockFlags

from harness.common.errors import UserError
from harness.common.isolation import cache_folder

# Folder of the pretrained baselines, in the cache.
BASES = "bases"
# Most that these may take: some hundred of the default base, or ten of a large one.
LIMIT_BYTES = 1_000_000_000
_KINDS = {
    BASES: "pretrained baselines",
    "latency": "tables of latencies",
    "labels": "labels read by Ultralytics",
    "torchinductor": "compiled kernels",
    "matplotlib": "font list",
    "scratch": "temporary files",
}
# Folders that are never cleared: locks of running programs, and Ultralytics' settings.
_KEPT = {"locks", "Ultralytics"}
_USE, _IN_USE = ".use", ".in-use"
_held: dict[Path, IO[str]] = {}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing in the cache.

    Attributes:
        kind: What it is, for people.
        path: Its file or folder.
        bytes: What it takes on disk.
        used: When it was last used, in seconds since 1970.
    """

    kind: str
    path: Path
    bytes: int
    used: float


def hold(path: Path) -> None:
    """Keep a file of the cache from being removed while this process lives, and note that it was used."""
    if path not in _held:
        file = path.with_suffix(_USE).open("a")
        portalocker.lock(file, LockFlags.SHARED)
        _held[path] = file
    os.utime(path.with_suffix(_USE))


def trim(folder: Path | None = None, limit: int = LIMIT_BYTES) -> list[Path]:
    """Remove the pretrained baselines that were not used for longest, until the rest fits.

    Args:
        folder: That holds them; the cache's by default.
        limit: In bytes.

    Returns:
        What was removed.
    """
    entries = sorted(_bases(folder or cache_folder() / BASES), key=lambda entry: entry.used)
    total, removed = sum(entry.bytes for entry in entries), []
    for entry in entries:
        if total <= limit:
            break
        if _remove_base(entry.path):
            total -= entry.bytes
            removed.append(entry.path)
    return removed


def entries() -> list[Entry]:
    """List what the cache holds, the largest first."""
    root = cache_folder()
    found = list(_bases(root / BASES))
    for path in root.iterdir() if root.is_dir() else ():
        if path.is_dir() and path.name not in {BASES, *_KEPT}:
            files = [file for file in path.rglob("*") if file.is_file() and not file.is_symlink()]
            used = max((file.stat().st_mtime for file in files), default=path.stat().st_mtime)
            size = sum(file.stat().st_size for file in files)
            found.append(Entry(kind=_KINDS.get(path.name, "data set"), path=path, bytes=size, used=used))
    return sorted(found, key=lambda entry: -entry.bytes)


def enter() -> None:
    """Say that this process uses the cache, until it ends; nothing where the folder cannot be written to."""
    marker = cache_folder() / _IN_USE
    with contextlib.suppress(OSError, portalocker.LockException):
        if marker not in _held:
            marker.parent.mkdir(parents=True, exist_ok=True)  # Ultralytics' own folder may be another
            file = marker.open("a")
            portalocker.lock(file, LockFlags.SHARED)
            _held[marker] = file


def clear() -> list[Entry]:
    """Remove all that the cache holds but locks and Ultralytics' settings.

    Returns:
        What was removed.

    Raises:
        UserError: Another program of clo-nas runs.
    """
    marker = cache_folder() / _IN_USE
    if ours := _held.pop(marker, None):
        ours.close()
    marker.parent.mkdir(parents=True, exist_ok=True)
    with marker.open("a") as file:
        try:
            portalocker.lock(file, LockFlags.EXCLUSIVE | LockFlags.NON_BLOCKING)
        except portalocker.LockException as error:
            raise UserError(
                f"cache folder {cache_folder()}: another program of clo-nas is using it; clear it when that has ended"
            ) from error
        gone = entries()
        for entry in gone:
            if entry.path.is_dir():
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                _remove_base(entry.path)
    return gone


def _bases(folder: Path) -> Iterator[Entry]:
    for path in folder.glob("*.pt"):
        use = path.with_suffix(_USE)
        used = (use if use.exists() else path).stat().st_mtime
        yield Entry(kind=_KINDS[BASES], path=path, bytes=path.stat().st_size, used=used)


def _remove_base(path: Path) -> bool:
    """Remove a pretrained baseline with its note, unless a program uses it."""
    with path.with_suffix(_USE).open("a") as file:
        try:
            portalocker.lock(file, LockFlags.EXCLUSIVE | LockFlags.NON_BLOCKING)
        except portalocker.LockException:
            return False
        for suffix in (".json", ".pt", _USE):  # the note first: weights without one are trained again
            path.with_suffix(suffix).unlink(missing_ok=True)
    return True
