"""The inside of a trial's process: what it tells the search, when it rests, how it ends.

A latency is wrong if anything else runs beside it. The search therefore lets one child at a time be
alone; the others rest at their next step. All of it goes over the child's own pipe, without locks that a
killed process could take with it: a search that dies closes the pipe, and a resting child ends with it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from enum import StrEnum
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from harness.errors import UserError, lacks_memory
from harness.search.outcome import State


class Say(StrEnum):
    """What a child tells the search; each comes with a content."""

    PROGRESS = "progress"
    RESULT = "result"
    FAILURE = "failure"
    USER_ERROR = "user_error"
    WANTS_TO_BE_ALONE = "wants_to_be_alone"
    RESTS = "rests"
    """At a step, or at the end of its time alone."""


class Order(StrEnum):
    """What the search tells a child."""

    REST = "rest"
    GO = "go"


class Report:
    """A trial's line to the search.

    Attributes:
        rested_seconds: Time spent waiting for others, its own turn to be alone included.
    """

    def __init__(self, pipe: Connection) -> None:
        self.rested_seconds = 0.0
        self._pipe = pipe
        self._told_to_rest = threading.Event()
        self._go = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def __call__(self, content: Any) -> None:
        """Tell the search's `on_progress`."""
        self._pipe.send((Say.PROGRESS, content))

    @property
    def rest_is_due(self) -> bool:
        """Whether another child waits for this one to rest."""
        return self._told_to_rest.is_set()

    def rest(self) -> None:
        """Do nothing until the search says so. To be called when `rest_is_due`."""
        self._say_and_wait(Say.RESTS)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """While no other child of this search runs."""
        self._say_and_wait(Say.WANTS_TO_BE_ALONE)
        yield
        self._say_and_wait(Say.RESTS)

    def _say_and_wait(self, say: Say) -> None:
        started = time.monotonic()
        self._go.clear()
        self._pipe.send((say, None))
        self._go.wait()
        self.rested_seconds += time.monotonic() - started

    def _listen(self) -> None:
        """Obey; end this process when the search has ended, however it did."""
        while True:
            try:
                order = self._pipe.recv()
            except (EOFError, OSError):
                os._exit(1)
            if order == Order.REST:
                self._told_to_rest.set()
            else:
                self._told_to_rest.clear()
                self._go.set()


def main(pipe: Connection, function: Callable[..., Any], argument: Any, log: Path | None) -> None:
    """Run `function(argument, report)` and send what becomes of it."""
    if log is not None:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the search's to handle
    message: tuple[Say, Any]
    try:
        message = (Say.RESULT, function(argument, Report(pipe)))
    except UserError as error:
        message = (Say.USER_ERROR, str(error))
    except OSError as error:
        if error.errno in {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}:
            place = error.filename or "disk"
            message = (Say.USER_ERROR, f"{place}: {error.strerror}; make room, then run the same command again")
        else:
            message = (Say.FAILURE, _describe(error))
    except BaseException as error:  # noqa: BLE001 - whatever ends a trial is recorded with its reason
        message = (Say.FAILURE, _describe(error))
    pipe.send(message)


def _describe(error: BaseException) -> tuple[State, str]:
    text = f"{type(error).__name__}: {error}".splitlines()[0]
    if lacks_memory(error):
        return State.OUT_OF_MEMORY, text
    if type(error).__name__ != "NotANumberError":
        traceback.print_exc()
    return State.FAILED, text
