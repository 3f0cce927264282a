"""The best that a budget buys: for each cost the steps at which another architecture becomes the best one.

The page's slider only looks up a step; what it says is made here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.analysis.analysis import Analysis
from harness.analysis.recommendation import non_inferior, recommended
from harness.analysis.statistics import Standing, Verdict
from harness.architecture import BASELINE
from harness.record.study import StudyRecord
from harness.report import phrases
from harness.report.figures import FrontFigure
from harness.report.pick import cost_of


@dataclass(frozen=True, kw_only=True)
class Step:
    """From this cost on, until the next step, what is best.

    Attributes:
        cost: As a ratio to the baseline's; −∞ for what nobody can pay.
        architecture: The best; empty where there is none.
        said: Which, with its gain, its interval and its verdict.
    """

    cost: float
    architecture: str
    said: str


@dataclass(frozen=True, kw_only=True)
class Budget:
    """One cost that can be limited.

    Attributes:
        key: Of the figure's axis.
        name: Of the cost.
        least: Lower end of what can be chosen, as a ratio to the baseline's.
        most: Upper end: nothing is beyond it.
        to_x: The figure's x for a ratio of 1.
        steps: Ascending; the first one is affordable to all.
    """

    key: str
    name: str
    least: float
    most: float
    to_x: float
    steps: tuple[Step, ...]


_COLUMNS = {"latency": ("latency_ratio", "latency"), "macs": ("macs_ratio", "MACs")}
SHOWN = {"latency": 2, "macs": 3}
"""Decimals of a ratio in the tables: what reads 1.12× is within a budget of 1.12×."""


def budget(study: Analysis, figure: FrontFigure) -> Budget | None:
    """What each budget of a figure's cost buys; None where there is nothing to choose between.

    The rule is that of the pick (`harness.analysis.recommendation`), among what can be paid; where it names nobody, the
    baseline; where that costs too much, a judged candidate that loses nothing that matters. Candidates of one seed and
    those beyond a bound of the search are never named.
    """
    column, name = _COLUMNS[figure.axis.key]
    summary, inside = study.summary, study.inside
    drawn = summary.loc[[point.architecture for point in figure.points], column].dropna()
    ratio: Any = summary.loc[BASELINE, column]
    scale = figure.baseline.x / ratio if figure.baseline else 0.0
    if len(drawn) < 2 or not scale > 0:
        return None
    least, most = math.floor(100 * drawn.min() - 1) / 100, math.ceil(100 * drawn.max()) / 100
    known = inside[inside["standing"].isin([Standing.BASELINE, Standing.JUDGED]) & inside[column].notna()]
    costs = known[column].round(SHOWN[figure.axis.key])
    steps = [Step(cost=-math.inf, architecture="", said="nothing that was judged costs so little.")]
    for cost in sorted(set(costs.astype(float).tolist())):
        best, said = _best(study.record, inside, known[costs <= cost], figure.digits)
        if said != steps[-1].said:
            steps.append(Step(cost=cost, architecture=best, said=said))
    return Budget(key=figure.axis.key, name=name, least=least, most=most, to_x=scale, steps=tuple(steps))


def _best(record: StudyRecord, inside: pd.DataFrame, rows: pd.DataFrame, digits: int) -> tuple[str, str]:
    """The best of what can be paid, and what to say of it."""
    least = f"{record.min_gain:g} mAP50-95"
    column, _ = cost_of(record, inside)

    def figures(name: str) -> str:
        row: Any = inside.loc[name]
        return f"{name}, gain {phrases.chosen_gain_of(row, inside, digits)}{phrases.price_of(row)}"

    name = recommended(rows, column, record.min_gain)
    if name is not None:
        return name, f"{figures(name)}: beats the baseline."
    candidates = rows[rows.index != BASELINE]
    if BASELINE in rows.index:
        highest = _highest(candidates, figures)
        return BASELINE, f"the baseline: no candidate within this budget beats it by {least} or more.{highest}"
    name = non_inferior(candidates, column, record.min_gain)
    if name is not None:
        return name, f"{figures(name)}: loses less than {least} to the baseline, which costs more."
    return "", f"nothing: no candidate within this budget is known to lose less than {least} to the baseline."


def _highest(candidates: pd.DataFrame, figures: Callable[[str], str]) -> str:
    """Who of the longest trainings reads highest beside the baseline, unless all are told to be worse."""
    rows = candidates[candidates["verdict"] != Verdict.LOSS]
    if rows.empty:
        return ""
    name = str(rows.loc[rows["epochs"] == rows["epochs"].max(), "gain_map50_95"].idxmax())
    beats = "beats it by less" if rows.loc[name, "verdict"] == Verdict.GAIN else "undecided"
    return f" The highest reading: {figures(name)}: {beats}."
