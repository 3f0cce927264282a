"""Folders that are never seen half written, however many processes write them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


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
