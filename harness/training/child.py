"""The inside of a trial's process: what it tells the search, when it rests, how it ends.

Whoever measures a latency is alone on the machine (`harness.common.exclusive`); trainings rest meanwhile at their
next step. A child ends when its pipe to the search does: a search that dies takes its children with it.
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

from harness.common.errors import UserError, lacks_memory
from harness.common.exclusive import Machine
from harness.record.state import State


class Say(StrEnum):
    """What a child tells the search; each comes with a content."""

    PROGRESS = "progress"
    RESULT = "result"
    FAILURE = "failure"
    USER_ERROR = "user_error"


class Report:
    """A trial's line to the search, and its place among what else runs on the machine.

    Args:
        tell: Takes what the search is to know.

    Attributes:
        rested_seconds: Time spent waiting for others, its own turn to be alone included.
    """

    def __init__(self, tell: Callable[[Any], None]) -> None:
        self.rested_seconds = 0.0
        self._tell = tell
        self._machine = Machine()
        self._machine.enter()

    def __call__(self, content: Any) -> None:
        """Tell the search's `on_progress`."""
        self._tell(content)

    @property
    def rest_is_due(self) -> bool:
        """Whether somebody waits for this process to rest."""
        return self._machine.somebody_waits

    def rest(self) -> None:
        """Pause while somebody measures. To be called when `rest_is_due`."""
        self.rested_seconds += self._machine.rest()

    def never_rests(self) -> None:
        """Let nobody wait for this one: its work is done by other processes, for hours, and none of them pauses."""
        self._machine.leave()

    @contextlib.contextmanager
    def alone(self, on_wait: Callable[[str], object] = lambda _: None) -> Iterator[None]:
        """Hold the machine while nothing else of clo-nas runs on it; `on_wait` as in `Machine.alone`."""
        started = time.monotonic()
        with self._machine.alone(on_wait):
            waited = time.monotonic() - started
            yield
            done = time.monotonic()
        self.rested_seconds += waited + time.monotonic() - done


def main(pipe: Connection, function: Callable[..., Any], argument: Any, log: Path | None) -> None:
    """Run `function(argument, report)` and send what becomes of it."""
    if log is not None:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the search's to handle
    threading.Thread(target=_end_with, args=(pipe,), daemon=True).start()
    message = outcome_of(function, argument, lambda content: pipe.send((Say.PROGRESS, content)))
    pipe.send(message)


def outcome_of(function: Callable[..., Any], argument: Any, tell: Callable[[Any], None]) -> tuple[Say, Any]:
    """Run `function(argument, report)` and return what became of it, for the search to understand."""
    try:
        return Say.RESULT, function(argument, Report(tell))
    except UserError as error:
        return Say.USER_ERROR, str(error)
    except OSError as error:
        if error.errno in {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}:
            place = error.filename or "disk"
            return Say.USER_ERROR, f"{place}: {error.strerror}; make room, then run the same command again"
        return Say.FAILURE, _describe(error)
    except BaseException as error:  # noqa: BLE001 - whatever ends a trial is recorded with its reason
        return Say.FAILURE, _describe(error)


def _end_with(pipe: Connection) -> None:
    """End this process when the search has ended, however it did."""
    with contextlib.suppress(EOFError, OSError):
        pipe.recv()
    os._exit(1)


def _describe(error: BaseException) -> tuple[State, str]:
    text = f"{type(error).__name__}: {error}".splitlines()[0]
    if lacks_memory(error):
        return State.OUT_OF_MEMORY, text
    if type(error).__name__ != "NotANumberError":
        traceback.print_exc()
    return State.FAILED, text
