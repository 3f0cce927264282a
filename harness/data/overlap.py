"""Validation images that are training images: an accuracy measured on them tells nothing of other images.

Images are the same if they are one file, or byte for byte alike. Only files of equal size can be, so that of a large
set few are read.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def shared_images(train: Iterable[str], val: Iterable[str]) -> list[str]:
    """The validation images that are also training images, sorted.

    Args:
        train: Paths of training images that exist.
        val: Paths of validation images that exist.
    """
    trained = {_file(stat): (path, stat.st_size) for path in train for stat in [os.stat(path)]}  # noqa: PTH116 - 100,000s
    validated = {path: os.stat(path) for path in val}  # noqa: PTH116
    same = {path for path, stat in validated.items() if _file(stat) in trained}
    sizes = {size for _, size in trained.values()} & {validated[path].st_size for path in validated.keys() - same}
    alike = [path for path in validated if path not in same and validated[path].st_size in sizes]
    with ThreadPoolExecutor(8) as pool:
        known = set(pool.map(_digest, (path for path, size in trained.values() if size in sizes)))
        same |= {path for path, digest in zip(alike, pool.map(_digest, alike), strict=True) if digest in known}
    return sorted(same)


def _file(stat: os.stat_result) -> tuple[int, int]:
    """The same for all names and links of one file."""
    return stat.st_dev, stat.st_ino


def _digest(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
