"""Checks in a process of their own, which is ended with all that it began when the time is over."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection

from benchmarks.gpu_checks.outcome import Found, Outcome


def in_time(run: Callable[[Sequence[str]], Found], names: Sequence[str], seconds: float) -> Found:
    """Give what a child finds, until the time is over; then it is ended with all that it began.

    In a process of its own, since neither an engine that is being built nor a hanging driver hears of a time limit.

    Args:
        run: Yields each check's outcome; a function of a module, and run in the child.
        names: What it is given.
        seconds: The limit.
    """
    deadline, missing = time.monotonic() + seconds, list(names)
    ours, theirs = multiprocessing.get_context("spawn").Pipe(duplex=False)
    child = multiprocessing.get_context("spawn").Process(target=_tell, args=(theirs, run, names))
    child.start()
    theirs.close()
    try:
        while ours.poll(max(0.0, deadline - time.monotonic())):
            name, outcome = ours.recv()
            missing.remove(name)
            yield name, outcome
    except EOFError:  # all is done, or the child broke
        child.join()
        if missing:
            broke = f"the process of the checks ended with exit code {child.exitcode}"
            yield missing[0], Outcome(measured=broke, limit="no error", passed=False)
    finally:
        if child.is_alive() and child.pid is not None:
            (os.killpg if os.name == "posix" else os.kill)(child.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        child.join()


def _tell(pipe: Connection, run: Callable[[Sequence[str]], Found], names: Sequence[str]) -> None:
    if os.name == "posix":
        os.setsid()  # Ctrl-C is the parent's to handle, and what a check begins ends with it
    for found in run(names):
        pipe.send(found)
    pipe.close()
