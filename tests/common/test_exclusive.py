"""Many work on a machine at once, or one measures; whoever dies leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import portalocker
import pytest
from portalocker import LockFlags

from harness.common import exclusive
from harness.common.errors import UserError
from harness.common.exclusive import Machine

HOLDER = """
import sys, time
from pathlib import Path
from harness.common.exclusive import Machine
machine = Machine(Path(sys.argv[1]))
if sys.argv[2] == "works":
    machine.enter()
    print("ready", flush=True)
    while not machine.somebody_waits:
        time.sleep(0.005)
    print("rests", flush=True)
    print(machine.rest() > 0, flush=True)
else:
    with machine.alone():
        print("ready", flush=True)
        time.sleep(600)
"""


def hold(folder: Path, how: str) -> subprocess.Popen[str]:
    """Another process that works, or measures, and has begun to."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), how],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert said(process) == "ready"
    return process


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_workers_do_not_keep_one_another_out(tmp_path: Path) -> None:
    one, other = Machine(tmp_path), Machine(tmp_path)
    one.enter()
    other.enter()
    assert not one.somebody_waits and not other.somebody_waits


def test_one_that_measures_waits_until_another_process_rests_and_then_it_goes_on(tmp_path: Path) -> None:
    worker = hold(tmp_path, "works")
    with Machine(tmp_path).alone():
        assert said(worker) == "rests"
        assert worker.poll() is None
    assert said(worker) == "True"
    assert worker.wait(timeout=30) == 0


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
@pytest.mark.parametrize("how", ["works", "measures"])
def test_a_killed_process_holds_nothing(tmp_path: Path, how: str) -> None:
    holder = hold(tmp_path, how)
    assert Machine(tmp_path).somebody_waits == (how == "measures")
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with Machine(tmp_path).alone():
        assert Machine(tmp_path).somebody_waits


def test_who_worked_before_measuring_works_after_it(tmp_path: Path) -> None:
    worker = Machine(tmp_path)
    worker.enter()
    with worker.alone():
        pass
    [room] = tmp_path.glob("*.room.lock")
    with room.open("a") as file:
        with pytest.raises(portalocker.LockException):
            portalocker.lock(file, LockFlags.EXCLUSIVE | LockFlags.NON_BLOCKING)
        worker.leave()
        portalocker.lock(file, LockFlags.EXCLUSIVE | LockFlags.NON_BLOCKING)


def test_a_folder_that_cannot_be_made_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/locks: locks cannot be made there"):
        Machine(tmp_path / "file" / "locks")


def test_what_is_waited_for_is_said_once_it_takes_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exclusive, "_UNSAID_S", 0.05)
    told: list[str] = []
    holder = hold(tmp_path, "measures")

    def end_it(what: str) -> None:
        told.append(what)
        holder.kill()

    with Machine(tmp_path).alone(end_it):
        assert told == ["another measurement of clo-nas on this machine"]
    worker = Machine(tmp_path)
    worker.enter()

    def leave(what: str) -> None:
        told.append(what)
        worker.leave()

    with Machine(tmp_path).alone(leave):
        assert told[1:] == ["trainings of clo-nas on this machine to pause"]
    with Machine(tmp_path).alone(told.append):
        assert len(told) == 2
