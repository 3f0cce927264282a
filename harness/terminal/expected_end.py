"""When a search will be over, from the pace of the trainings that have just ended.

A machine may become several times slower within a search, when somebody else begins to use it: the mean over many
trainings would follow only after as many. So the latest counts most.
"""

from __future__ import annotations

import operator
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from harness.jobs.progress import Step, Work
from harness.record.state import State
from harness.record.study import StudyRecord


def seconds(value: float) -> str:
    """Format minutes and seconds, such as `3:07`."""
    return f"{int(value) // 60}:{int(value) % 60:02d}"


def expected(left: float) -> str:
    """Format `about 12 min left, ends 14:32`; with the weekday where that is not today.

    Args:
        left: Seconds from now.
    """
    minutes = max(1, round(left / 60))
    how_long = f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
    now, end = time.localtime(), time.localtime(time.time() + left)
    is_today = (now.tm_year, now.tm_yday) == (end.tm_year, end.tm_yday)
    return f"about {how_long} left, ends {time.strftime('%H:%M' if is_today else '%a %H:%M', end)}"


# Trainings that the pace is taken from, the latest above all.
_LATEST = 32


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
        """Set the remaining work, the trainings that run included."""
        self._work = work

    def begin(self, trial: int) -> None:
        """Note when a training begins."""
        self._begun[trial] = time.monotonic()

    def progress(self, step: Step, trial: int | None) -> None:
        """Note a training's epochs, which its progress tells."""
        if trial is not None and step.epochs:
            self._epochs[trial] = step.epochs

    def finished(self, record: StudyRecord, trial: int) -> None:
        """Note how long a training took that has ended, and estimate the end anew."""
        begun, epochs = self._begun.pop(trial, None), self._epochs.pop(trial, 0)
        rows = record.trials[(record.trials["trial"] == trial) & (record.trials["state"] == State.COMPLETE)]
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
        """Estimate the moment (`time.monotonic`) at which all that is left will be trained."""
        work, done, now = self._work, self._finished, time.monotonic()
        if work is None or not done:
            return None
        half_life = max(1, work.workers)  # those that ran side by side are of the same time
        epochs = _latest((each.epochs for each in done), half_life)
        an_epoch = _latest((each.train_seconds for each in done), half_life) / epochs
        untimed = _latest((each.other_seconds for each in done if not each.is_timed), half_life)
        timed = _latest((each.other_seconds for each in done if each.is_timed), half_life) or untimed
        one = epochs * an_epoch + max(timed, untimed)
        seconds = work.epochs * an_epoch + work.timed * timed + (work.trainings - work.timed) * untimed
        seconds -= sum(min(now - begun, one) for begun in self._begun.values())  # one that is late saves no more
        end = now + max(0.0, seconds) / max(1, min(work.workers, work.trainings))
        return min(end, max(now, work.deadline) + one)


def _latest(values: Iterable[float], half_life: int) -> float:
    """Return the mean in which each value counts half as much as the one `half_life` places after it; 0 of none."""
    latest_first = [*values][::-1]
    weights = [0.5 ** (age / half_life) for age in range(len(latest_first))]
    return sum(map(operator.mul, weights, latest_first)) / sum(weights) if weights else 0.0
