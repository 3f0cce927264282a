"""A `clo` program as a terminal starts it: the leader of a process group of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from benchmarks.fault_checks.left_behind import MARK

PATIENCE = 120.0
"""Seconds after which a program that should end has hung."""


class Hung(Exception):  # noqa: N818 - says what it is
    """A program didn't end in time."""


class Program:
    """One run of `clo`.

    Args:
        arguments: Its command line, without `clo`.
        folder: Its working folder.
        mark: Value of `left_behind.MARK` for it and all that it starts.
        environment: Further environment variables.
    """

    def __init__(self, arguments: Sequence[str], *, folder: Path, mark: str, environment: Mapping[str, str]) -> None:
        self._output = (folder / f"{mark}.output").open("a+b")
        self._from = self._output.seek(0, os.SEEK_END)
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "harness", *arguments],
            cwd=folder,
            env={**os.environ, **environment, MARK: mark, "PYTHONFAULTHANDLER": ""},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._output,
            start_new_session=True,
            preexec_fn=_hear_ctrl_c,  # noqa: PLW1509
        )

    def said(self) -> str:
        """What it has written to standard error."""
        self._output.flush()
        with open(self._output.name, "rb") as file:  # noqa: PTH123 - a name, not a path
            file.seek(self._from)
            return file.read().decode(errors="replace")

    def runs(self) -> bool:
        """Whether it hasn't ended."""
        return self.process.poll() is None

    def wait(self, patience: float = PATIENCE) -> int:
        """Its exit code; minus the signal's number where one ended it.

        Raises:
            Hung: It went on; it's killed then.
        """
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Hung(f"still running after {patience:.0f} s") from None
        finally:
            self._output.flush()

    def run_for(self, seconds: float) -> bool:
        """Let it run; whether it still does."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return True
        return False

    def run_until(self, condition: Callable[[], bool]) -> bool:
        """Let it run until something holds; whether it still runs then.

        Raises:
            Hung: It never came true.
        """
        deadline = time.monotonic() + PATIENCE
        while self.runs():
            if condition():
                return self.runs()
            if time.monotonic() > deadline:
                self.kill()
                raise Hung("what was waited for never came")
            time.sleep(0.02)
        return False

    def kill(self) -> None:
        """`kill -9` of the program alone; what it started has to notice by itself."""
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        """Let it do nothing until it goes on, what it started excepted."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Take back `pause`."""
        self.process.send_signal(signal.SIGCONT)

    def ctrl_c(self) -> None:
        """SIGINT to the whole process group, as a terminal sends it."""
        try:
            os.killpg(self.process.pid, signal.SIGINT)
        except ProcessLookupError:  # it has just ended
            return

    def trainings(self) -> list[psutil.Process]:
        """Its training processes: those that its fork server started."""
        try:
            servers = psutil.Process(self.process.pid).children()
            return [child for server in servers for child in server.children()]
        except psutil.NoSuchProcess:
            return []

    def trains(self) -> bool:
        """Whether a training runs."""
        return bool(self.trainings())

    def fork_server(self) -> psutil.Process | None:
        """The process that training processes are forked from, once there was one."""
        return next((training.parent() for training in self.trainings()), None)


def _hear_ctrl_c() -> None:
    """Whatever started this campaign may ignore Ctrl-C, and so would what it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
