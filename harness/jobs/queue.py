"""The running trainings of one study: begun side by side, each recorded before anything else, none lost.

This is the one place that ends a training: whatever source it comes from (a search, an ablation), a failure is
recorded as its reason, one that lacked memory beside others is run again alone, and what an interrupt cuts short is
written down as interrupted. A source says what is to be begun and what of a result is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from harness.common.errors import UserError
from harness.jobs.executors import Executor
from harness.jobs.interrupts import Interrupts
from harness.jobs.progress import Observer, Work
from harness.jobs.trial import Job, Measured, run_trial
from harness.record.state import Failure, State
from harness.record.study import StudyRecord
from harness.storage.study import SearchStudy, Trial

Key = TypeVar("Key", bound=Hashable)
Key_contra = TypeVar("Key_contra", bound=Hashable, contravariant=True)


class Source(Protocol[Key_contra]):
    """What trainings come from, asked when one of them ends."""

    def figures_of(self, key: Key_contra, result: Measured) -> Mapping[str, Any]:
        """Return what of a finished training its row records, beside its cost; keep its files."""

    def recorded(self, key: Key_contra, result: Measured) -> None:
        """Tidy up after a finished training, now that it is in storage."""

    def again(self, key: Key_contra) -> None:
        """Take back a training that lacked memory beside others: it is to be begun once more."""

    def left(self, record: StudyRecord) -> Work | None:
        """Return what is still to be trained; None where that is not known yet."""


@dataclass(frozen=True, kw_only=True)
class _Running(Generic[Key]):
    """A running training; `figures` are known of it already: its cost."""

    key: Key
    trial: Trial
    device: str
    figures: Mapping[str, Any]


class Queue(Generic[Key]):
    """Begins trainings on free devices and records how each ends; all from one thread.

    Args:
        study: Where they are recorded.
        children: Where they run.
        devices: What a training may run on, each.
        observer: Told what happens.
        source: What they come from.
    """

    def __init__(
        self,
        study: SearchStudy,
        children: Executor[int, Measured],
        devices: Sequence[str],
        observer: Observer,
        source: Source[Key],
    ) -> None:
        self.study = study
        self.children = children
        self.interrupts = Interrupts()
        self._devices = devices
        self._observer = observer
        self._source = source
        self._running: dict[int, _Running[Key]] = {}

    @property
    def keys(self) -> list[Key]:
        """The running trainings."""
        return [running.key for running in self._running.values()]

    @property
    def is_full(self) -> bool:
        """Whether as many run as may at once; then nothing more is to be begun."""
        return len(self._running) >= self.children.workers

    def during(self, work: Callable[[], None]) -> None:
        """Do some work that begins trainings and waits for them; whatever ends it, nothing finished is lost.

        Raises:
            KeyboardInterrupt: Ctrl-C, or SIGTERM; what ran is recorded as interrupted.
            UserError: The work's, after the same.
        """
        with self.interrupts, self.children:
            try:
                work()
            except (KeyboardInterrupt, UserError) as error:
                for number, result in self.children.ended():
                    self._end(number, result)
                self.children.stop()
                reason = self.interrupts.reason if isinstance(error, KeyboardInterrupt) else f"stopped: {error}"
                for number, running in self._running.items():
                    self.study.end(running.trial, State.INTERRUPTED, running.figures, reason)
                    self._observer.finished(self.study.record(), number)
                raise

    def start(self, key: Key, trial: Trial, figures: Mapping[str, Any], job: Callable[[str], Job]) -> None:
        """Begin a training that the study has written down.

        Args:
            key: The source's name for it.
            trial: Its open trial.
            figures: What is known of it before it runs.
            job: Makes it for a device.
        """
        busy = [running.device for running in self._running.values()]
        device = min(self._devices, key=busy.count)
        made = job(device)
        self._running[trial.number] = _Running(key=key, trial=trial, device=device, figures=figures)
        self.children.start(trial.number, run_trial, made)

    def wait(self, seconds: float | None = None) -> None:
        """Wait for one training to end, for so long at most, and record it."""
        ended = self.children.within(seconds)
        if ended is not None:
            self._end(*ended)

    def fail(self, trial: Trial, reason: str) -> None:
        """Record a trial that cannot be begun."""
        self.study.end(trial, State.FAILED, {}, reason)
        self._tell(trial.number)

    def _end(self, number: int, result: Measured | Failure) -> None:
        running = self._running.pop(number)
        key, trial, figures = running.key, running.trial, running.figures
        if isinstance(result, Measured):
            self.study.end(trial, State.COMPLETE, {**figures, **self._source.figures_of(key, result)})
            self._source.recorded(key, result)
        elif result.state is State.OUT_OF_MEMORY and self._shares_memory():
            self._observer.note("too little memory for several trainings at once: one after the other from here on")
            reason = f"{result.reason}, beside {len(self._running)} other trainings; run again alone"
            self._source.again(key)
            self.study.end(trial, State.INTERRUPTED, figures, reason)
        else:
            self.study.end(trial, result.state, figures, result.reason)
        self._tell(number)

    def _shares_memory(self) -> bool:
        """Return whether others run in the same memory; from here on none does."""
        return bool(self._running) and self.children.one_at_a_time()

    def _tell(self, number: int) -> None:
        record = self.study.record()
        if left := self._source.left(record):
            self._observer.plan(left)
        self._observer.finished(record, number)
