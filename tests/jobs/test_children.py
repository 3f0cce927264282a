"""Children run side by side, except while one of them must be alone; nothing that one does harms another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
import torch

from harness.common.errors import UserError
from harness.detectors import resolve_base
from harness.jobs.executors import Children
from harness.jobs.trial import train_base
from harness.record.state import Failure, State
from harness.training.accuracy import Accuracy, Schedule, Training
from harness.training.child import Report


def work(job: tuple[Path, int], report: Report) -> float:
    """Alone for a while, then ten steps; each thing done is a line in a file."""
    path, turns = job

    def note(what: str) -> None:
        with path.open("a") as file:
            file.write(f"{what} {os.getpid()}\n")

    for _ in range(turns):
        with report.alone():
            note("begin")
            time.sleep(0.1)
            note("end")
        for done in range(10):
            time.sleep(0.005)
            note("step")
            report(("training", done, 10))
            if report.rest_is_due:
                report.rest()
    return report.rested_seconds


def be_alone_often(path: Path, report: Report) -> int:
    for _ in range(4):
        with report.alone():
            path.touch()
        time.sleep(0.3)
    return 4


def die_alone(path: Path, report: Report) -> None:
    with report.alone():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def meet(path: Path, report: Report) -> int:
    """Ends only once two have come."""
    (path / str(os.getpid())).touch()
    while len(list(path.iterdir())) < 2:
        time.sleep(0.005)
    return os.getpid()


def wait_for_ever(path: Path | None, report: Report) -> None:
    report(os.getpid())
    if path:
        path.touch()
    while True:
        time.sleep(0.01)


def wait_alone(path: None, report: Report) -> None:
    with report.alone():
        wait_for_ever(path, report)


def wait_resting(path: None, report: Report) -> None:
    report(os.getpid())
    while not report.rest_is_due:
        time.sleep(0.005)
    report.rest()


def refuse(ready: Path, report: Report) -> None:
    while not ready.exists():
        time.sleep(0.005)
    raise UserError("the data are wrong")


def test_children_run_at_the_same_time(tmp_path: Path) -> None:
    with Children[str, int]() as children:
        children.start("a", meet, tmp_path)
        children.start("b", meet, tmp_path)
        ended = dict(children.next() for _ in range(2))
    assert set(ended) == {"a", "b"}
    assert {str(pid) for pid in ended.values()} == {file.name for file in tmp_path.iterdir()}


def test_nobody_works_while_one_is_alone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Children[int, float]() as children:
        for key in range(3):
            children.start(key, work, (log, 2))
        ended = dict(children.next() for _ in range(3))
    lines = [line.split() for line in log.read_text().splitlines()]
    assert Counter(what for what, _ in lines) == {"begin": 6, "end": 6, "step": 60}
    begins = [n for n, (what, _) in enumerate(lines) if what == "begin"]
    assert all(lines[n + 1] == ["end", lines[n][1]] for n in begins)  # nothing of anyone between
    assert all(isinstance(rested, float) and rested > 0 for rested in ended.values())


def test_one_that_dies_alone_wakes_the_others(tmp_path: Path) -> None:
    with Children[str, float | None]() as children:
        children.start("works", work, (tmp_path / "log", 2))
        children.start("dies", die_alone, tmp_path / "died")
        ended = dict(children.next() for _ in range(2))
    assert (tmp_path / "died").exists()
    died = ended["dies"]
    assert isinstance(died, Failure) and died.state is State.OUT_OF_MEMORY
    assert isinstance(ended["works"], float)


def test_an_input_that_one_finds_wrong_ends_all(tmp_path: Path) -> None:
    pids: list[int] = []
    with Children[str, None](lambda _, pid: pids.append(pid)) as children:
        children.start("waits", wait_for_ever, tmp_path / "ready")
        children.start("refuses", refuse, tmp_path / "ready")
        with pytest.raises(UserError, match="the data are wrong"):
            children.next()
    assert pids and not psutil.pid_exists(pids[0])


def test_children_die_with_a_killed_search_whether_they_wait_work_or_rest() -> None:
    script = (
        "from harness.jobs.executors import Children\nfrom test_children import wait_alone, wait_resting\n"
        "if __name__ == '__main__':\n"
        "    def tell(key, pid):\n        print(pid, flush=True)\n"
        "        if key == 'rests':\n            children.start('alone', wait_alone, None)\n"
        "    children = Children(tell)\n    children.start('rests', wait_resting, None)\n"
        "    children.next()\n"
    )
    folder = str(Path(__file__).parent)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])}
    search = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=env)
    assert search.stdout is not None
    found = [psutil.Process(int(search.stdout.readline())) for _ in range(2)]  # the second is alone: the first rests
    search.kill()
    search.wait()
    _, alive = psutil.wait_procs(found, timeout=30)
    assert not alive


@pytest.mark.slow
def test_a_training_yields_the_same_alone_and_beside_others(tmp_path: Path, small_data: Path) -> None:
    base = resolve_base("yolov5n")
    trainings = {
        name: Training(
            config=base.config, base_config=base.config, base_weights=None, layers={}, data=str(small_data), classes=10,
            schedule=Schedule(epochs=1, batch=8, imgsz=64, learning_rate=1e-3), seed=3, device="cpu", threads=1,
            save_to=tmp_path / f"{name}.pt",
        )
        for name in ("alone", "a", "b")
    }  # fmt: skip
    with Children[str, Accuracy | int]() as children:
        children.start("alone", train_base, trainings["alone"])
        children.next()
        children.start("a", train_base, trainings["a"])
        children.start("b", train_base, trainings["b"])
        children.start("interrupts", be_alone_often, tmp_path / "was")
        ended = dict(children.next() for _ in range(3))
    assert ended["interrupts"] == 4
    weights = {
        name: torch.load(tmp_path / f"{name}.pt", weights_only=False)["model"].state_dict() for name in trainings
    }
    for name in ("a", "b"):
        assert all(torch.equal(weights[name][key], tensor) for key, tensor in weights["alone"].items())
