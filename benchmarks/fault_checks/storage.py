"""A database that refuses writes for a while, and one that is damaged on disk."""

from __future__ import annotations

import itertools
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.fault_checks.again import again_and_again
from benchmarks.fault_checks.ground import Ground
from benchmarks.fault_checks.program import Program
from benchmarks.fault_checks.rows import complete, read_rows
from benchmarks.fault_checks.scenario import Tally, scenario
from benchmarks.fault_checks.watched import Watched

PATIENCE_SECONDS = 1
"""How long the search waits for another program's lock, where that has to be too short."""
_REFUSE = "CREATE TRIGGER refuse_{0} BEFORE {0} ON trial_user_attributes BEGIN SELECT refused(); END"
"""No such function: an operational error, as of a read-only file. RAISE would be an integrity error, which Optuna
swallows."""
_EVENTS = ("INSERT", "UPDATE")


@scenario("database locked too long", faults=2)
def locked(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """Another program holds the write lock for longer than the search's patience."""

    def make() -> Watched:
        study = Watched(ground=ground, tally=tally)
        study.options = {"storage": f"sqlite:///{study.database.as_posix()}?timeout={PATIENCE_SECONDS}"}
        return study

    def strike(study: Watched, program: Program) -> bool:
        program.run_until(study.has_begun)
        with another_program(study) as other:
            other.execute("BEGIN IMMEDIATE")
            is_refused = program.wait() != 0
        if is_refused:
            study.expect_refusal(program, "locked")
        return is_refused

    again_and_again(tally, generator, faults, make, strike)


@scenario("database locked for two seconds", faults=2)
def locked_briefly(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """The search waits and goes on as if nothing had been; then it is killed."""

    def strike(study: Watched, program: Program) -> bool:
        program.run_until(study.has_begun)
        with another_program(study) as other:
            other.execute("BEGIN IMMEDIATE")
            still_runs = program.run_for(2.0)
            other.execute("ROLLBACK")
        still_runs = still_runs and program.run_for(generator.uniform(0, 2.0))
        if still_runs:
            program.kill()
        return still_runs

    again_and_again(tally, generator, faults, lambda: Watched(ground=ground, tally=tally), strike)


@scenario("database refuses writes", faults=2)
def refused(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """Every write of a row is refused, as by a read-only file; permissions don't stop the superuser, triggers do."""

    def strike(study: Watched, program: Program) -> bool:
        program.run_until(study.has_begun)
        with another_program(study) as other:
            for event in _EVENTS:
                other.execute(_REFUSE.format(event))
        is_refused = program.wait() != 0
        if is_refused:
            study.expect_refusal(program, "refused")
        return is_refused

    def mend(study: Watched) -> None:
        with another_program(study) as other:
            for event in _EVENTS:
                other.execute(f"DROP TRIGGER IF EXISTS refuse_{event}")

    again_and_again(tally, generator, faults, lambda: Watched(ground=ground, tally=tally), strike, mend=mend)


@contextmanager
def another_program(study: Watched) -> Iterator[sqlite3.Connection]:
    """What else may have the database open; every statement is a transaction unless it says otherwise."""
    with closing(sqlite3.connect(study.database, timeout=60, isolation_level=None)) as other:
        yield other


@scenario("database damaged", faults=5)
def damaged(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """Emptied, cut off or overwritten after a kill: the next start goes on from the last good copy.

    The copy is made after each training, so that at most the one that had just ended is trained again.
    """
    kinds = itertools.cycle([_empty, _cut, _overwrite])

    def strike(study: Watched, program: Program) -> bool:
        """Nobody else opens the file before the search has mended it: closing it would take the new one's log away."""
        still_runs = program.run_until(program.trains) and program.run_until(lambda: study.done() > 0)
        program.kill()
        return still_runs

    def damage(study: Watched) -> None:
        copy = study.database.with_name(f"{study.database.name}.good")
        if not copy.is_file():
            return
        _settle(study.database)
        copied = complete(read_rows(f"sqlite:///{copy.as_posix()}", study.name))
        tally.expect(len(study.finished) - len(copied) <= 1, f"{study.name}: the copy has {len(copied)} rows")
        study.finished = copied
        next(kinds)(study.database, generator)

    again_and_again(tally, generator, faults, lambda: Watched(ground=ground, tally=tally), strike, damage=damage)


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
