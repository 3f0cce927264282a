"""What becomes of one case: taken, refused in a sentence, or a defect of the program."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from harness.common.errors import UserError

SECONDS = 5.0
"""Longest that a case may take."""


class DefectError(AssertionError):
    """The program hangs, has no sentence for what it refuses, or more than one line of it."""


class Hang(BaseException):
    """Raised in the midst of the program; no handler of its own catches it."""


def check_sentence(error: UserError) -> None:
    """An error of the user is one line that says something."""
    said = str(error)
    if len(said) < 10 or not said.isprintable() or "Traceback" in said:
        raise DefectError(f"no clear sentence: {said!r}")


@contextmanager
def deadline(seconds: float = SECONDS) -> Iterator[None]:
    """Make a hang an error. Where there are no alarms, or in another thread, nothing is limited."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except Hang as hang:
        raise DefectError(f"it takes longer than {seconds:g} s") from hang
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
