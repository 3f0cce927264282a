"""A search replayed on a table of finished trainings: how many trainings does a sampler need?

The sampler is the very one that a real search uses, in a real Optuna study, and its trainings stand in the very queue;
only what a training comes to is looked up. Many such searches, samplers times seeds, are spread over processes.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import time
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState
from threadpoolctl import threadpool_limits

from harness.jobs.executors import Executor
from harness.jobs.queue import Queue, Source
from harness.record.settings import Sampler
from harness.record.state import Failure, State
from harness.search.acquisition import Preferences
from harness.search.candidates import Candidates
from harness.search.improvement import Floats
from harness.search.sampler import make_sampler
from harness.search.table import Table

# Asks in the place of one new model, on average over the budget, after which a sampler has stalled.
PATIENCE = 4
# Takes the candidates, preferences and a seed.
MakeSampler = Callable[[Candidates, Preferences, int], optuna.samplers.BaseSampler]


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """How a search is replayed.

    Attributes:
        budget: Trainings.
        workers: Trainings at once; they end in the order in which they started.
        cost_error: Relative standard deviation of the cost that is known beforehand; what was trained has its true one.
        noise: Standard deviation of a reading of accuracy, as a share of the table's range.
    """

    budget: int
    workers: int = 1
    cost_error: float = 0.0
    noise: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Replay:
    """One replayed search.

    Attributes:
        shares: Hypervolume of the true values of all that was trained, as a share of the table's, after each training
            of the budget; a search that ended early has found all that it would.
        distinct: Different models that were trained.
        asks: Proposals, with those of missing and known models.
        stalled: Whether it stopped because it found nothing new.
        seconds_per_suggestion: Mean time of a proposal.
        final_share: The same of the front that the search would name: without noise what was found; with noise the
            models that confirming readings put there.
        confirmations: Readings beyond the budget that this took.
    """

    shares: Floats
    distinct: int
    asks: int
    stalled: bool
    seconds_per_suggestion: float
    final_share: float
    confirmations: int

    def trainings_to(self, share: float) -> int | None:
        """Count the trainings until a share was reached; None if it never was."""
        reached = np.flatnonzero(self.shares >= share)
        return int(reached[0]) + 1 if len(reached) else None


def replay(table: Table, make_sampler: MakeSampler, conditions: Conditions, seed: int) -> Replay:
    """Replay one search.

    A row that the table lacks is told as pruned. A model that is known is told again what it was; it costs no
    training, unless there is noise: then it is another reading.

    Args:
        table: The finished trainings.
        make_sampler: Gives the sampler.
        conditions: How.
        seed: Of the sampler and of all noise.
    """
    return _Replay(table, make_sampler, conditions, seed).run()


class LookUps(Executor[int, float]):
    """An executor of trainings that are looked up when they are waited for; they end in the order of their start.

    Args:
        workers: How many run at once.
    """

    workers = 1  # in place of the protocol's property, which could not be set

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._running: deque[tuple[int, Callable[..., float], Any]] = deque()

    def start(self, key: int, function: Callable[..., float], argument: Any) -> None:
        """See `Executor`."""
        self._running.append((key, function, argument))

    def within(self, seconds: float | None) -> tuple[int, float]:
        """See `Executor`; nothing takes time."""
        key, look_up, argument = self._running.popleft()
        return key, look_up(argument)

    def ended(self) -> list[tuple[int, float | Failure]]:
        """See `Executor`; nothing ends that is not waited for."""
        return []

    def stop(self) -> None:
        """See `Executor`."""
        self._running.clear()


class _Replay(Source[int, float]):
    """One search: a source of trainings, whose ledger is an Optuna study in memory."""

    def __init__(self, table: Table, make_sampler: MakeSampler, conditions: Conditions, seed: int) -> None:
        self.table = table
        self.conditions = conditions
        self.rng = np.random.default_rng([seed, 1])
        blur = np.exp(conditions.cost_error * self.rng.standard_normal(len(table.cost)))
        self.distributions = table.distributions
        self.candidates = table.candidates(table.cost * blur)
        self.noise_sd = conditions.noise * float(np.ptp(table.accuracy))
        preferences = Preferences(cost_error=conditions.cost_error)
        self.study = optuna.create_study(
            directions=["maximize", "minimize"], sampler=make_sampler(self.candidates, preferences, seed)
        )
        self.queue = Queue[int, float](
            self._read,
            source=self,
            ledger=self,
            executor=LookUps(conditions.workers),
            devices=("table",),
            note=lambda _: None,
        )
        self.readings: dict[int, list[float]] = {}
        self.shares: list[float] = []
        self.asks = 0
        self.seconds = 0.0

    def run(self) -> Replay:
        budget = self.conditions.budget
        self.queue.during(lambda: self.queue.train(self._begin))
        front, confirmations = self._final_front()
        return Replay(
            shares=np.array(self.shares + (self.shares[-1:] or [0.0]) * (budget - len(self.shares))),
            distinct=len(self.readings),
            asks=self.asks,
            stalled=len(self.shares) < budget and not self._is_over(),
            seconds_per_suggestion=self.seconds / max(self.asks, 1),
            final_share=self.table.share(front),
            confirmations=confirmations,
        )

    def _begin(self) -> bool:
        """Ask for a model, and train it if it is to be; False where the search is over."""
        budget, under_way = self.conditions.budget, self.queue.keys
        if len(self.shares) + len(under_way) >= budget or self.asks >= PATIENCE * budget or self._is_over():
            return False
        trial, row = self._ask()
        if row is None or (row in under_way and not self.noise_sd):
            self.study.tell(trial, state=TrialState.PRUNED)
        elif row in self.readings and not self.noise_sd:
            self.study.tell(trial, self._values(row, self.readings[row][0]))
        else:
            self.queue.start(row, trial, {}, lambda _: row)
        return True

    def _ask(self) -> tuple[optuna.trial.Trial, int | None]:
        start = time.perf_counter()
        trial = self.study.ask()
        parameters = {name: trial.suggest_categorical(name, each.choices) for name, each in self.distributions.items()}
        self.seconds += time.perf_counter() - start
        self.asks += 1
        code = self.candidates.code(parameters)
        return trial, None if code is None else int(code[0])

    def figures_of(self, row: int, reading: float) -> dict[str, Any]:
        """Return what the study is told; keep the observation, and what all together are worth."""
        self.readings.setdefault(row, []).append(reading)
        self.shares.append(self.table.share(list(self.readings)))
        return {"values": self._values(row, reading)}

    def end(self, trial: optuna.trial.Trial, state: State, figures: Mapping[str, Any], reason: str = "") -> None:
        """Tell the study what came of a training; what Ctrl-C cut short stays open."""
        if state is State.COMPLETE:
            self.study.tell(trial, **figures)

    def _read(self, row: int) -> float:
        return float(self.table.accuracy[row] + self.noise_sd * self.rng.standard_normal())

    def _values(self, row: int, accuracy: float) -> tuple[float, float]:
        return accuracy, float(self.table.cost[row])

    def _is_over(self) -> bool:
        """Return whether the whole front is found, so that more of a noise-free search changes nothing."""
        return not self.noise_sd and bool(self.shares) and self.shares[-1] >= 1

    def _final_front(self) -> tuple[list[int], int]:
        """Return the final front: with noise, an observation that selects doesn't evaluate, as in a real search."""
        if not self.noise_sd:
            return list(self.readings), 0
        confirmed: dict[int, list[float]] = {row: readings[1:] for row, readings in self.readings.items()}
        confirmations = 0
        while True:
            judged = {row: float(np.mean(readings)) for row, readings in confirmed.items() if readings}
            hoped = {row: float(np.mean(readings)) for row, readings in self.readings.items()} | judged
            front = self.table.front(hoped)
            unread = [row for row in front if not confirmed[row]]
            if not unread:
                return self.table.front(judged), confirmations
            for row in unread:
                confirmed[row].append(self._read(row))
                confirmations += 1


def simulate(
    table: Table,
    samplers: Sequence[Sampler],
    seeds: Sequence[int],
    conditions: Conditions,
    *,
    jobs: int,
    after_each: Callable[[], None] = lambda: None,
) -> dict[Sampler, list[Replay]]:
    """Replay a search with each sampler and seed; all is as it would be in one process, but for the time it takes.

    Args:
        table: The finished trainings.
        samplers: Which, each once.
        seeds: Of each sampler.
        conditions: How each search is replayed.
        jobs: Processes; 1 replays in this one.
        after_each: Called in this process whenever a search has ended.

    Returns:
        Sampler to its replays, in the order of the seeds.
    """
    runs = list(product(samplers, seeds))
    found: dict[tuple[Sampler, int], Replay] = {}
    if jobs == 1:
        for run in runs:
            found[run] = _replay(table, *run, conditions)
            after_each()
    else:
        context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
        with ProcessPoolExecutor(min(jobs, len(runs)), mp_context=context, initializer=_end_silently) as pool:
            futures = {pool.submit(_replay, table, *run, conditions): run for run in runs}
            try:
                for future in as_completed(futures):
                    found[futures[future]] = future.result()
                    after_each()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return {sampler: [found[sampler, seed] for seed in seeds] for sampler in samplers}


def _replay(table: Table, sampler: Sampler, seed: int, conditions: Conditions) -> Replay:
    optuna.logging.set_verbosity(logging.ERROR)
    with warnings.catch_warnings(), threadpool_limits(1):  # sums in another order would be another search
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return replay(
            table,
            lambda candidates, preferences, seed: make_sampler(
                sampler, seed=seed, workers=conditions.workers, candidates=candidates, preferences=preferences
            ),
            conditions,
            seed,
        )


def _end_silently() -> None:
    """End silently on Ctrl-C: it reaches every process of a terminal, and one of them has something to say."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
