"""The sampler of a search, told what candidates cost: only once the control is measured, in whose milliseconds."""

from __future__ import annotations

import optuna

from harness.architecture import BASELINE
from harness.search.acquisition import Preferences
from harness.search.known_cost import known_cost
from harness.search.observer import Observer
from harness.search.region import Region
from harness.search.samplers import make_sampler
from harness.search.setting import Setting
from harness.search.space_candidates import SpaceCandidates
from harness.search.space_cost import AdditiveCost
from harness.search.study import SearchStudy
from harness.settings import Objective, Sampler


def informed_sampler(
    study: SearchStudy,
    setting: Setting,
    cost: AdditiveCost,
    region: Region | None,
    *,
    workers: int,
    observer: Observer,
) -> optuna.samplers.BaseSampler:
    """The sampler that was asked for, with all that it can use.

    Args:
        study: Has the control.
        setting: The search's.
        cost: Of every candidate, in parameters and MACs.
        region: Bounds on cost, if there are any.
        workers: Trainings at once.
        observer: Told what measuring comes to, where a latency has to be estimated.

    Raises:
        UserError: The latency of blocks cannot be measured.
    """
    settings = setting.settings
    candidates, preferences = None, Preferences()
    if settings.sampler is Sampler.COST_AWARE:
        rows = study.record().trials
        control = rows[(rows.architecture == BASELINE) & rows.latency_ms_p50.notna()].iloc[0]
        control_ms = float(control.latency_ms_p50)
        known = known_cost(settings.cost_objective, setting, cost, control_ms=control_ms, observer=observer)
        candidates = SpaceCandidates(setting.space, known.of, region)
        limit = settings.constraints.max_latency_ratio if settings.cost_objective is Objective.LATENCY else None
        preferences = Preferences(
            cost_error=known.relative_error,
            most_cost=limit and limit * control_ms,
            least_accuracy=settings.constraints.min_map50_95 if len(settings.ladder.levels) == 1 else None,
        )
    return make_sampler(
        settings.sampler,
        seed=settings.seed,
        workers=workers,
        candidates=candidates,
        learnt=settings.learnt_objective,
        preferences=preferences,
    )
