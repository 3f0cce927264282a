"""The trainings that run: begun side by side, each end written down before anything else, none lost.

This is the one loop that begins trainings and the one place that ends them, whatever source they come from: a search,
an ablation, a plan of schedules, a table to replay a search on. (What runs by itself, the pretrained baseline and
`clo train MODEL`, has nothing to share: `Place.run_alone`.) A failure is written down as its reason,
one that lacked memory beside others is begun again alone, and what an interrupt cuts short is written down as
interrupted. A source says what is to be begun and which figures a result has.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from harness.common.errors import UserError
from harness.jobs.executors import Executor
from harness.jobs.interrupts import Interrupts
from harness.record.state import Failure, State

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


class Ledger(Protocol):
    """Where it is written down how trainings end: a study, or a table."""

    def end(self, trial: Any, state: State, figures: Mapping[str, Any], reason: str = "") -> None:
        """Write down how a training ended; `trial` is what it was begun as."""


class Source(Generic[Key, Result]):
    """What trainings come from, asked when one of them ends; by default it has nothing to say."""

    def figures_of(self, key: Key, result: Result, /) -> Mapping[str, Any]:
        """Return what of a finished training is written down, beside what was known before; keep its files."""
        return {}

    def again(self, key: Key, /) -> None:
        """Take back a training that lacked memory beside others: it is to be begun once more."""

    def ended(self, number: int, key: Key, result: Result | None, /) -> None:
        """Tidy up after a training and tell who watches, now that its end is written down; None is no result."""


class Numbered(Protocol):
    """What a training is begun as."""

    @property
    def number(self) -> int:
        """Its own among those of the ledger."""


@dataclass(frozen=True, kw_only=True)
class _Running(Generic[Key]):
    """A running training; `figures` are known of it already: its cost."""

    key: Key
    trial: Numbered
    device: str
    figures: Mapping[str, Any]


class Queue(Generic[Key, Result]):
    """Begins trainings on free devices and writes down how each ends; all from one thread.

    Args:
        run: Trains: is called where the executor has it run, with what a training's `job` made.
        source: What they come from.
        ledger: Where their ends are written down.
        executor: Where they run.
        devices: What a training may run on, each.
        note: Told what a person should know.
    """

    def __init__(
        self,
        run: Callable[..., Result],
        *,
        source: Source[Key, Result],
        ledger: Ledger,
        executor: Executor[int, Result],
        devices: Sequence[str],
        note: Callable[[str], None],
    ) -> None:
        self.executor = executor
        self._interrupts = Interrupts()
        self._run = run
        self._source = source
        self._ledger = ledger
        self._devices = devices
        self._note = note
        self._running: dict[int, _Running[Key]] = {}

    @property
    def keys(self) -> list[Key]:
        """The running trainings."""
        return [running.key for running in self._running.values()]

    @property
    def is_full(self) -> bool:
        """Whether as many run as may at once; then nothing more is to be begun."""
        return len(self._running) >= self.executor.workers

    def during(self, work: Callable[[], None]) -> None:
        """Do some work that trains; whatever ends it, nothing finished is lost.

        Raises:
            KeyboardInterrupt: Ctrl-C, or SIGTERM; what ran is written down as interrupted.
            UserError: The work's, after the same.
        """
        with self._interrupts, self.executor:
            try:
                work()
            except (KeyboardInterrupt, UserError) as error:
                for number, result in self.executor.ended():
                    self._end(number, result)
                self.executor.stop()
                reason = self._interrupts.reason if isinstance(error, KeyboardInterrupt) else f"stopped: {error}"
                for number, running in self._running.items():
                    self._ledger.end(running.trial, State.INTERRUPTED, running.figures, reason)
                    self._source.ended(number, running.key, None)
                raise

    def train(
        self,
        begin: Callable[[], bool],
        *,
        pause: Callable[[], float | None] = lambda: None,
        until: Callable[[], bool] = lambda: False,
    ) -> None:
        """Keep all workers at work until there is nothing more to begin and all that began has ended.

        Args:
            begin: Begins the next training, or settles it without; False where there is none now.
            pause: Seconds after which there may be one though none has ended; None where only an end can bring one.
            until: When to return before that; what runs then goes on.
        """
        while not until():
            self._interrupts.check()
            while not self.is_full and begin():
                pass
            look_again_s = pause()
            if self._running:
                self._wait(look_again_s)
            elif look_again_s is not None:
                time.sleep(look_again_s)
            else:
                return

    def start(self, key: Key, trial: Numbered, figures: Mapping[str, Any], job: Callable[[str], object]) -> None:
        """Begin a training.

        Args:
            key: The source's name for it.
            trial: What the ledger has it as.
            figures: What is known of it before it runs.
            job: Makes, for a device, what is trained.
        """
        busy = [running.device for running in self._running.values()]
        device = min(self._devices, key=busy.count)
        made = job(device)
        self._running[trial.number] = _Running(key=key, trial=trial, device=device, figures=figures)
        self.executor.start(trial.number, self._run, made)

    def fail(self, key: Key, trial: Numbered, reason: str) -> None:
        """Write down a training that cannot be begun."""
        self._ledger.end(trial, State.FAILED, {}, reason)
        self._source.ended(trial.number, key, None)

    def _wait(self, seconds: float | None) -> None:
        """Wait for one training to end, for so long at most, and write it down."""
        ended = self.executor.within(seconds)
        if ended is not None:
            self._end(*ended)

    def _end(self, number: int, result: Result | Failure) -> None:
        running = self._running.pop(number)
        key, trial, figures = running.key, running.trial, running.figures
        if not isinstance(result, Failure):
            self._ledger.end(trial, State.COMPLETE, {**figures, **self._source.figures_of(key, result)})
            self._source.ended(number, key, result)
            return
        state, reason = result.state, result.reason
        if state is State.OUT_OF_MEMORY and self._shares_memory():
            self._note("too little memory for several trainings at once: one after the other from here on")
            state, reason = State.INTERRUPTED, f"{reason}, beside {len(self._running)} other trainings; run again alone"
            self._source.again(key)
        self._ledger.end(trial, state, figures, reason)
        self._source.ended(number, key, None)

    def _shares_memory(self) -> bool:
        """Return whether others run in the same memory; from here on none does."""
        return bool(self._running) and self.executor.one_at_a_time()
