"""What a ladder asks of a study: a plan before it starts, who climbs, what is missing, what has to wait.

All of it is read from the settings and from storage, so that a search that was killed goes on as it would have.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from harness.analysis.bounds import within
from harness.architecture import BASELINE
from harness.constraints import Constraints
from harness.errors import UserError
from harness.ladder import Ladder
from harness.search.budget import climbers, finalists
from harness.search.outcome import Key, State
from harness.search.plan import Pace, Plan, plan
from harness.settings import Objective, SearchSettings

States = Mapping[Key, State]
"""What became of each training that a study has begun (`SearchStudy.states`)."""


def plan_search(settings: SearchSettings, pace: Pace | None, *, candidates: int) -> Plan | None:
    """What is to be done in all; None where the budget is a time and the pace is not known.

    Args:
        settings: The ladder, the budget and how many reach the second rung.
        pace: How long things take (`pace_of`).
        candidates: Most on the first rung.

    Raises:
        UserError: The budget does not pay for one candidate.
    """
    try:
        return plan(
            settings.ladder,
            candidates=candidates,
            finalists=settings.finalists,
            budget=settings.total_budget,
            pace=pace,
        )
    except ValueError as error:
        raise UserError(f"--budget {settings.budget}: {error}") from error


def pace_of(settings: SearchSettings, rows: pd.DataFrame, workers: int) -> Pace | None:
    """How long things take, as far as the baseline's first control tells; None before that."""
    control = rows[(rows.architecture == BASELINE) & (rows.state == State.COMPLETE)].head(1)
    if control.empty:
        return None
    return Pace(
        epoch_seconds=float(control.train_seconds.iloc[0] / control.epochs.iloc[0]),
        latency_seconds=settings.latency_seconds,
        workers=workers,
    )


def nobody_judges(settings: SearchSettings) -> str:
    """What to say of a ladder whose last rung leaves no seed to judge with; empty where there is nothing to say."""
    ladder = settings.ladder
    top, pickers = ladder.rungs[-1], ladder.pickers(ladder.rungs[-1].epochs)
    if settings.rungs is None or top.seeds > pickers:
        return ""
    return (
        f"rung {top}: all of its seeds pick who reaches it, so that none is left to judge; "
        f"{top.epochs}x{pickers + 1} would leave one"
    )


def first_rung(settings: SearchSettings, rows: pd.DataFrame) -> list[str]:
    """The candidates whose first training is complete, in the order of their trials.

    Not among them is what is known to cost more than the bounds allow: it gets no further seed.
    """
    first = rows[(rows.epochs == settings.epochs) & (rows.seed == settings.seed) & (rows.state == State.COMPLETE)]
    first = first[(first.architecture != BASELINE) & within(first, _on_cost(settings.constraints))]
    return [str(identity) for identity in first.architecture.unique()]


def choose(
    settings: SearchSettings, rows: pd.DataFrame, on_rung: Collection[str], number: int, count: int
) -> list[str]:
    """Who climbs from a rung: by the highest first reading, or on a ladder by the probability of being on the front.

    Who is beyond a bound does not climb. A bound on mAP is about the longest trainings: below their epochs nobody
    is held to it.

    Args:
        settings: The ladder, the seeds, the bounds and the objectives; latency is the cost where it is one, else MACs.
        rows: `StudyRecord.trials`.
        on_rung: Identities of the candidates on it.
        number: Place of the rung on the ladder.
        count: How many climb.
    """
    if settings.rungs is None:
        return finalists(rows, seed=settings.seed, count=count, constraints=settings.constraints)
    rung = settings.ladder.rungs[number]
    is_longest = rung.epochs == settings.ladder.levels[-1]
    return climbers(
        rows,
        on_rung,
        epochs=rung.epochs,
        seeds=settings.all_seeds[: rung.seeds],
        cost="latency_ratio" if Objective.LATENCY in settings.objectives else "macs",
        count=count,
        constraints=settings.constraints if is_longest else _on_cost(settings.constraints),
    )


def _on_cost(constraints: Constraints) -> Constraints:
    """Without the bound on mAP."""
    return constraints.model_copy(update={"min_map50_95": None})


def missing(settings: SearchSettings, states: States, on_rung: Sequence[str], number: int) -> list[Key]:
    """What a rung asks for and the study lacks; each control before those that are compared with it."""
    asked = [
        Key(identity, epochs, settings.seed + place)
        for epochs, place in settings.ladder.steps(number)
        for identity in ([BASELINE, *on_rung] if on_rung else [])
    ]
    return [key for key in asked if key not in states or not states[key].settled]


def has_to_wait(key: Key, ladder: Ladder, states: States, running: Collection[Key]) -> bool:
    """Whether the control of a training still runs, or what it goes on from is not there yet."""
    below = key.below(ladder)
    return key._replace(identity=BASELINE) in running or (below is not None and states.get(below) is not State.COMPLETE)


def is_lost(key: Key, ladder: Ladder, states: States) -> bool:
    """Whether a longer training has nothing to go on from, or nothing to be compared with: it is not begun."""
    below, control = key.below(ladder), key._replace(identity=BASELINE)
    if below is None:
        return False
    needed = {below, below._replace(identity=BASELINE), control} - {key}
    return any(states[each].settled and states[each] is not State.COMPLETE for each in needed if each in states)
