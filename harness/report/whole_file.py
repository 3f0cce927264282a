"""Files that are never seen half written."""

from __future__ import annotations

from pathlib import Path

from harness.half_written import part_of


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file in one step, so that a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = part_of(path)
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
