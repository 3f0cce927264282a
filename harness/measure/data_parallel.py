"""One short training on several devices of a machine: a process each, which share every batch (data parallel).

Each process has the whole network and trains on its part of a batch; gradients are averaged before each step, so that
all keep the same weights. What differs from the same training on one device, so that the two are not compared:

- batch normalisation sees a process's part of the batch, not all of it;
- images are dealt out to the processes, who augment theirs by random numbers of their own; where their number is no
  multiple of the processes', an epoch sees a few twice.

The validation images are divided as well, and one process judges all detections. The whole is repeatable: the same
seed on the same number of devices gives the same weights.

Ultralytics learns from the environment, when it is imported, which of the processes it is in: nothing here imports it.
"""

from __future__ import annotations

import os
import pickle
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple, cast

from harness.measure.orphans import end_with_the_watched, let_ranks_end_with_me
from harness.measure.training import Accuracy, OutOfMemoryError, Progress, Training
from harness.scratch import scratch_folder

_PATIENCE = timedelta(hours=3)
"""Most time that one process waits for another; one that judges, or rests for a latency, lets them wait."""
_FAREWELL_S = 10.0
"""Seconds that a process may take to end by itself once its work is done."""
_KILLED = -9
"""Exit code of what Linux kills for want of memory."""


class _Rank(NamedTuple):
    """One of the processes."""

    process: BaseProcess
    pipe: Connection


def train_on_several(training: Training, progress: Progress | None = None) -> Accuracy:
    """Train and validate one detector on all of `training.device`, as `accuracy.train` does on one.

    Args:
        training: Its devices, comma-separated, are of one kind; `cpu` twice is two processes on the CPU. Its threads
            are divided among the processes; image-loading processes are each one's.
        progress: Called between two steps; all processes wait for it.

    Raises:
        NotANumberError: The loss of one became NaN or infinite, or the accuracy or a weight is not finite.
        OutOfMemoryError: A device's memory did not suffice, or a process was killed for want of the machine's.
        UserError: As `accuracy.train`.
        RuntimeError: A process ended without a word.
    """
    devices = training.device.split(",")
    let_ranks_end_with_me()
    with scratch_folder() as folder, _started(training, devices, folder) as ranks:
        numbers = {rank.pipe: number for number, rank in enumerate(ranks)}
        while True:
            for ready in wait([*numbers]):
                pipe = cast(Connection, ready)
                try:
                    done, content = pipe.recv()
                except (EOFError, OSError) as error:
                    raise _death(ranks, devices, numbers[pipe]) from error
                if isinstance(content, BaseException):
                    raise _cause(ranks, devices, content)
                if isinstance(content, Accuracy):
                    return _leave(ranks, content)
                if progress:
                    progress(done, content)
                pipe.send(None)


@contextmanager
def _started(training: Training, devices: list[str], folder: Path) -> Iterator[list[_Rank]]:
    """The processes, none of which outlives the block."""
    context = get_context("spawn")  # CUDA does not survive a fork
    threads = max(1, training.threads // len(devices))
    ranks: list[_Rank] = []
    try:
        for number, device in enumerate(devices):
            ours, theirs = context.Pipe()
            work = pickle.dumps(replace(training, device=device, threads=threads))
            arguments = (theirs, work, str(folder / "meeting-point"))
            process = context.Process(target=_run, args=arguments)
            with _environment(RANK=number, LOCAL_RANK=number, WORLD_SIZE=len(devices)):
                process.start()
            theirs.close()
            ranks.append(_Rank(process=process, pipe=ours))
        yield ranks
    finally:
        for rank in ranks:
            rank.process.kill()
        for rank in ranks:
            rank.process.join()
            rank.pipe.close()


@contextmanager
def _environment(**values: int) -> Iterator[None]:
    """For the processes that are started inside."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update({name: str(value) for name, value in values.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _leave(ranks: list[_Rank], result: Accuracy) -> Accuracy:
    """All is done: let them end by themselves, each leaves its scratch folder as it should."""
    until = time.monotonic() + _FAREWELL_S
    for rank in ranks:
        with suppress(OSError):
            rank.pipe.send(None)
    for rank in ranks:
        rank.process.join(max(0.0, until - time.monotonic()))
    return result


def _cause(ranks: list[_Rank], devices: list[str], error: BaseException) -> BaseException:
    """Who is left alone by another's death fails, too, and may be the first to say so."""
    for number, rank in enumerate(ranks):
        if rank.process.exitcode is not None:
            return _death(ranks, devices, number)
    return error


def _death(ranks: list[_Rank], devices: list[str], number: int) -> Exception:
    process = ranks[number].process
    process.join(_FAREWELL_S)
    which = f"process {number + 1} of {len(devices)} (device {devices[number]})"
    if process.exitcode == _KILLED:
        return OutOfMemoryError(f"{which} of the training was killed (signal 9), probably out of memory")
    return RuntimeError(f"{which} of the training ended with exit code {process.exitcode}")


def _run(pipe: Connection, work: bytes, meeting_point: str) -> None:
    """The inside of one process; it says one thing at the end, and waits until it may go."""
    assert "ultralytics" not in sys.modules, "it would take itself for the only process"
    end_with_the_watched()
    try:
        said: Any = _train(pipe, pickle.loads(work), meeting_point)
    except BaseException as error:  # noqa: BLE001 - it is raised again by who asked for the training
        said = _picklable(error)
    if said is not None:
        pipe.send((None, said))
    with suppress(EOFError, OSError):
        pipe.recv()


def _train(pipe: Connection, training: Training, meeting_point: str) -> Accuracy | None:
    import torch
    import torch.distributed as dist

    from harness.measure.rank_trainer import train_rank

    number, processes = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if training.device != "cpu":
        torch.cuda.set_device(int(training.device))

    def progress(done: int, total: int) -> None:
        pipe.send((done, total))
        pipe.recv()

    dist.init_process_group(
        "gloo" if training.device == "cpu" else "nccl",
        store=dist.FileStore(meeting_point, processes),  # type: ignore[attr-defined]
        rank=number,
        world_size=processes,
        timeout=_PATIENCE,
    )
    result = train_rank(training, progress if number == 0 else None)
    dist.destroy_process_group()  # not on the way out of a failure: the others would say that this one left them
    return result


def _picklable(error: BaseException) -> BaseException:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - whatever is wrong with it
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
