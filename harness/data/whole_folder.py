"""Folders that are never seen half written, however many processes write them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

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
