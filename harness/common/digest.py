"""SHA-256 of files, texts and plain data: what studies, caches and fingerprints know a content by."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def file_digest(path: Path) -> str:
    """Return 64 hexadecimal digits of a file's content, which is read piece by piece.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_digest(text: str) -> str:
    """Return 64 hexadecimal digits of a text; a name that is no UTF-8 has one, too."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def json_digest(data: object) -> str:
    """Return 64 hexadecimal digits of plain data, whatever the order of its keys; what is not plain counts as text."""
    return text_digest(json.dumps(data, sort_keys=True, default=str))
