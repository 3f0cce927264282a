"""The best that a budget buys: for each cost the steps at which another architecture becomes the best one.

The page's slider only looks up a step; what it says is made here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from harness.analysis.bounds import within
from harness.analysis.statistics import Standing, Verdict
from harness.architecture import BASELINE
from harness.report import phrases
from harness.report.figures import FrontFigure

if TYPE_CHECKING:
    from harness.records import StudyRecord


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


def budget(record: StudyRecord, summary: pd.DataFrame, figure: FrontFigure) -> Budget | None:
    """What each budget of a figure's cost buys; None where there is nothing to choose between.

    The best is the candidate of the largest gain among those told to be better than the baseline; where there is
    none, the baseline; where that is too dear, the judged candidate that reads highest and is not told to be worse.
    Candidates of one seed and those beyond a bound of the search are never named. On a ladder, the longest trainings
    come first.
    """
    column, name = _COLUMNS[figure.axis.key]
    drawn = summary.loc[[point.architecture for point in figure.points], column].dropna()
    ratio: Any = summary.loc[BASELINE, column]
    scale = figure.baseline.x / ratio if figure.baseline else 0.0
    if len(drawn) < 2 or not scale > 0:
        return None
    least, most = math.floor(100 * drawn.min() - 1) / 100, math.ceil(100 * drawn.max()) / 100
    inside = summary[within(summary, record.constraints) | (summary.index == BASELINE)]
    known = inside[inside["standing"].isin([Standing.BASELINE, Standing.JUDGED]) & inside[column].notna()].copy()
    known[column] = known[column].round(SHOWN[figure.axis.key])
    steps = [Step(cost=-math.inf, architecture="", said="nothing that was judged costs so little.")]
    for cost in sorted(set(known[column].astype(float).tolist())):
        best, said = _best(known[known[column] <= cost], figure.digits)
        if said != steps[-1].said:
            steps.append(Step(cost=cost, architecture=best, said=said))
    return Budget(key=figure.axis.key, name=name, least=least, most=most, to_x=scale, steps=tuple(steps))


def _best(rows: pd.DataFrame, digits: int) -> tuple[str, str]:
    """The best of what can be paid, and what to say of it."""
    candidates = rows[rows.index != BASELINE]
    winners = candidates[candidates["verdict"] == Verdict.GAIN]
    if len(winners):
        name = _highest(winners)
        return name, f"{name}, {_figures(winners.loc[name], digits)}: told to be better than the baseline."
    open_cases = candidates[candidates["verdict"] != Verdict.LOSS]
    if BASELINE in rows.index:
        none = "the baseline: no candidate within this budget is told to be better."
        if open_cases.empty:
            return BASELINE, none
        name = _highest(open_cases)
        return BASELINE, f"{none} {name} reads highest, {_figures(open_cases.loc[name], digits)}: undecided."
    if len(open_cases):
        name = _highest(open_cases)
        return name, f"{name}, {_figures(open_cases.loc[name], digits)}: not told from the baseline, which is dearer."
    return "", "nothing: every judged candidate within this budget is told to be worse than the baseline."


def _highest(rows: pd.DataFrame) -> str:
    """The largest gain among the longest trainings."""
    return str(rows.loc[rows["epochs"] == rows["epochs"].max(), "gain_map50_95"].idxmax())


def _figures(row: Any, digits: int) -> str:
    return f"gain {phrases.gain_of(row, digits)} mAP50-95{phrases.price_of(row)}"
