"""Files and folders that are never seen half written, however many processes write them.

While they are written they are named by their writer, so that what a kill left can be removed. Folders for what nobody
needs afterwards lie in the cache: a process that is killed leaves its folder behind, and there the next one removes
it, where in the system's own folder for such files it would stay until somebody reboots.
"""

from __future__ import annotations

import os
import platform
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psutil

from harness.common.isolation import cache_folder

_HOST = re.sub(r"[^A-Za-z0-9-]", "-", platform.node()) or "unknown"
_NAME = re.compile(rf"\..+\.{re.escape(_HOST)}\.(\d+)\.part")


def part_of(path: Path) -> Path:
    """Return where this process writes a file or a folder, beside it, before it puts it in its place in one step."""
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


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Replace a file in one step, so that a reader sees the old one or the new one.

    Args:
        path: The file; its folder is made.

    Yields:
        What to write instead; it takes the file's place at the end, and is removed where the block raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path)
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes | memoryview) -> None:
    """Replace a file's content in one step; see `whole`."""
    with whole(path) as part:
        part.write_bytes(data)


Written = TypeVar("Written")


def write_folder_once(folder: Path, write: Callable[[Path], None]) -> None:
    """Make a folder, unless another process makes the same one first.

    Each process writes a temporary folder beside it, the first to finish renames it into place, the others
    drop theirs.

    Args:
        folder: What is wanted; its name determines its content.
        write: Fills an empty folder.

    Raises:
        OSError: It cannot be written; nothing is left behind.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        draft.chmod(0o755)
        write(draft)
        try:
            draft.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first, with the same content
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)  # links in it are removed, not followed


def replace_folder(folder: Path, write: Callable[[Path], Written]) -> Written:
    """Make a folder anew, so that a reader sees the whole old one or the whole new one.

    Args:
        folder: What is wanted; what it holds now is lost once the new one is written.
        write: Fills an empty folder.

    Returns:
        What `write` gives.

    Raises:
        OSError: It cannot be written; it is as it was.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    before = draft.with_name(f"{draft.name}.before")
    try:
        draft.chmod(0o755)
        written = write(draft)
        if folder.exists():
            folder.rename(before)
        try:
            draft.rename(folder)
        except OSError:
            if before.exists():
                before.rename(folder)
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(before, ignore_errors=True)
    return written


def _root() -> Path:
    return cache_folder() / "scratch"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield an empty folder of this process's own, gone afterwards."""
    remove_old_scratch()
    folder = part_of(_root() / secrets.token_hex(4))
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_old_scratch() -> None:
    """Remove the folders of processes that have ended without doing so."""
    remove_left_overs(_root())
