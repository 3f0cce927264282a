"""Where trials run: each in a process of its own, so that its end is never the search's end.

Children are forked from a server that has imported torch and Ultralytics once, so that a trial
starts in milliseconds. A child ends itself when the search dies, however it dies.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path
from typing import Any, TypeVar

from harness.errors import UserError
from harness.isolation import isolate_ultralytics
from harness.search.outcome import Failure, State

Result = TypeVar("Result")
_PRELOADED = ["harness.search.trial"]
_MEMORY_SIGNALS = {-signal.SIGKILL} if hasattr(signal, "SIGKILL") else set()


def start_server() -> None:
    """Begin importing torch and Ultralytics in the background, so that the first trial need not wait."""
    isolate_ultralytics()
    if sys.platform != "win32":
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOADED)
        from multiprocessing import forkserver

        forkserver.ensure_running()


def run_in_child(
    function: Callable[..., Result],
    argument: Any,
    on_progress: Callable[[Any], None] | None = None,
    log: Path | None = None,
) -> Result | Failure:
    """Run `function(argument, report)` in a child process.

    Args:
        function: Importable function; whatever it passes to `report` reaches `on_progress`.
        argument: Picklable argument.
        on_progress: Called in this process.
        log: File that takes what the child prints; it would tear a live view apart.

    Returns:
        Its result, or how it failed.

    Raises:
        UserError: The child found an input to be wrong.
        KeyboardInterrupt: Ctrl-C; the child is gone when this is raised.
    """
    start_server()
    context = _context()
    ours, theirs = context.Pipe()
    process = context.Process(target=_child, args=(theirs, function, argument, log))
    process.start()
    theirs.close()
    try:
        while True:
            try:
                kind, content = ours.recv()
            except (EOFError, ConnectionResetError):
                process.join()
                return _death(process.exitcode)
            if kind == "progress":
                if on_progress:
                    on_progress(content)
            elif kind == "result":
                process.join()
                result: Result = content
                return result
            elif kind == "user_error":
                raise UserError(content)
            else:
                state, reason = content
                return Failure(state=state, reason=reason)
    finally:
        if process.is_alive():
            process.terminate()
            process.join(5)
            if process.is_alive():
                process.kill()
        process.join()
        ours.close()


def _context() -> ForkServerContext | SpawnContext:
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    return multiprocessing.get_context("forkserver")


def _death(exitcode: int | None) -> Failure:
    if exitcode in _MEMORY_SIGNALS:
        return Failure(
            state=State.OUT_OF_MEMORY,
            reason="the training process was killed (signal 9), probably out of memory",
        )
    return Failure(state=State.FAILED, reason=f"the training process ended with exit code {exitcode}")


def _child(pipe: Connection, function: Callable[..., Any], argument: Any, log: Path | None) -> None:
    if log is not None:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the search's to handle
    threading.Thread(target=_die_with_parent, args=(pipe,), daemon=True).start()
    try:
        message = ("result", function(argument, lambda content: pipe.send(("progress", content))))
    except UserError as error:
        message = ("user_error", str(error))
    except OSError as error:
        if error.errno in {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}:
            place = error.filename or "disk"
            message = ("user_error", f"{place}: {error.strerror}; make room, then run the same command again")
        else:
            message = ("failure", _describe(error))
    except BaseException as error:  # noqa: BLE001 - whatever ends a trial is recorded with its reason
        message = ("failure", _describe(error))
    pipe.send(message)


def _describe(error: BaseException) -> tuple[State, str]:
    text = f"{type(error).__name__}: {error}".splitlines()[0]
    out_of_memory = (
        isinstance(error, MemoryError) or "out of memory" in str(error).lower() or "can't allocate" in str(error)
    )
    if out_of_memory:
        return State.OUT_OF_MEMORY, text
    if type(error).__name__ != "NotANumberError":
        traceback.print_exc()
    return State.FAILED, text


def _die_with_parent(pipe: Connection) -> None:
    """The search sends nothing: the pipe becomes readable only when its end is closed."""
    wait([pipe])
    os._exit(1)
