"""How long the cost-aware sampler takes for one proposal, and how much memory, by trials and candidates.

Each row is a process of its own: a study in memory with so many finished trials of a made-up table, then a few
proposals. Memory is that of the whole process at its peak.

    python benchmarks/sampler_speed.py
"""

from __future__ import annotations

import logging
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Annotated

import numpy as np
import optuna
import typer
from optuna.distributions import CategoricalDistribution

from harness.search.candidates import ListedCandidates
from harness.search.sampler import CostAwareSampler

CHOICES = 10
PROPOSALS = 5


def one(trials: int, count: int) -> tuple[float, float, int]:
    """Median and slowest seconds a proposal, and bytes at the peak."""
    optuna.logging.set_verbosity(logging.ERROR)
    rng = np.random.default_rng(0)
    digits = int(np.ceil(np.log10(count)))
    numbers = rng.permutation(CHOICES**digits)[:count]
    rows = [{f"p{d}": int(number // CHOICES**d % CHOICES) for d in range(digits)} for number in numbers]
    values = np.array([list(row.values()) for row in rows]) / (CHOICES - 1)
    accuracy = 0.5 + 0.1 * np.tanh(values @ rng.normal(size=digits)) + 0.05 * np.sin(5 * values[:, 0] * values[:, 1])
    cost = np.exp(values @ rng.random(digits))
    distributions = {f"p{d}": CategoricalDistribution(range(CHOICES)) for d in range(digits)}
    listed = ListedCandidates(distributions, rows, cost)
    sampler = CostAwareSampler(listed, seed=0)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    for row in rng.choice(count, trials, replace=False):
        study.add_trial(
            optuna.create_trial(
                params=rows[row],
                distributions=distributions,  # type: ignore[arg-type]  # a dict of one kind of distribution
                values=[float(accuracy[row]), float(cost[row])],
            )
        )
    seconds = []
    for _ in range(PROPOSALS):
        start = time.perf_counter()
        trial = study.ask(distributions)  # type: ignore[arg-type]
        seconds.append(time.perf_counter() - start)
        code = listed.code(trial.params)
        assert code is not None
        study.tell(trial, [float(accuracy[code[0]]), float(cost[code[0]])])
    unit = 1 if sys.platform == "darwin" else 1024
    return float(np.median(seconds)), max(seconds), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main(
    trials: Annotated[str, typer.Option(help="Finished trials, comma-separated.")] = "20,200,1000",
    candidates: Annotated[str, typer.Option(help="Candidates, comma-separated.")] = "1000,10000,100000",
) -> None:
    """Print the table."""
    print(f"{'trials':>7} {'candidates':>11} {'ms, median':>11} {'slowest':>8} {'GB peak':>8}")
    for finished in map(int, trials.split(",")):
        for count in map(int, candidates.split(",")):
            if finished + PROPOSALS > count:
                continue
            with ProcessPoolExecutor(1) as pool:
                median, slowest, peak = pool.submit(one, finished, count).result()
            print(f"{finished:>7} {count:>11,} {1e3 * median:>11.0f} {1e3 * slowest:>8.0f} {peak / 1e9:>8.2f}")


if __name__ == "__main__":
    typer.run(main)
