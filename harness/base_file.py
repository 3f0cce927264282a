"""Where the base of a study lies: a path that was typed means nothing in another folder than the search's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.records import StudyRecord

BASE_FILE = "base_file"
"""Entry of a study's environment: the base's file as an absolute path; None where the base is a name."""


def file_of(base: str) -> str | None:
    """The absolute path of a base that is a file; None where it is a name."""
    path = Path(base)
    return str(path.absolute()) if path.is_file() else None


def base_of(record: StudyRecord) -> str:
    """What names a study's base from any folder: a model's name, or an absolute path."""
    given = str(record.settings["base"])
    known = record.environment.get(BASE_FILE)
    return str(known) if known else file_of(given) or given
