"""Who works on a study: one search that has the folder's lock, or any number that share a database server.

On a server, whatever is decided is decided by one worker at a time, under a lock that the server itself lets go
of when its holder's connection ends. Who works on a trial says so every few seconds; a trial that nobody has spoken
for is another worker's to run again. Optuna keeps these heartbeats, but records them only within
`Study.optimize`, which an ask-and-tell loop does not use.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

import sqlalchemy
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from harness.common.digest import text_digest
from harness.common.errors import UserError
from harness.storage.patient_storage import PatientStorage

# Heartbeats within the time after which a worker is taken for dead: some may be late.
_BEATS = 6

# This worker's name: a study names no machine on a network.
ME = text_digest(f"{platform.node()}:{os.getpid()}")[:6]


class Members(Protocol):
    """What a study asks about those who work on it."""

    # Whether others may work on the study.
    are_many: bool
    # Searches that may die of the same training before it counts as failed; None where nobody is counted.
    most_deaths: int | None

    def turn(self) -> contextlib.AbstractContextManager[None]:
        """Return the lock under which no other worker decides anything."""

    def lock(self, name: str, waits: Callable[[], None] = ...) -> contextlib.AbstractContextManager[None]:
        """Return the lock under which no other worker does what the name says; call `waits` if one does it now."""

    def only_one(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Return the lock under which no other worker may do what the name says; refuse where one does it already."""

    def works_on(self, trial_id: int) -> None:
        """Say that this worker runs a trial, now and from time to time, until it leaves it."""

    def leaves(self, trial_id: int) -> None:
        """Say no more about a trial."""

    def left_alone(self, running: set[int]) -> set[int]:
        """Return those ids of running trials that are stale: nobody works on them."""


class Alone:
    """The only search on a study: what runs and is not its own was left behind."""

    are_many = False
    most_deaths: int | None = None

    def __init__(self) -> None:
        self._mine: set[int] = set()

    def turn(self) -> contextlib.AbstractContextManager[None]:
        """Return an empty context: it is always this one's turn."""
        return contextlib.nullcontext()

    def lock(self, name: str, waits: Callable[[], None] = lambda: None) -> contextlib.AbstractContextManager[None]:
        """Return an empty context: nobody else is there."""
        return contextlib.nullcontext()

    def only_one(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Return an empty context: nobody else is there."""
        return contextlib.nullcontext()

    def works_on(self, trial_id: int) -> None:
        """Remember it."""
        self._mine.add(trial_id)

    def leaves(self, trial_id: int) -> None:
        """Forget it."""
        self._mine.discard(trial_id)

    def left_alone(self, running: set[int]) -> set[int]:
        """Return all that this search did not begin."""
        return running - self._mine


class OneOfMany:
    """One search among others on a PostgreSQL server.

    Args:
        storage: The study's, on a server.
        study: Its name.
        silence_s: After so many seconds without a sign of life a worker is taken for dead.
    """

    are_many = True
    most_deaths: int | None = 2

    def __init__(self, storage: PatientStorage, study: str, silence_s: float) -> None:
        self._storage = storage
        self._study = study
        self._silence_s = silence_s
        self._mine: set[int] = set()
        self._ended = threading.Event()
        self._depth = threading.local()
        self._beats = threading.Thread(target=self._beat, daemon=True)
        self._beats.start()

    def close(self) -> None:
        """Give no more signs of life."""
        self._ended.set()
        self._beats.join()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the lock under which no other worker decides anything; it is reentrant."""
        depth = getattr(self._depth, "now", 0)
        self._depth.now = depth + 1
        try:
            with contextlib.nullcontext() if depth else self.lock("turn"):
                yield
        finally:
            self._depth.now = depth

    @contextlib.contextmanager
    def lock(self, name: str, waits: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold the lock of that name against all other workers of this study.

        It ends with the connection: with this process, or with the server. After a server's restart two workers may
        believe to hold it; what they then write down is checked once more when a trial ends.
        """
        number = self._number(name)
        held = self._storage.patiently(lambda: self._take("pg_try_advisory_lock", number))
        if held is None:
            waits()
            held = self._storage.patiently(lambda: self._take("pg_advisory_lock", number))
        assert held is not None, "it waits until it has it"
        try:
            yield
        finally:
            _let_go(held, number)

    @contextlib.contextmanager
    def only_one(self, name: str) -> Iterator[None]:
        """Hold the lock as `lock` does, but do not wait for it.

        Raises:
            UserError: Another worker holds it.
        """
        number = self._number(name)
        held = self._storage.patiently(lambda: self._take("pg_try_advisory_lock", number))
        if held is None:
            raise UserError(f"study {self._study}: another clo {name} is running on it; wait for it")
        try:
            yield
        finally:
            _let_go(held, number)

    def _number(self, name: str) -> int:
        return int.from_bytes(hashlib.sha256(f"clo-nas/{self._study}/{name}".encode()).digest()[:8], "big", signed=True)

    def works_on(self, trial_id: int) -> None:
        """Say so at once: nobody may find the trial before its first sign of life, for this is a turn."""
        self._storage.patiently(lambda: self._storage.record_heartbeat(trial_id))
        self._mine.add(trial_id)

    def leaves(self, trial_id: int) -> None:
        """Say no more about a trial."""
        self._mine.discard(trial_id)

    def left_alone(self, running: set[int]) -> set[int]:
        """Return those whose worker passed the heartbeat timeout, or died before its first heartbeat."""
        if not running - self._mine:
            return set()
        question = sqlalchemy.text(
            "SELECT t.trial_id FROM trials t LEFT JOIN trial_heartbeats h ON h.trial_id = t.trial_id "
            "WHERE t.trial_id = ANY(:running) AND t.state = 'RUNNING' "
            "AND (h.heartbeat IS NULL OR h.heartbeat < LOCALTIMESTAMP - make_interval(secs => :silence))"
        )

        def ask() -> set[int]:
            with self._storage.engine.connect() as connection:
                rows = connection.execute(question, {"running": sorted(running), "silence": self._silence_s})
                return {int(row.trial_id) for row in rows}

        return self._storage.patiently(ask) - self._mine

    def _take(self, function: str, number: int) -> sqlalchemy.Connection | None:
        connection = self._storage.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            taken = connection.execute(sqlalchemy.text(f"SELECT {function}(:number)"), {"number": number}).scalar()
        except BaseException:
            connection.invalidate()
            connection.close()
            raise
        if taken is False:
            connection.close()
            return None
        return connection

    def _beat(self) -> None:
        while not self._ended.wait(self._silence_s / _BEATS):
            for trial_id in [*self._mine]:
                with contextlib.suppress(StorageInternalError, SQLAlchemyError):  # the next one may arrive
                    self._storage.record_heartbeat(trial_id)


def _let_go(held: sqlalchemy.Connection, number: int) -> None:
    try:
        held.execute(sqlalchemy.text("SELECT pg_advisory_unlock(:number)"), {"number": number})
    except SQLAlchemyError:  # with the connection the lock has ended
        held.invalidate()
    finally:
        with contextlib.suppress(SQLAlchemyError):
            held.close()
