"""A machine shared by whatever of clo-nas runs on it: many work at once, or one measures.

A latency is wrong if anything else runs beside it, be it of this search, of another one, or of a cluster's
task. So all processes on a machine agree by two files: who works holds the room shared, who measures holds it
alone, and the door keeps new work out while somebody waits to measure. The operating system lets go of a lock when
its holder ends, however it ends: nothing is ever left behind.

The files lie in the cache folder and carry the machine's name, since that folder may be on a shared file system. Two
programs with different cache folders do not know of each other.
"""

from __future__ import annotations

import contextlib
import platform
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import portalocker
from portalocker import LockFlags

from harness.common.errors import UserError
from harness.common.isolation import cache_folder

# How long somebody who wants to measure waits before saying what for.
_UNSAID_S = 1.0
_LOOK_AGAIN_S = 0.005


class Machine:
    """This process' place on this machine; every process makes its own.

    Args:
        folder: Where the lock files lie; the cache folder's by default.

    Raises:
        UserError: The files cannot be made.
    """

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or cache_folder() / "locks"
        name = re.sub(r"[^A-Za-z0-9.-]", "_", platform.node() or "machine")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._door = (folder / f"{name}.door.lock").open("a")
            self._room = (folder / f"{name}.room.lock").open("a")
        except OSError as error:
            raise UserError(f"{folder}: locks cannot be made there ({error.strerror})") from error
        self._works = False

    def enter(self) -> None:
        """Begin to work, after whoever measures."""
        if self._works:
            return
        self._lock(self._door, LockFlags.SHARED)
        try:
            self._lock(self._room, LockFlags.SHARED)
            self._works = True
        finally:
            portalocker.unlock(self._door)

    def leave(self) -> None:
        """Stop working, for now or for ever."""
        if self._works:
            portalocker.unlock(self._room)
            self._works = False

    @property
    def somebody_waits(self) -> bool:
        """Whether another process waits until nobody works, or measures: asked between two steps of work."""
        try:
            portalocker.lock(self._door, LockFlags.SHARED | LockFlags.NON_BLOCKING)
        except portalocker.LockException:
            return True
        portalocker.unlock(self._door)
        return False

    def rest(self) -> float:
        """Let the one that waits measure; then work again.

        Returns:
            How long that took, in seconds.
        """
        started = time.monotonic()
        self.leave()
        self.enter()
        return time.monotonic() - started

    def wait(self) -> None:
        """Wait until nobody measures, without working."""
        if not self._works:
            self.enter()
            self.leave()

    @contextlib.contextmanager
    def alone(self, on_wait: Callable[[str], object] = lambda _: None) -> Iterator[None]:
        """Hold the machine while nobody else works. Who worked before works again after it.

        Args:
            on_wait: Told whom it waits for, for people; not called where it does not.
        """
        worked = self._works
        self.leave()
        self._lock_or_wait(self._door, "another measurement of clo-nas on this machine", on_wait)
        try:
            self._lock_or_wait(self._room, "trainings of clo-nas on this machine to pause", on_wait)
            try:
                yield
            finally:
                portalocker.unlock(self._room)
        finally:
            portalocker.unlock(self._door)
        if worked:
            self.enter()

    def _lock_or_wait(self, file: IO[str], what: str, on_wait: Callable[[str], object]) -> None:
        """Take it; say what it waits for once that takes so long that a person wonders."""
        end = time.monotonic() + _UNSAID_S
        while time.monotonic() < end:
            try:
                portalocker.lock(file, LockFlags.EXCLUSIVE | LockFlags.NON_BLOCKING)
                return
            except portalocker.AlreadyLocked:
                time.sleep(_LOOK_AGAIN_S)
            except portalocker.LockException:
                break  # is said below
        else:
            on_wait(what)
        self._lock(file, LockFlags.EXCLUSIVE)

    @staticmethod
    def _lock(file: IO[str], how: LockFlags) -> None:
        try:
            portalocker.lock(file, how)
        except portalocker.LockException as error:
            raise UserError(
                f"{file.name}: its file system has no locks ({error}); name a local cache folder in CLO_NAS_CACHE"
            ) from error
