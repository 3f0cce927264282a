"""When a search will be over, from the pace of the trainings that it has finished."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING

from harness.terminal.times import expected

if TYPE_CHECKING:
    from harness.records import StudyRecord
    from harness.search.step import Step
    from harness.search.work import Work

_LATEST = 12
"""Trainings that the pace is taken from: a machine may become slower or faster."""


@dataclass(frozen=True, kw_only=True)
class _Finished:
    """A training that is over: epochs, seconds of training, and of all else (latency, waiting, loading)."""

    epochs: int
    train_seconds: float
    other_seconds: float
    is_timed: bool


class ExpectedEnd:
    """Told what happens, it knows the time that is left; nothing before a training has finished."""

    def __init__(self) -> None:
        self._work: Work | None = None
        self._begun: dict[int, float] = {}
        self._epochs: dict[int, int] = {}
        self._finished: deque[_Finished] = deque(maxlen=_LATEST)
        self._end: float | None = None

    def plan(self, work: Work) -> None:
        """What is left from now on, the trainings that run included."""
        self._work = work

    def begin(self, trial: int) -> None:
        """A training begins."""
        self._begun[trial] = time.monotonic()

    def progress(self, step: Step, trial: int | None) -> None:
        """A training is so far; its epochs are known from here on."""
        if trial is not None and step.epochs:
            self._epochs[trial] = step.epochs

    def finished(self, record: StudyRecord, trial: int) -> None:
        """A training ended: reckon anew."""
        begun, epochs = self._begun.pop(trial, None), self._epochs.pop(trial, 0)
        rows = record.trials[(record.trials["trial"] == trial) & (record.trials["state"] == "complete")]
        if begun is not None and epochs and len(rows):
            trained = float(rows["train_seconds"].iloc[0])
            other = max(0.0, time.monotonic() - begun - trained)
            is_timed = bool(rows["latency_ms_p50"].notna().iloc[0])
            self._finished.append(
                _Finished(epochs=epochs, train_seconds=trained, other_seconds=other, is_timed=is_timed)
            )
        self._end = self._reckon()

    @property
    def left(self) -> float | None:
        """Seconds; None where it can't be told."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    @property
    def trainings(self) -> int | None:
        """Trainings that are left, those that run included; None where it isn't known."""
        return None if self._work is None else self._work.trainings

    def __str__(self) -> str:
        return "" if self.left is None or not self.trainings else expected(self.left)

    def _reckon(self) -> float | None:
        """The moment (`time.monotonic`) at which all that is left will be trained."""
        work, done, now = self._work, self._finished, time.monotonic()
        if work is None or not done:
            return None
        an_epoch = sum(each.train_seconds for each in done) / sum(each.epochs for each in done)
        untimed = mean([each.other_seconds for each in done if not each.is_timed] or [0.0])
        timed = mean([each.other_seconds for each in done if each.is_timed] or [untimed])
        seconds = work.epochs * an_epoch + work.timed * timed + (work.trainings - work.timed) * untimed
        seconds -= sum(now - begun for begun in self._begun.values())
        one = mean(each.train_seconds + each.other_seconds for each in done)
        end = now + max(0.0, seconds) / max(1, min(work.workers, work.trainings))
        return min(end, max(now, work.deadline) + one)
