"""Optuna's storage on a database server that may be away for a while.

A server is restarted, its disk is full for a minute, the network is cut: a search of days shall wait rather than
end. What is asked of the storage meanwhile is asked again until it is answered.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError

from harness.record.storage_url import without_password

# How long a storage may be away before a search ends.
PATIENCE_S = 600.0
_LONGEST_PAUSE_S = 5.0
# No connection, shutting down, no room, read-only; not what asking again cannot mend.
_OUTAGES = (OperationalError, InterfaceError, InternalError)
# A server whose database has no encoding of its own would answer in bytes.
_CONNECT = {"client_encoding": "utf8"}
# Number of the server's lock for opening a storage.
_OPENING = 4_072_023
_METHODS = (
    "create_new_study", "create_new_trial", "set_study_user_attr", "set_study_system_attr", "set_trial_param",
    "set_trial_state_values", "set_trial_user_attr", "set_trial_system_attr", "get_study_id_from_name",
    "get_study_name_from_id", "get_study_directions", "get_study_user_attrs", "get_study_system_attrs",
    "get_all_studies", "get_trial", "get_all_trials", "_get_trials", "get_n_trials",
    "get_trial_id_from_study_id_trial_number",
)  # fmt: skip

Answer = TypeVar("Answer")


class PatientStorage(RDBStorage):
    """Waits for the server; a heartbeat is not repeated unless its caller asks for it, since another follows.

    Attributes:
        patience_s: How long the server may be away.
        on_outage: Told once when it goes away, and once when it is back.
    """

    patience_s = PATIENCE_S

    def __init__(self, url: str) -> None:
        self.on_outage: Callable[[str], None] = lambda _: None
        self._place = without_password(url)
        with _only_one_opens(url):
            super().__init__(url, engine_kwargs={"pool_pre_ping": True, "connect_args": _CONNECT})

    def patiently(self, ask: Callable[[], Answer]) -> Answer:
        """Ask until there is an answer.

        Raises:
            StorageInternalError: The server was away for longer than `patience_s`, or asking again is no use.
            OperationalError: As before, where it was not Optuna that asked.
        """
        until, pause, said = time.monotonic() + self.patience_s, 0.2, False
        while True:
            try:
                answer = ask()
            except (StorageInternalError, *_OUTAGES) as error:
                if not is_outage(error) or time.monotonic() > until:
                    raise
                if not said:
                    end = datetime.now().astimezone() + timedelta(seconds=until - time.monotonic())
                    self.on_outage(f"storage {self._place} does not answer; asking again until {end:%H:%M}")
                    said = True
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            else:
                if said:
                    self.on_outage("storage answers again")
                return answer


@contextlib.contextmanager
def _only_one_opens(url: str) -> Iterator[None]:
    """Let one at a time open: Optuna makes its tables at the first opening; two at once would make them twice."""
    engine = sqlalchemy.create_engine(url, connect_args=_CONNECT)
    try:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:number)"), {"number": _OPENING})
            yield
    finally:
        engine.dispose()  # the lock ends with its connection


def is_outage(error: BaseException | None) -> bool:
    """Return whether it is the server that is away, and not the question that is wrong."""
    while error is not None:
        if isinstance(error, _OUTAGES):
            return True
        error = error.__cause__
    return False


def _patient(name: str) -> Callable[..., Any]:
    impatient = getattr(RDBStorage, name)

    @functools.wraps(impatient)
    def call(self: PatientStorage, *args: Any, **kwargs: Any) -> Any:
        tries = 0

        def ask() -> Any:
            nonlocal tries
            tries += 1
            try:
                return impatient(self, *args, **kwargs)
            except UpdateFinishedTrialError:
                if tries > 1 and name == "set_trial_state_values":
                    return True  # it was written before the answer was lost
                raise

        return self.patiently(ask)

    return call


for _name in _METHODS:
    setattr(PatientStorage, _name, _patient(_name))
