"""A damaged database costs nothing that finished; a sound one is never touched."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from harness.storage.good_copy import GoodCopy, damage

ROWS = 300


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A file like a study's, large enough for pages of every kind."""
    path = tmp_path / "study.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE trial_user_attributes (id INTEGER PRIMARY KEY, value_json TEXT)")
        text = json.dumps({"model": "x" * 9000, "map50_95": float("nan")})
        connection.executemany("INSERT INTO trial_user_attributes VALUES (?, ?)", [(n, text) for n in range(ROWS)])
        connection.commit()
    return path


@pytest.fixture
def copy(database: Path) -> GoodCopy:
    """Of the database as it is."""
    made = GoodCopy(f"sqlite:///{database}")
    made.keep()
    return made


def count(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM trial_user_attributes").fetchone()[0])


def add(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("INSERT INTO trial_user_attributes VALUES (?, '{}')", (ROWS,))
        connection.commit()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def overwrite_the_beginning(path: Path) -> None:
    path.write_bytes(b"no database" * 10 + path.read_bytes()[110:])


def overwrite_a_page(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:8192] = b"\xff" * 4096
    path.write_bytes(content)


def overwrite_a_text(path: Path) -> None:
    content = path.read_bytes()
    at = content.index(b"x" * 100)
    path.write_bytes(content[: at + 3000] + b'"' * 50 + content[at + 3050 :])


def overwrite_a_text_with_noise(path: Path) -> None:
    content = path.read_bytes()
    at = content.index(b"x" * 100)
    path.write_bytes(content[: at + 3000] + b"\xff" * 50 + content[at + 3050 :])


DAMAGES = [cut_in_half, overwrite_the_beginning, overwrite_a_page, overwrite_a_text, overwrite_a_text_with_noise]


@pytest.mark.parametrize("harm", [empty, *DAMAGES])
def test_a_damaged_database_is_replaced_by_its_last_good_copy_and_kept_aside(
    database: Path, copy: GoodCopy, harm: Callable[[Path], None]
) -> None:
    harm(database)
    harmed = database.read_bytes()
    said = copy.recover()
    assert said is not None and str(database) in said and "going on from its last good copy" in said
    assert damage(database) is None
    assert count(database) == ROWS
    [aside] = database.parent.glob("study.db.damaged-*")
    assert aside.read_bytes() == harmed
    assert copy.recover() is None


def test_a_log_of_the_damaged_database_does_not_reach_the_copy(database: Path, copy: GoodCopy) -> None:
    overwrite_a_page(database)
    for suffix in ("-wal", "-shm"):
        Path(f"{database}{suffix}").write_bytes(b"of another database")
    assert copy.recover()
    assert not Path(f"{database}-wal").exists()
    assert count(database) == ROWS


@pytest.mark.parametrize("harm", DAMAGES)
def test_a_copy_is_not_renewed_from_a_damaged_database(
    database: Path, copy: GoodCopy, harm: Callable[[Path], None]
) -> None:
    assert copy.path is not None
    good = copy.path.read_bytes()
    harm(database)
    copy.keep()
    assert copy.path.read_bytes() == good
    assert sorted(path.name for path in database.parent.glob("*.part*")) == []


def test_a_copy_is_of_now_the_log_included(database: Path, copy: GoodCopy) -> None:
    with closing(sqlite3.connect(database)) as open_elsewhere:
        open_elsewhere.execute("SELECT count(*) FROM trial_user_attributes").fetchone()
        add(database)
        copy.keep()
    assert copy.path is not None
    assert count(copy.path) == ROWS + 1
    assert sorted(path.name for path in database.parent.glob("*.good*")) == ["study.db.good"]


def test_a_sound_database_is_not_touched(database: Path, copy: GoodCopy) -> None:
    add(database)
    before = database.read_bytes()
    assert copy.recover() is None
    assert database.read_bytes() == before
    assert count(database) == ROWS + 1


def test_a_locked_database_is_not_a_damaged_one(database: Path, copy: GoodCopy) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=DELETE")
        other.execute("BEGIN EXCLUSIVE")
        assert copy.recover() is None
    assert count(database) == ROWS


def test_a_database_that_was_removed_is_not_brought_back(database: Path, copy: GoodCopy) -> None:
    database.unlink()
    assert copy.recover() is None
    assert not database.exists()


def test_without_a_copy_there_is_nothing_to_go_back_to(database: Path) -> None:
    overwrite_the_beginning(database)
    before = database.read_bytes()
    assert GoodCopy(f"sqlite:///{database}").recover() is None
    assert database.read_bytes() == before


def test_a_damaged_copy_replaces_nothing(database: Path, copy: GoodCopy) -> None:
    assert copy.path is not None
    overwrite_the_beginning(copy.path)
    overwrite_a_page(database)
    before = database.read_bytes()
    assert copy.recover() is None
    assert database.read_bytes() == before


@pytest.mark.parametrize("url", ["postgresql://host/db", "sqlite://", "sqlite:///:memory:"])
def test_what_is_no_file_has_no_copy(url: str) -> None:
    copy = GoodCopy(url)
    copy.keep()
    assert (copy.path, copy.recover()) == (None, None)


def test_no_room_for_a_copy_is_no_error(database: Path) -> None:
    copy = GoodCopy(f"sqlite:///{database}")
    (database.parent / "study.db.good.part").mkdir()  # nothing can be written there
    copy.keep()
    assert copy.path is not None and not copy.path.exists()
