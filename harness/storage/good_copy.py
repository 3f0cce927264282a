"""A copy of a study's SQLite file, known to be whole, that a search goes on from when the file is damaged.

A bad disk, a pulled plug, a folder that some service synchronises file by file: SQLite notices and can do nothing, and
days of training would be gone. The copy is renewed after each training, which takes milliseconds. A database server
has its own ways; nothing is done for one.

References:
    1. SQLite, "How to corrupt an SQLite database file", https://www.sqlite.org/howtocorrupt.html
    2. SQLite, "Online backup API", https://www.sqlite.org/backup.html
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from datetime import datetime
from pathlib import Path

from harness.storage.records import sqlite_file

_WITH_JSON = ("trial_user_attributes", "study_user_attributes")
# The database, and what belongs to it: a write-ahead log beside another database would damage that one.
_SIDE_FILES = ("", "-wal", "-shm")
# SQLite's codes; Python's own error about text that is none has no code. A lock or a full disk is no damage.
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR_SHORT_READ, None}

# Of waiting for another program; in write-ahead mode there is nothing to wait for.
_LOCK_SECONDS = 0.5


class GoodCopy:
    """The copy that belongs to a storage.

    Args:
        url: Of the storage; there is no copy of what is no file.
    """

    def __init__(self, url: str) -> None:
        self._file = sqlite_file(url)

    @property
    def path(self) -> Path | None:
        """Where it lies."""
        return self._file and self._file.with_name(f"{self._file.name}.good")

    def keep(self) -> None:
        """Renew it, unless the database is damaged: then it stays as it is.

        A disk that is full is no reason to end a search that still finds room for its figures.
        """
        if self._file is None or self.path is None:
            return
        part = self.path.with_name(f"{self.path.name}.part")
        try:
            part.unlink(missing_ok=True)
            with (
                contextlib.closing(sqlite3.connect(self._file, timeout=_LOCK_SECONDS)) as source,
                contextlib.closing(sqlite3.connect(part)) as target,
            ):
                source.backup(target)
                target.execute("PRAGMA journal_mode=DELETE")  # one file, not three
            if damage(part) is None:
                part.replace(self.path)
        except (OSError, sqlite3.Error):
            pass
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)

    def recover(self) -> str | None:
        """Put it in the place of a damaged or emptied database, which is kept under another name.

        A database that is not there was removed on purpose: the study begins anew.

        Returns:
            What was done, for people; None where the database is sound, or there is no copy.
        """
        if self._file is None or self.path is None or not (self._file.is_file() and self.path.is_file()):
            return None
        found = damage(self._file) if self._file.stat().st_size else "it is empty"
        if found is None or damage(self.path) is not None:
            return None
        made = datetime.fromtimestamp(self.path.stat().st_mtime).astimezone()
        aside = self._file.with_name(f"{self._file.name}.damaged-{datetime.now().astimezone():%Y%m%dT%H%M%S}")
        for suffix in _SIDE_FILES:
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self._file}{suffix}").replace(f"{aside}{suffix}")
        part = self._file.with_name(f"{self._file.name}.part")
        shutil.copyfile(self.path, part)
        part.replace(self._file)
        return (
            f"{self._file} was damaged ({found}): going on from its last good copy, of {made:%Y-%m-%d %H:%M:%S}; "
            f"the damaged file is kept as {aside.name}"
        )


def damage(file: Path) -> str | None:
    """Return what is wrong inside a SQLite file, in SQLite's words; None if nothing is, or if it can't be read now."""
    try:
        with contextlib.closing(sqlite3.connect(file, timeout=_LOCK_SECONDS)) as connection:
            (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if said != "ok":
                return str(said).splitlines()[-1]
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            for table in tables.intersection(_WITH_JSON):
                for (text,) in connection.execute(f"SELECT value_json FROM {table}"):  # not covered by SQLite's check
                    json.loads(text)
    except sqlite3.DatabaseError as error:
        return str(error) if getattr(error, "sqlite_errorcode", None) in _DAMAGE else None
    except ValueError:
        return "a value in it is no JSON"
    return None
