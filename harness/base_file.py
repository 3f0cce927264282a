"""Where the base of a study lies: a path that was typed means nothing in another folder than the search's."""

from __future__ import annotations

from pathlib import Path

from harness.study_record import StudyRecord


def base_of(record: StudyRecord) -> str:
    """Return what names a study's base from any folder: a model's name, or an absolute path.

    A path is relative to the folder where the search was begun; of a study from before that was kept, to this one.
    """
    given = str(record.settings["base"])
    path = Path(str(record.environment.get("folder") or "."), given).expanduser().absolute()
    return str(path) if path.is_file() else given
