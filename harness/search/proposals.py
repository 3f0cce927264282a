"""The next candidate that nobody has trained: Optuna proposes, what is known is answered from the record."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import TrialState

from harness.architecture import Architecture
from harness.record.study import DUPLICATE, INFEASIBLE, ROLE
from harness.search.region import Region
from harness.space import SearchSpace
from harness.storage.study import Known

# Proposals without news after which one is drawn at random from what is left.
_PATIENCE = 30


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
    region: Region | None = None,
) -> Proposal | None:
    """Ask until something new comes.

    A proposal over a bound on cost is told as pruned, with by how much as Optuna's constraints: TPE learns from these
    where not to look, NSGA-II passes them over. What was told stays: after a bound is loosened TPE is still shy of
    what it excluded.

    The first `startup` candidates are drawn evenly over numbers of blocks, sites and shapes, which a
    sampler's own random start is not. After that the sampler chooses.

    Args:
        study: Optuna study to ask.
        space: What may be proposed.
        known: Identity to result of all that the study has, the baseline included.
        rng: Source of the random draws.
        startup: Candidates to draw before the sampler is asked.
        region: The part of the space within the bounds on cost; None is all of it.

    Returns:
        The candidate, or None when every architecture of the space, or of its region, is known.
    """
    results = known()
    if _all_known(space, results, region):
        return None
    fruitless = 0
    draw = len(results) - 1 < startup
    while True:
        at_random = draw or fruitless >= _PATIENCE
        trial = ask_for(study, space, _unknown(space, results, rng, region)) if at_random else study.ask()
        architecture = space.suggest(trial)
        identity = space.identity(architecture)
        excess = region.excess(architecture) if region else {}
        if identity not in results and not any(excess.values()):
            return Proposal(trial=trial, architecture=architecture, identity=identity)
        fruitless += 1
        if identity not in results:
            _refuse(study, trial, excess)
            continue
        trial.set_user_attr(ROLE, DUPLICATE)
        values = results[identity].values
        if values is None:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, values)


def _refuse(study: optuna.Study, trial: optuna.trial.Trial, excess: Mapping[str, float]) -> None:
    for name, above in excess.items():
        trial.set_constraint(name, above)
    trial.set_user_attr(ROLE, INFEASIBLE)
    study.tell(trial, state=TrialState.PRUNED)


def ask_for(study: optuna.Study, space: SearchSpace, architecture: Architecture) -> optuna.trial.Trial:
    """Open a trial of exactly this architecture; without parameters if the space doesn't hold it, as the baseline.

    (Optuna's queue would do the same, but a queue outlives a killed search and then answers another question.)
    """
    if not space.holds(architecture):
        return study.ask()
    sampler = study.sampler
    parameters = space.parameters(architecture)
    study.sampler = optuna.samplers.PartialFixedSampler(parameters, optuna.samplers.RandomSampler(seed=0))
    try:
        trial = study.ask()
        space.suggest(trial)
    finally:
        study.sampler = sampler
    return trial


def _all_known(space: SearchSpace, results: Mapping[str, Any], region: Region | None) -> bool:
    if region is None:
        return len(results) - 1 >= space.size
    return all(space.identity(architecture) in results for architecture in region.walk())


def _unknown(space: SearchSpace, results: Mapping[str, Any], rng: random.Random, region: Region | None) -> Architecture:
    """Draw a random architecture without a result; there is one."""
    for _ in range(1000):
        architecture = space.draw(rng)
        if (region is None or region.holds(architecture)) and space.identity(architecture) not in results:
            return architecture
    rest = space.enumerate() if region is None else region.walk(rng)
    return next(architecture for architecture in rest if space.identity(architecture) not in results)
