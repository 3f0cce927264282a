"""The sampler of a search, told what each candidate costs before it is trained: the sampler's other objective.

Parameters and MACs are exact. Latency is an estimate from a table that is measured once a device and kept, on the scale
of the study's own control, hence only once that is measured; its error is known, and what is trained is measured for
real.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import optuna
import torch

from harness.architecture import BASELINE
from harness.common.errors import UserError
from harness.cost.space_cost import AdditiveCost, CostTable
from harness.jobs.progress import Observer, Step
from harness.latency.survey import Measurements, Survey
from harness.latency.table import LatencyTable
from harness.record.settings import Objective, Sampler
from harness.record.state import Failure
from harness.search.acquisition import Preferences
from harness.search.candidates import Codes
from harness.search.improvement import Floats
from harness.search.region import Region
from harness.search.sampler import make_sampler
from harness.search.setting import Setting
from harness.search.space_candidates import CostOf, SpaceCandidates
from harness.storage.study import SearchStudy
from harness.training.child import Report

# Architectures that the latency table is calibrated on.
_ARCHITECTURES = 12
# Architectures of a space below which there are too few to draw those from.
_FEWEST = 3 * _ARCHITECTURES
# Relative error that a latency is taken to have which only MACs tell.
_ERROR_BY_MACS = 0.3
# Time for all blocks, for one architecture, and most of all together, over that for a candidate's latency.
_TABLE, _EACH, _LIMIT = 4.0, 0.2, 24.0


@dataclass(frozen=True, kw_only=True)
class KnownCost:
    """The cost of architectures, before they are trained.

    Attributes:
        of: Gives it, in the objective's unit.
        relative_error: Its standard deviation.
    """

    of: CostOf
    relative_error: float


def known_cost(
    objective: Objective, setting: Setting, cost: AdditiveCost, *, control_ms: float, observer: Observer
) -> KnownCost:
    """Build the cost that is an objective; only latency is estimated.

    Args:
        objective: Latency, MACs or parameters.
        setting: The search's.
        cost: Of the base and of its blocks.
        control_ms: Median latency of the control, in ms.
        observer: Told what is measured, which takes half a minute the first time, and two minutes at most.
    """
    table = CostTable(setting.space, cost)
    if objective is not Objective.LATENCY:
        column = (Objective.PARAMS, Objective.MACS).index(objective)
        return KnownCost(of=lambda codes: table.of(codes)[:, column].astype(float), relative_error=0.0)
    latency = _latency_table(setting, observer) if setting.space.size >= _FEWEST else None
    if latency is None:

        def by_macs(codes: Codes) -> Floats:
            return np.asarray(control_ms * table.of(codes)[:, 1] / table.base[1])

        return KnownCost(of=by_macs, relative_error=_ERROR_BY_MACS)

    def estimated(codes: Codes) -> Floats:
        return np.asarray(control_ms * latency.ratio(codes))

    return KnownCost(of=estimated, relative_error=latency.relative_error)


def _latency_table(setting: Setting, observer: Observer) -> LatencyTable | None:
    """Build the latency table; None where its limit was met before its error could be estimated."""
    seconds = setting.settings.latency_seconds
    limit_s = _LIMIT * seconds
    observer.phase(
        f"estimating the latency of all {setting.space.size:,} architectures "
        f"(measured once, then kept; at most {limit_s:.0f} s, what is missing then is estimated)"
    )
    survey = Survey(
        space=setting.space,
        base=setting.base,
        sites=setting.sites,
        imgsz=setting.settings.imgsz,
        classes=setting.classes,
        device=setting.devices[0],
        architectures=_ARCHITECTURES,
        max_seconds=_TABLE * seconds,
        seconds_each=_EACH * seconds,
        limit_s=limit_s,
    )
    measured = _measured(survey, setting, observer)
    try:
        table = LatencyTable(setting.space, setting.sites, measured)
    except UserError:  # too few architectures to calibrate on, or no block
        observer.note(
            f"latency is estimated from MACs alone, to {_ERROR_BY_MACS:.0%}: within {limit_s:.0f} s only "
            f"{len(measured.end_to_end)} architectures could be measured; the next search goes on from there"
        )
        return None
    left = (
        f"; {table.estimated_blocks} of {table.blocks} blocks were not timed within {limit_s:.0f} s and are estimated "
        "from the others; the next search goes on from there"
        if table.estimated_blocks
        else ""
    )
    known = f"root mean square, {len(table.end_to_end)} architectures"
    observer.note(f"latency estimated to {table.relative_error:.1%} ({known}){left}")
    return table


def _measured(survey: Survey, setting: Setting, observer: Observer) -> Measurements:
    """Measure on the device that candidates are measured on, with the threads that they are measured with."""
    if setting.cluster is not None:
        found = setting.run_alone(partial(run_survey, setting.latency_threads), survey, observer.progress)
        if isinstance(found, Failure):
            raise UserError(f"the latency of blocks cannot be measured on the cluster: {found.reason}")
        return found
    threads = torch.get_num_threads()
    torch.set_num_threads(setting.latency_threads)
    try:
        return replace(survey, on_progress=lambda *step: observer.progress(Step(*step))).run()
    finally:
        torch.set_num_threads(threads)


def run_survey(threads: int, survey: Survey, report: Report) -> Measurements:
    """Run a survey in a task of a cluster."""
    report.never_rests()  # it enters and leaves the machine by itself, to be alone there
    torch.set_num_threads(threads)
    return replace(survey, on_progress=lambda *step: report(Step(*step))).run()


def informed_sampler(
    study: SearchStudy,
    setting: Setting,
    cost: AdditiveCost,
    region: Region | None,
    *,
    workers: int,
    observer: Observer,
) -> optuna.samplers.BaseSampler:
    """Build the sampler that was asked for, with all that it can use.

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
