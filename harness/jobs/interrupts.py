"""A Ctrl-C that cannot be lost, and the SIGTERM by which a cluster takes a machine back, as one.

Python raises KeyboardInterrupt wherever the main thread happens to be. Within a finalizer or a weak reference's
callback it prints the exception and goes on, as if nobody had pressed anything; within an import it may come out as
another error. So it is noted, too, and whoever works in steps asks between them.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import Any, Self

# What a live view hid: nobody else brings it back when a program ends at once.
_SHOW_CURSOR = b"\x1b[?25h\n"


class Interrupts:
    """Notes both while it is entered; does nothing where SIGINT is ignored or has a handler of somebody's own.

    Entered within another, it tells that one, too.

    Args:
        end_at_second: Whether the program ends at once, with exit code 130, when Ctrl-C is pressed again. That loses
            nothing: what has finished is in storage, and files are written whole or not at all.

    Attributes:
        reason: What was noted, for a trial's record.
    """

    def __init__(self, *, end_at_second: bool = False) -> None:
        self.reason = "stopped by Ctrl-C"
        self._end_at_second = end_at_second
        self._is_noted = False
        self._before: Any = None
        self._before_term: Any = None
        self._report = sys.unraisablehook

    def __enter__(self) -> Self:
        """Listen."""
        before = signal.getsignal(signal.SIGINT)
        is_free = before is signal.default_int_handler or isinstance(getattr(before, "__self__", None), Interrupts)
        if is_free and threading.current_thread() is threading.main_thread():
            self._before = before
            signal.signal(signal.SIGINT, self._note)
            self._before_term = signal.signal(signal.SIGTERM, self._note)
            self._report, sys.unraisablehook = sys.unraisablehook, self._keep_quiet
        return self

    def __exit__(self, *_: object) -> None:
        """Leave SIGINT as it was."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            signal.signal(signal.SIGTERM, self._before_term)
            sys.unraisablehook = self._report
            self._before = None

    @property
    def noted(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self._is_noted

    def check(self) -> None:
        """Raise what was dropped.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        if self._is_noted:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._is_noted and self._end_at_second:
            if sys.stderr.isatty():
                os.write(sys.stderr.fileno(), _SHOW_CURSOR)
            os._exit(130)
        self._is_noted = True
        self.reason = "stopped by Ctrl-C" if number == signal.SIGINT else "stopped by SIGTERM"
        self._before(number, frame)  # raises KeyboardInterrupt, at the latest in Python's own handler

    def _keep_quiet(self, dropped: Any) -> None:
        """Print no traceback of what `check` will raise."""
        if not issubclass(dropped.exc_type, KeyboardInterrupt):
            self._report(dropped)
