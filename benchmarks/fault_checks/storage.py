"""A database that refuses writes for a while, and one that is damaged on disk."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

from benchmarks.fault_checks.ground import Ground
from benchmarks.fault_checks.rows import complete, read_rows
from benchmarks.fault_checks.scenario import Tally, scenario, until
from benchmarks.fault_checks.watched import REFUSED, Watched

PATIENCE_SECONDS = 1
"""How long the search waits for another program's lock, where that has to be too short."""
_REFUSE = "CREATE TRIGGER refuse_{0} BEFORE {0} ON trial_user_attributes BEGIN SELECT RAISE(ABORT, 'refused'); END"
_EVENTS = ("INSERT", "UPDATE")


@scenario("database locked too long", faults=3)
def locked(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """Another program holds the write lock for longer than the search's patience."""
    for _ in until(tally, faults):
        study = Watched(ground=ground, tally=tally)
        study.options = {"storage": f"sqlite:///{study.database.as_posix()}?timeout={PATIENCE_SECONDS}"}
        program = study.start()
        program.run_until(lambda study=study: study.done() >= 0 and bool(study.rows()))
        program.run_for(study.moment(generator))
        with closing(sqlite3.connect(study.database, timeout=60, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            code = program.wait()
            tally.faults += code == REFUSED
            if code == REFUSED:
                study.expect_refusal(program, "locked")
        study.check()
        study.finish()
        study.remove()


@scenario("database locked for two seconds", faults=2)
def locked_briefly(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """The search waits and goes on as if nothing had been."""
    for _ in until(tally, faults):
        study = Watched(ground=ground, tally=tally)
        program = study.start()
        program.run_until(lambda study=study: bool(study.rows()))
        program.run_for(study.moment(generator) / 2)
        with closing(sqlite3.connect(study.database, timeout=60, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            tally.faults += program.run_for(2.0)
            other.execute("ROLLBACK")
        tally.expect(program.wait() == 0, f"{study.name}: {program.said()[-300:]}")
        study.check()
        study.finish()
        study.remove()


@scenario("database refuses writes", faults=2)
def refused(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """Every write of a row is refused, as by a read-only file; permissions don't stop the superuser, triggers do."""
    for _ in until(tally, faults):
        study = Watched(ground=ground, tally=tally)
        program = study.start()
        program.run_until(lambda study=study: bool(study.rows()))
        program.run_for(study.moment(generator) / 2)
        with closing(sqlite3.connect(study.database, timeout=60, isolation_level=None)) as other:
            for event in _EVENTS:
                other.execute(_REFUSE.format(event))
        if program.wait() == REFUSED:
            tally.faults += 1
            study.expect_refusal(program, "refused")
        study.check()
        with closing(sqlite3.connect(study.database, timeout=60, isolation_level=None)) as other:
            for event in _EVENTS:
                other.execute(f"DROP TRIGGER refuse_{event}")
        study.finish()
        study.remove()


@scenario("database damaged", faults=6)
def damaged(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """Emptied, cut off or overwritten after a kill: the next start goes on from the last good copy.

    The copy is made after each training, so that at most the one that had just ended is trained again.
    """
    kinds = [_empty, _cut, _overwrite]
    for _ in until(tally, faults):
        study = Watched(ground=ground, tally=tally)
        program = study.start()
        program.run_until(lambda study=study: study.done() > 0)
        if not program.run_for(generator.uniform(0, 0.6 * ground.seconds)):
            program.wait()
        program.kill()
        study.check()
        _settle(study.database)
        copied = complete(read_rows(f"sqlite:///{study.database}.good", study.name))
        tally.expect(len(study.finished) - len(copied) <= 1, f"{study.name}: the copy has {len(copied)} rows")
        study.finished = copied
        kinds[tally.faults % len(kinds)](study.database, generator)
        tally.faults += 1
        study.finish()
        study.remove()


def _settle(database: Path) -> None:
    """Move what is in the write-ahead log into the file, so that damage to the file counts."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _empty(database: Path, _generator: random.Random) -> None:
    database.write_bytes(b"")


def _cut(database: Path, generator: random.Random) -> None:
    content = database.read_bytes()
    database.write_bytes(content[: generator.randrange(1, len(content))])


def _overwrite(database: Path, generator: random.Random) -> None:
    """A third of its pages become noise."""
    content, size = bytearray(database.read_bytes()), 4096
    pages = range(len(content) // size)
    for page in generator.sample(pages, k=max(1, len(pages) // 3)):
        content[page * size : (page + 1) * size] = generator.randbytes(size)
    database.write_bytes(content)
