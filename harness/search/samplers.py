"""The samplers that can be asked for by name."""

from __future__ import annotations

import optuna

from harness.search.acquisition import Preferences
from harness.search.candidates import Candidates
from harness.search.sampler import CostAwareSampler
from harness.settings import Sampler

STARTUP = 6
"""Candidates drawn evenly before one of Optuna's samplers chooses."""


def startup_of(name: Sampler) -> int:
    """Candidates that a search draws before it asks the sampler; ours has a start of its own."""
    return 0 if name is Sampler.COST_AWARE else STARTUP


def make_sampler(
    name: Sampler,
    *,
    seed: int,
    workers: int = 1,
    candidates: Candidates | None = None,
    learnt: int = 0,
    preferences: Preferences | None = None,
) -> optuna.samplers.BaseSampler:
    """A seeded sampler.

    Args:
        name: Which.
        seed: Of its random draws.
        workers: Trainings at once; with several it keeps away from what is being trained.
        candidates: What may be proposed, for the one that knows it.
        learnt: Number of the objective that is accuracy, for the same one.
        preferences: Its preferences.
    """
    if name is Sampler.COST_AWARE:
        return CostAwareSampler(candidates, learnt=learnt, seed=seed, preferences=preferences)
    if name is Sampler.NSGA2:
        return optuna.samplers.NSGAIISampler(seed=seed, population_size=20)
    if name is Sampler.NSGA3:
        return optuna.samplers.NSGAIIISampler(seed=seed, population_size=20)
    if name is Sampler.GP:
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=STARTUP)
    if name is Sampler.RANDOM:
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(
        seed=seed, multivariate=True, group=True, n_startup_trials=STARTUP, constant_liar=workers > 1
    )
