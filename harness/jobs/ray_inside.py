"""The inside of a task of a Ray cluster: what it is told, what it tells, and how it ends as a child does.

See `harness.training.child`. What an error of a task comes to is the search's to say (`harness.jobs.ray_tasks`).
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle
from ray.exceptions import RayError

from harness.common.isolation import isolate_ultralytics
from harness.common.machine import device_kind
from harness.jobs.cluster import go_to, several_kinds
from harness.jobs.progress import Throttle
from harness.training.child import Report, Say, outcome_of

# Pause between two words of a task.
_TELL_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a task is to do.

    Attributes:
        key: Its name.
        work: Function and argument, pickled: reading them imports Ultralytics, which has to be isolated first.
        folder: The search's; relative paths are taken from there.
        log: Takes what is printed.
        kind: Of the device that the study's figures belong to.
    """

    key: Any
    work: bytes
    folder: str
    log: Path | None
    kind: str


class Board:
    """Where tasks write how far they are: the last word of each, until the search has read it."""

    def __init__(self) -> None:
        self._said: dict[Any, Any] = {}

    def put(self, key: Any, content: Any) -> None:
        """Keep a task's word."""
        self._said[key] = content

    def take(self) -> dict[Any, Any]:
        """Return all that was not read yet."""
        said, self._said = self._said, {}
        return said


def run_order(order: Order, board: Any) -> tuple[Say, Any]:
    """Run an order inside a task's process."""
    isolate_ultralytics()
    go_to(order.folder)
    context = ray.get_runtime_context()
    here = ray.util.get_node_ip_address()
    if order.log is not None:
        with contextlib.suppress(OSError):
            file = os.open(order.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(file, 1)
            os.dup2(file, 2)
            what = "a task" if order.key is None else f"training {order.key}"
            os.write(1, f"{what} runs on node {here} ({context.get_node_id()})\n".encode())
    device = own_device()
    divide_cores(device, context.get_assigned_resources().get("CPU", 1.0))
    kind = device_kind(device)
    if kind != order.kind:
        return Say.USER_ERROR, several_kinds({order.kind: ["the others"], kind: [here]})
    throttle = Throttle(_TELL_S)

    def tell(content: Any) -> None:
        """Report some of the steps, without waiting for an answer."""
        if throttle.lets_through(content, time.monotonic()):
            with contextlib.suppress(RayError):
                board.put.remote(order.key, content)

    def work(pickled: bytes, report: Report) -> Any:
        function, argument = cloudpickle.loads(pickled)
        return function(on_device(device, argument), report)

    return outcome_of(work, order.work, tell)


def own_device() -> str:
    """Return what Ray gave to this task, by torch's numbers: `cpu`, or from 0 on, as Ray shows a task no other GPUs."""
    return ",".join(map(str, range(len(ray.get_gpu_ids())))) or "cpu"


def divide_cores(device: str, cores: float) -> None:
    """Give each process of a multi-GPU training its share, as it inherits what Ray set: all of the task's cores.

    Args:
        device: Of the training.
        cores: Of the task.
    """
    processes = device.count(",") + 1
    if processes > 1:
        os.environ["OMP_NUM_THREADS"] = str(max(1, int(cores) // processes))


def on_device(device: str, argument: Any) -> Any:
    """Return an argument, or what it is made of, with the device that Ray gave."""
    if isinstance(argument, tuple):
        return tuple(on_device(device, each) for each in argument)
    if not is_dataclass(argument) or isinstance(argument, type):
        return argument
    if hasattr(argument, "device"):
        return replace(argument, device=device)
    if hasattr(argument, "training") and hasattr(argument, "before"):
        return replace(
            argument, training=on_device(device, argument.training), before=on_device(device, argument.before)
        )
    return argument
