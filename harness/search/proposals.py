"""The next candidate that nobody has trained: Optuna proposes, what is known is answered from the record."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import TrialState

from harness.architecture import Architecture
from harness.records import DUPLICATE, ROLE
from harness.space import SearchSpace

_PATIENCE = 30
"""Proposals without news after which one is drawn at random from what is left."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """An architecture that the study has a result for.

    Attributes:
        values: What Optuna was told, or None where the trial failed.
    """

    values: tuple[float, ...] | None


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A new candidate with its open Optuna trial."""

    trial: optuna.trial.Trial
    architecture: Architecture
    identity: str


def propose(
    study: optuna.Study,
    space: SearchSpace,
    known: Callable[[], Mapping[str, Known]],
    rng: random.Random,
    startup: int,
) -> Proposal | None:
    """Ask until something new comes.

    The first `startup` candidates are drawn evenly over numbers of blocks, sites and shapes, which a
    sampler's own random start is not. After that the sampler chooses.

    Args:
        study: Optuna study to ask.
        space: What may be proposed.
        known: Identity to result of all that the study has, the baseline included.
        rng: Source of the random draws.
        startup: Candidates to draw before the sampler is asked.

    Returns:
        The candidate, or None when every architecture of the space is known.
    """
    results = known()
    if len(results) - 1 >= space.size:
        return None
    fruitless = 0
    draw = len(results) - 1 < startup
    while True:
        at_random = draw or fruitless >= _PATIENCE
        trial = ask_for(study, space, _unknown(space, results, rng)) if at_random else study.ask()
        architecture = space.suggest(trial)
        identity = space.identity(architecture)
        if identity not in results:
            return Proposal(trial=trial, architecture=architecture, identity=identity)
        fruitless += 1
        trial.set_user_attr(ROLE, DUPLICATE)
        values = results[identity].values
        if values is None:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, values)


def ask_for(study: optuna.Study, space: SearchSpace, architecture: Architecture) -> optuna.trial.Trial:
    """An open trial of exactly this architecture.

    (Optuna's queue would do the same, but a queue outlives a killed search and then answers another question.)
    """
    sampler = study.sampler
    parameters = space.parameters(architecture)
    study.sampler = optuna.samplers.PartialFixedSampler(parameters, optuna.samplers.RandomSampler(seed=0))
    try:
        trial = study.ask()
        space.suggest(trial)
    finally:
        study.sampler = sampler
    return trial


def _unknown(space: SearchSpace, results: Mapping[str, Any], rng: random.Random) -> Architecture:
    """A random architecture without a result."""
    for _ in range(1000):
        architecture = space.draw(rng)
        if space.identity(architecture) not in results:
            return architecture
    return next(a for a in space.enumerate() if space.identity(a) not in results)
