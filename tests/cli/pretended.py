"""Trainings that are pretended: what a search asks for, and what it is given."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from harness.jobs.trial import Job, Measured
from harness.record.state import Failure
from harness.training.accuracy import Accuracy, Training


class Trainings:
    """Yields outcomes at once, one training after the other; `then` may end the n-th otherwise."""

    def __init__(self, outcome: Callable[[Job], Measured | Failure]) -> None:
        self.outcome = outcome
        self.asked: list[Training] = []
        self.then: dict[int, BaseException] = {}
        self.all_had_ended = False
        self.beside: list[int] = []
        """How many ran when each began, itself included."""
        self.workers = 1
        self._started: list[tuple[int, Job]] = []

    def __call__(self, _on_progress: object = None, _log: object = None, workers: int = 1) -> Trainings:
        self.workers = workers
        return self

    def one_at_a_time(self) -> bool:
        """As children of this machine do."""
        self.workers = 1
        return True

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._started.clear()

    def start(self, key: int, _function: object, job: Job) -> None:
        self.asked.append(job.training)
        self._started.append((key, job))
        self.beside.append(len(self._started))

    def within(self, _seconds: float | None) -> tuple[int, Measured | Failure]:
        """What `next` gives."""
        return self.next()

    def next(self) -> tuple[int, Measured | Failure]:
        if len(self.asked) in self.then:
            raise self.then[len(self.asked)]
        key, job = self._started.pop()  # the last first: never in the order of the start
        return key, self.outcome(job)

    def ended(self) -> list[tuple[int, Measured | Failure]]:
        """All that runs has ended by then, if `all_had_ended`."""
        ended = [(key, self.outcome(job)) for key, job in self._started] if self.all_had_ended else []
        self._started = self._started[len(ended) :]
        return ended

    @property
    def trained(self) -> list[tuple[str, int]]:
        """Model descriptions and seeds in the order asked for."""
        return [(json.dumps(training.config), training.seed) for training in self.asked]


def measured(job: Job) -> Measured:
    accuracy = Accuracy(
        map50_95=0.5 + job.training.seed / 10, map50=0.7, evaluator="E", train_seconds=1.0, transferred=""
    )
    timing: Any = SimpleNamespace(p50=9.0, p90=10.0)
    latency: Any = SimpleNamespace(candidate=timing, baseline=timing, ratio=1.1, ratio_ci95=(1.0, 1.2))
    return Measured(accuracy=accuracy, latency=latency if job.measure_latency else None, cpu_seconds=1.5)
