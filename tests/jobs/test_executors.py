"""A trial's end is never the search's end, and a search's end is its trial's end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.common.errors import UserError
from harness.jobs.place import find_place
from harness.record.state import Failure, State
from harness.training.accuracy import NotANumberError

run_in_child = find_place(device="cpu", workers=1, threads=1).run_alone


def double(number: int, report: Callable[[Any], None]) -> int:
    report(("half", 1, 2))
    return 2 * number


def fail(what: str, report: Callable[[Any], None]) -> None:
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "exit":
        os._exit(7)
    raise {
        "memory": MemoryError("no more"),
        "cuda": RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
        "nan": NotANumberError("loss is nan at iteration 3"),
        "user": UserError("the data are wrong"),
    }[what]


def sleep(seconds: float, report: Callable[[Any], None]) -> None:
    report(("pid", os.getpid(), 0))
    time.sleep(seconds)


def test_result_and_progress_come_back() -> None:
    seen: list[Any] = []
    assert run_in_child(double, 21, seen.append) == 42
    assert seen == [("half", 1, 2)]


@pytest.mark.parametrize(
    ("what", "state", "reason"),
    [
        ("memory", State.OUT_OF_MEMORY, "MemoryError: no more"),
        ("cuda", State.OUT_OF_MEMORY, "CUDA out of memory"),
        ("kill", State.OUT_OF_MEMORY, "killed (signal 9)"),
        ("nan", State.FAILED, "NotANumberError: loss is nan at iteration 3"),
        ("exit", State.FAILED, "exit code 7"),
    ],
)
def test_every_way_to_fail_is_a_value_with_its_reason(what: str, state: State, reason: str) -> None:
    outcome = run_in_child(fail, what)
    assert isinstance(outcome, Failure)
    assert outcome.state is state
    assert reason in outcome.reason


def test_a_users_error_stays_one() -> None:
    with pytest.raises(UserError, match="the data are wrong"):
        run_in_child(fail, "user")


def test_the_child_dies_with_a_killed_search() -> None:
    script = (
        "from test_executors import run_in_child, sleep\n"
        "if __name__ == '__main__':\n    run_in_child(sleep, 600.0, lambda m: print(m[1], flush=True))\n"
    )
    folder = str(Path(__file__).parent)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])}
    search = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=env)
    assert search.stdout is not None
    child = psutil.Process(int(search.stdout.readline()))
    search.kill()
    search.wait()
    child.wait(timeout=30)
    assert not child.is_running()


def blocked_signals(_: None, report: Callable[[Any], None]) -> set[int]:
    return {int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())}


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_reaches_the_search_alone_from_the_first_moment_of_a_child() -> None:
    """A child that began just then would die of it, and that would be held against its candidate."""
    assert run_in_child(blocked_signals, None) == {signal.SIGINT}
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
