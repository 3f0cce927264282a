"""A Ctrl-C that cannot be lost, and the SIGTERM by which a cluster takes a machine back, as one.

Python raises KeyboardInterrupt wherever the main thread happens to be. Within a finalizer or a weak reference's
callback it prints the exception and goes on, as if nobody had pressed anything. So it is noted, too, and whoever
works in steps asks between them.
"""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType
from typing import Any, Self


class Interrupts:
    """Notes both while it is entered; does nothing where SIGINT is ignored or has a handler of somebody's own.

    Attributes:
        reason: What was noted, for a trial's record.
    """

    def __init__(self) -> None:
        self.reason = "stopped by Ctrl-C"
        self._is_noted = False
        self._is_ours = False
        self._report = sys.unraisablehook

    def __enter__(self) -> Self:
        """Listen."""
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._note)
            signal.signal(signal.SIGTERM, self._note)
            self._report, sys.unraisablehook = sys.unraisablehook, self._keep_quiet
            self._is_ours = True
        return self

    def __exit__(self, *_: object) -> None:
        """Leave SIGINT as it was."""
        if self._is_ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            sys.unraisablehook = self._report
            self._is_ours = False

    def check(self) -> None:
        """Raise what was dropped.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        if self._is_noted:
            raise KeyboardInterrupt

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._is_noted = True
        self.reason = "stopped by Ctrl-C" if number == signal.SIGINT else "stopped by SIGTERM"
        raise KeyboardInterrupt

    def _keep_quiet(self, dropped: Any) -> None:
        """No traceback of what `check` will raise."""
        if not issubclass(dropped.exc_type, KeyboardInterrupt):
            self._report(dropped)
