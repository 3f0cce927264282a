"""Where trials run: each in a process of its own, so that its end is never the search's end.

On this machine by `Children`, on a cluster by `harness.jobs.ray_tasks`. Children are forked from a server that has
imported torch and Ultralytics once, so that a trial starts in milliseconds. A child ends itself when the search dies,
however it dies.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar, cast

from harness.common.atomic import remove_old_scratch
from harness.common.errors import UserError
from harness.common.exclusive import Machine
from harness.common.isolation import isolate_ultralytics
from harness.record.state import Failure, State
from harness.training.child import Say, main

Key = TypeVar("Key")
Result = TypeVar("Result")
_PRELOADED = ["harness.jobs.preload"]
_MEMORY_SIGNALS = {-signal.SIGKILL} if hasattr(signal, "SIGKILL") else set()


def start_server() -> None:
    """Begin importing torch and Ultralytics in the background, so that the first trial need not wait."""
    isolate_ultralytics()
    remove_old_scratch()
    if sys.platform != "win32":
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOADED)
        from multiprocessing import forkserver, resource_tracker

        # Blocked for the server and so for all that it forks: Ctrl-C is the search's to handle. The server itself
        # ignores it only once torch is imported, and a child only once it runs.
        resource_tracker.ensure_running()  # the server's start would start it, and it unblocks SIGINT
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass(kw_only=True, eq=False)
class _Child:
    process: BaseProcess
    pipe: Connection

    def stop(self) -> None:
        """End it, if it has not ended."""
        if self.process.is_alive():
            self.process.terminate()
            self.process.join(5)
            if self.process.is_alive():
                self.process.kill()
        self.process.join()
        self.pipe.close()


class Executor(Protocol[Key, Result]):
    """Functions that run at the same time, here or on a cluster, watched from one thread.

    Leaving the `with` block ends whatever still runs.
    """

    @property
    def workers(self) -> int:
        """How many may run at once, as things are now; 1 at least."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def one_at_a_time(self) -> bool:
        """Let one run after the other from now on; False where they don't share one machine's memory."""
        return False

    def start(self, key: Key, function: Callable[..., Result], argument: Any) -> None:
        """Begin `function(argument, report)`."""

    def next(self) -> tuple[Key, Result | Failure]:
        """Wait until one has ended and nobody measures here: what follows an end may take the processor.

        Returns:
            Its key, and its result or how it failed.

        Raises:
            UserError: It found an input to be wrong.
            KeyboardInterrupt: Ctrl-C.
        """
        outcome = self.within(None)
        assert outcome is not None, "without a limit something ends"
        return outcome

    def within(self, seconds: float | None) -> tuple[Key, Result | Failure] | None:
        """Wait for so long at most."""

    def ended(self) -> list[tuple[Key, Result | Failure]]:
        """Return what has ended and was not handed out yet, without waiting."""

    def stop(self) -> None:
        """End all that run."""


class Children(Executor[Key, Result]):
    """Functions that run at the same time, each in a process of its own.

    Args:
        on_progress: Called in this process with a child's key and what it reports.
        log: File that takes what the children print; it would tear a live view apart.
        workers: How many may run at once; it is for the caller to keep to that.

    Attributes:
        workers: As given, or 1 since memory ran out.
    """

    workers = 1  # in place of the protocol's property, which could not be set

    def __init__(
        self, on_progress: Callable[[Key, Any], None] | None = None, log: Path | None = None, workers: int = 1
    ) -> None:
        self.workers = workers
        self._on_progress = on_progress
        self._log = log
        self._running: dict[Key, _Child] = {}
        self._ended: deque[tuple[Key, Result | Failure]] = deque()
        self._machine = Machine()

    def stop(self) -> None:
        """End all that run."""
        for child in self._running.values():
            child.process.terminate()
        while self._running:
            self._running.popitem()[1].stop()

    def one_at_a_time(self) -> bool:
        """Let one run after the other: they share this machine's memory."""
        self.workers = 1
        return True

    def start(self, key: Key, function: Callable[..., Result], argument: Any) -> None:
        """Run `function(argument, report)` in a new child.

        Args:
            key: Name that `next` and `on_progress` give back.
            function: Importable function; see `harness.training.child.Report` for what `report` can do.
            argument: Picklable argument.
        """
        start_server()
        context = _context()
        ours, theirs = context.Pipe()
        process = context.Process(target=main, args=(theirs, function, argument, self._log))
        process.start()
        theirs.close()
        self._running[key] = _Child(process=process, pipe=ours)

    def within(self, seconds: float | None) -> tuple[Key, Result | Failure] | None:
        """Wait as `next` does; None where no child has ended in so many seconds."""
        until = None if seconds is None else time.monotonic() + seconds
        while not self._ended:
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return None
            keys = {child.pipe: key for key, child in self._running.items()}
            for pipe in wait(list(keys), left):
                self._hear(keys[cast(Connection, pipe)])
        self._machine.wait()
        return self._ended.popleft()

    def ended(self) -> list[tuple[Key, Result | Failure]]:
        """Return what has ended and was not handed out yet, without waiting: to be kept when all is to be stopped."""
        for key in [*self._running]:
            with contextlib.suppress(UserError):
                while key in self._running and self._running[key].pipe.poll():
                    self._hear(key)
        outcomes = [*self._ended]
        self._ended.clear()
        return outcomes

    def _hear(self, key: Key) -> None:
        child = self._running[key]
        try:
            say, content = child.pipe.recv()
        except (EOFError, OSError):  # it may have died in the middle of a message
            child.process.join()
            self._end(key, _death(child.process.exitcode))
            return
        if say == Say.PROGRESS:
            if self._on_progress:
                self._on_progress(key, content)
        elif say == Say.RESULT:
            child.process.join()
            self._end(key, content)
        elif say == Say.USER_ERROR:
            raise UserError(content)
        else:
            state, reason = content
            self._end(key, Failure(state=state, reason=reason))

    def _end(self, key: Key, outcome: Result | Failure) -> None:
        self._running.pop(key).stop()
        self._ended.append((key, outcome))


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
