"""Folders for what nobody needs afterwards: in the cache, so that nothing is written outside it and the results.

A process that is killed leaves its folder behind. In the system's own folder for such files it would stay until
somebody reboots; here the next one removes it.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.half_written import part_of, remove_left_overs
from harness.isolation import cache_folder


def _root() -> Path:
    return cache_folder() / "scratch"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder of this process's own, gone afterwards."""
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
