"""Trainings as tasks of a Ray cluster, watched as `harness.jobs.executors.Children` are.

A task's process ends with it. What is left to be done here: to hand out, to hear how far tasks are, and to say what
Ray's errors come to.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray import cloudpickle
from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayError,
    RayTaskError,
    TaskCancelledError,
    WorkerCrashedError,
)

from harness.common.errors import UserError
from harness.common.exclusive import Machine
from harness.jobs.cluster import Cluster
from harness.jobs.executors import Executor
from harness.jobs.ray_cluster import ANSWER_S, LOOK_S, first_line
from harness.jobs.ray_inside import Order, run_order
from harness.record.state import Failure, State
from harness.training.child import Say

Key = TypeVar("Key")
Result = TypeVar("Result")


class RayTasks(Executor[Key, Result]):
    """Functions that run as tasks of a cluster, other trainings beside them or on other machines.

    Args:
        cluster: Where.
        on_progress: Called in this process with a task's key and what it reports, the last of a while.
        log: File that takes what tasks print, on a file system that all nodes share.
    """

    def __init__(self, cluster: Cluster, on_progress: Callable[[Key, Any], None] | None, log: Path | None) -> None:
        self._cluster = cluster
        self._on_progress = on_progress
        self._log = log
        self._running: dict[Any, Key] = {}
        self._ended: deque[tuple[Key, Result | Failure]] = deque()
        self._machine = Machine()

    @property
    def workers(self) -> int:
        """As many as the cluster has room for now."""
        return self._cluster.workers

    def stop(self) -> None:
        """End all that run, wherever."""
        for reference in self._running:
            with contextlib.suppress(RayError):
                ray.cancel(reference, force=True)
        if self._running:
            with contextlib.suppress(RayError):
                ray.wait([*self._running], num_returns=len(self._running), timeout=ANSWER_S, fetch_local=False)
        self._running.clear()

    def start(self, key: Key, function: Callable[..., Result], argument: Any) -> None:
        """Run `function(argument, report)` where Ray finds room."""
        order = Order(
            key=key,
            work=cloudpickle.dumps((function, argument)),
            folder=str(Path.cwd()),
            log=self._log,
            kind=self._cluster.kind,
        )
        task = self._cluster.remote(run_order, scheduling_strategy="SPREAD")  # a machine each, while there are enough
        self._running[task.remote(order, self._cluster.board)] = key

    def within(self, seconds: float | None) -> tuple[Key, Result | Failure] | None:
        """Wait as `next` does; None where no task has ended in so many seconds.

        Raises:
            UserError: A task found an input to be wrong, or the cluster is gone.
        """
        until = None if seconds is None else time.monotonic() + seconds
        while not self._ended:
            left = LOOK_S if until is None else until - time.monotonic()
            if left <= 0:
                return None
            self._look(min(left, LOOK_S))
        self._machine.wait()
        return self._ended.popleft()

    def ended(self) -> list[tuple[Key, Result | Failure]]:
        """Return what has ended and was not handed out yet, without waiting."""
        if self._running:
            done, _ = ray.wait([*self._running], num_returns=len(self._running), timeout=0)
            for reference in done:
                with contextlib.suppress(UserError):
                    self._end(reference)
        outcomes = [*self._ended]
        self._ended.clear()
        return outcomes

    def _look(self, seconds: float) -> None:
        if not self._running:
            time.sleep(seconds)
            return
        done, _ = ray.wait([*self._running], timeout=seconds)
        if self._on_progress:
            with contextlib.suppress(RayError):  # a search that is not told how far tasks are goes on
                said = ray.get(self._cluster.board.take.remote(), timeout=ANSWER_S)
                for key, content in said.items():
                    if key in self._running.values():
                        self._on_progress(key, content)
        for reference in done:
            self._end(reference)

    def _end(self, reference: Any) -> None:
        outcome = self._outcome(reference)
        self._ended.append((self._running.pop(reference), outcome))

    def _outcome(self, reference: Any) -> Result | Failure:
        try:
            say, content = ray.get(reference)
        except OutOfMemoryError as error:
            return Failure(state=State.OUT_OF_MEMORY, reason=f"the node ran out of memory: {first_line(error)}")
        except (WorkerCrashedError, NodeDiedError, ObjectLostError):  # of both attempts: a third would loop
            return Failure(state=State.FAILED, reason="its process or its node died twice; not run again")
        except TaskCancelledError:
            return Failure(state=State.INTERRUPTED, reason="cancelled on the cluster")
        except RayTaskError as error:
            return Failure(state=State.FAILED, reason=first_line(error.cause or error))
        except RayError as error:
            raise UserError(f"the Ray cluster is gone ({first_line(error)}); run the same command again") from error
        if say == Say.USER_ERROR:
            raise UserError(content)
        if say == Say.RESULT:
            result: Result = content
            return result
        state, reason = content
        return Failure(state=state, reason=reason)
