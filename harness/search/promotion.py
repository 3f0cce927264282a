"""Which candidates get more epochs and seeds: the readings that choose do not judge.

A ladder asks a study for a plan before it starts, who climbs, what is missing, what has to wait. All of it is read from
the settings and from storage, so that a search that was killed goes on as it would have.

A search without `--rungs` takes the highest first readings (`finalists`). On a ladder the choice is by the
probability of belonging to the final front (`climbers`): the cost is known before the second training, the
accuracy with noise, and a candidate that something cheaper surpasses is worth no further epoch however it
reads. No learning curve is extrapolated.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from harness.analysis.breakthrough import breakthroughs
from harness.analysis.fronts import within
from harness.analysis.membership import front_probability
from harness.analysis.noise import SHARED_BASELINE, pooled_noise
from harness.architecture import BASELINE
from harness.common.errors import UserError
from harness.jobs.plan import Pace, Plan, plan
from harness.record.constraints import UNBOUNDED, Constraints
from harness.record.ladder import Ladder
from harness.record.settings import Objective, SearchSettings
from harness.record.state import Key, State

# Standard deviation of one seed's paired difference, in mAP50-95, until a study has its own: what 36 architectures
# showed on the embedded data (docs/decisions/0007).
PRIOR_SD = 0.002


def finalists(rows: pd.DataFrame, *, seed: int, count: int, constraints: Constraints = UNBOUNDED) -> list[str]:
    """Return the most promising candidates by their first seed, best first.

    The choice rests on first observations alone, which later seeds do not change: a search that is run
    again chooses the same ones. Ties go to the lower latency.

    Args:
        rows: `StudyRecord.trials`.
        seed: The seed that screens.
        count: How many to take.
        constraints: Bounds that the first observation keeps to.

    Returns:
        Identities.
    """
    screened = rows[(rows.seed == seed) & (rows.state == State.COMPLETE) & (rows.architecture != BASELINE)]
    screened = screened[within(screened, constraints)]
    screened = screened[screened.gain_map50_95.notna()].drop_duplicates("architecture")
    ranked = screened.sort_values(["gain_map50_95", "latency_ratio"], ascending=[False, True])
    return list(ranked.architecture.head(count))


def climbers(
    rows: pd.DataFrame,
    on_rung: Collection[str],
    *,
    epochs: int,
    seeds: Sequence[int],
    cost: str,
    count: int,
    constraints: Constraints = UNBOUNDED,
) -> list[str]:
    """Return the candidates of a rung that most probably belong to the final front, the most probable first.

    The choice rests on that rung's observations alone, and so does the noise that they are taken to have: nothing
    that is trained later changes it, and a search that is run again chooses the same ones. Ties (to six
    decimals) go to the higher gain, then to the lower cost. What is beyond a bound, be it the baseline, has no place
    on that front and takes nobody's.

    Args:
        rows: `StudyRecord.trials`.
        on_rung: Identities of the candidates that compete.
        epochs: The rung's.
        seeds: The rung's.
        cost: Column that is the cost, less being better.
        count: How many to take.
        constraints: Bounds that the means of the rung's observations keep to.

    Returns:
        Identities; a candidate without an observation is not among them.
    """
    here = rows[(rows.epochs == epochs) & rows.seed.isin(seeds) & (rows.state == State.COMPLETE)]
    here = here[here.gain_map50_95.notna() & here.architecture.isin([*on_rung, BASELINE])]
    here = here.drop_duplicates(["architecture", "seed"])
    noise = pooled_noise(here[here.architecture != BASELINE], "gain_map50_95", SHARED_BASELINE)
    own_sd = (noise.sd if noise.usable else PRIOR_SD) * math.sqrt(1 - SHARED_BASELINE)
    table = here.groupby("architecture").agg(
        mean=("gain_map50_95", "mean"), count=("gain_map50_95", "count"), map50_95=("map50_95", "mean")
    )
    known_before = sorted({cost, *(bound.column for bound in constraints.bounds)} - {"map50_95"})
    table = table.join(rows.groupby("architecture")[known_before].median())
    table = table[within(table, constraints)]
    probability = front_probability(table["mean"], own_sd / table["count"] ** 0.5, table[cost])
    table = table.assign(probability=probability.round(6))
    ranked = table.drop(index=BASELINE, errors="ignore").reset_index()
    ranked = ranked.sort_values(
        ["probability", "mean", cost, "architecture"], ascending=[False, False, True, True], na_position="last"
    )
    return [str(name) for name in ranked.architecture.head(count)]


# What became of each training that a study has begun (`SearchStudy.states`).
States = Mapping[Key, State]


def plan_search(settings: SearchSettings, pace: Pace | None, *, candidates: int) -> Plan | None:
    """Plan all that is to be done; None where the budget is a time and the pace is not known.

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
    """Estimate how long things take, as far as the baseline's first control tells; None before that."""
    control = rows[(rows.architecture == BASELINE) & (rows.state == State.COMPLETE)].head(1)
    if control.empty:
        return None
    return Pace(
        epoch_seconds=float(control.train_seconds.iloc[0] / control.epochs.iloc[0]),
        latency_seconds=settings.latency_seconds,
        workers=workers,
    )


def nobody_judges(settings: SearchSettings) -> str:
    """Return what to say of a ladder whose last rung leaves no evaluation seed; empty where there is nothing to say."""
    ladder = settings.ladder
    top, pickers = ladder.rungs[-1], ladder.pickers(ladder.rungs[-1].epochs)
    if settings.rungs is None or top.seeds > pickers:
        return ""
    return (
        f"rung {top}: all of its seeds pick who reaches it, so that none is left to judge; "
        f"{top.epochs}x{pickers + 1} would leave one"
    )


def first_rung(settings: SearchSettings, rows: pd.DataFrame) -> list[str]:
    """Return the candidates whose first training is complete, in the order of their trials.

    Not among them is what is known to cost more than the bounds allow: it gets no further seed.
    """
    first = rows[(rows.epochs == settings.epochs) & (rows.seed == settings.seed) & (rows.state == State.COMPLETE)]
    first = first[(first.architecture != BASELINE) & within(first, _on_cost(settings.constraints))]
    return [str(identity) for identity in first.architecture.unique()]


def choose(
    settings: SearchSettings, rows: pd.DataFrame, on_rung: Collection[str], number: int, count: int
) -> list[str]:
    """Choose who is promoted: by the highest first observation, or on a ladder by the probability to be on the front.

    Who is beyond a bound is not promoted. A bound on mAP is about the longest trainings: below their epochs nobody
    is held to it.

    Args:
        settings: The ladder, the seeds, the bounds and the objectives; latency is the cost where it is one, else MACs.
        rows: `StudyRecord.trials`.
        on_rung: Identities of the candidates on it.
        number: Place of the rung on the ladder.
        count: How many are promoted.
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
    """Return the constraints without the bound on mAP."""
    return constraints.model_copy(update={"min_map50_95": None})


# Epochs of an extension over those of the last rung: 960 steps always showed what 240 showed under some seeds.
LONGER = 4


def extension(settings: SearchSettings, rows: pd.DataFrame) -> list[Key]:
    """List longer trainings under fresh seeds, which settle who learnt under some seeds and not under others.

    None where the user said what the whole study may take. Else whether there are any follows from the trainings of the
    last rung alone, whose seeds judge none of the longer ones; the baseline is trained as long, under the same seeds.

    Args:
        settings: The ladder and the seeds.
        rows: `StudyRecord.trials`.

    Returns:
        In the order of training, each control before those that are compared with it; most often nothing.
    """
    if settings.budget is not None:
        return []
    top = settings.ladder.rungs[-1]
    names = [each.architecture for each in breakthroughs(rows[rows.epochs == top.epochs])]
    fresh = range(settings.seed + top.seeds, settings.seed + top.seeds + max(2, top.seeds - 1))
    return [Key(name, LONGER * top.epochs, seed) for seed in fresh for name in (BASELINE, *names)] if names else []


def missing(settings: SearchSettings, states: States, on_rung: Sequence[str], number: int) -> list[Key]:
    """List what a rung asks for and the study lacks: each control a step ahead of those that are compared with it.

    These wait for it, and the next control is what another worker has to do until then.
    """
    steps = [(epochs, settings.seed + place) for epochs, place in settings.ladder.steps(number)] if on_rung else []
    controls = [Key(BASELINE, *step) for step in steps]
    asked = controls[:1]
    for place, step in enumerate(steps, 1):
        asked += [*controls[place : place + 1], *(Key(identity, *step) for identity in on_rung)]
    return [key for key in asked if key not in states or not states[key].settled]


def has_to_wait(key: Key, ladder: Ladder, states: States, running: Collection[Key]) -> bool:
    """Return whether the control of a training still runs, or what it goes on from is not there yet."""
    below = key.below(ladder)
    return key._replace(identity=BASELINE) in running or (below is not None and states.get(below) is not State.COMPLETE)


def is_lost(key: Key, ladder: Ladder, states: States) -> bool:
    """Return whether a longer training has nothing to go on from, or nothing to be compared with: it is not begun."""
    below, control = key.below(ladder), key._replace(identity=BASELINE)
    if below is None:
        return False
    needed = {below, below._replace(identity=BASELINE), control} - {key}
    return any(states[each].settled and states[each] is not State.COMPLETE for each in needed if each in states)
