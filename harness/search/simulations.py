"""Many replayed searches, spread over processes: samplers times seeds."""

from __future__ import annotations

import logging
import multiprocessing
import signal
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product

import optuna
from threadpoolctl import threadpool_limits

from harness.search.samplers import make_sampler
from harness.search.simulate import Conditions, Replay, replay
from harness.search.table import Table
from harness.settings import Sampler


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
    """Ctrl-C reaches every process of a terminal; one of them has something to say."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
