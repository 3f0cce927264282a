"""Which architecture to take, under one stated rule, with and without a budget; else the baseline."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.analysis.analysis import Analysis
from harness.analysis.recommendation import non_inferior, recommended
from harness.analysis.statistics import Standing, Verdict
from harness.analysis.ties import told_apart
from harness.architecture import BASELINE
from harness.record.settings import Objective
from harness.record.study import StudyRecord
from harness.report import phrases, words
from harness.report.figures import FrontFigure

# Objective to its column in a summary, as a ratio to the baseline, and its name.
_COSTS = {
    Objective.LATENCY: ("latency_ratio", "latency"),
    Objective.MACS: ("macs_ratio", "MACs"),
    Objective.PARAMS: ("params_ratio", "parameters"),
}


@dataclass(frozen=True, kw_only=True)
class Picked:
    """The figures of a candidate that is recommended; the interval is corrected for the choice."""

    gain: float
    ci95: tuple[float, float]
    verdict: str
    seeds: int


@dataclass(frozen=True, kw_only=True)
class Pick:
    """A recommendation; the baseline where no candidate gains enough.

    Attributes:
        headline: What to do, in a few words, and what it costs.
        why: The figures behind it, without the price of a candidate; empty where the answer's own headline says all.
        tied: Candidates that beat the baseline too, and that the noise does not tell from the pick.
        picked: The candidate's figures; None for the baseline.
    """

    architecture: str
    headline: str
    why: str
    rule: str
    tied: tuple[str, ...] = ()
    picked: Picked | None = None

    @property
    def is_candidate(self) -> bool:
        """Whether it is not the baseline."""
        return self.architecture != BASELINE


def pick(study: Analysis) -> Pick | None:
    """Choose what to take of a study, within its bounds; None without the baseline or any comparison with it."""
    record, summary, digits = study.record, study.inside, study.digits
    compared = summary["standing"].isin(phrases.COMPARED)
    if summary.loc[BASELINE, "standing"] != Standing.BASELINE or not compared.any():
        return None
    column, cost = cost_of(record, summary)
    name = recommended(summary, column, record.min_gain)
    rule = _rule(cost, record.min_gain)
    if name is not None:
        return _winner(record, summary, name, digits, rule)
    return _baseline(record, summary, digits, rule)


def cost_of(record: StudyRecord, summary: pd.DataFrame) -> tuple[str, str]:
    """Return column and name of the cost that the study minimises first, of those that all in question have.

    In question are those that beat the baseline, or where none does, all that were judged.
    """
    winners = summary["verdict"] == Verdict.GAIN
    rows = summary[winners if winners.any() else summary["standing"] == Standing.JUDGED]
    wanted = list(record.settings.objectives)
    found = [_COSTS[each] for each in [*wanted, Objective.LATENCY] if each in _COSTS]
    return next((cost for cost in found if rows[cost[0]].notna().all()), _COSTS[Objective.MACS])


def _rule(cost: str, min_gain: float) -> str:
    """Put the rule of `harness.analysis.recommendation` into words."""
    least = "lowest latency" if cost == "latency" else f"fewest {cost}"
    equal = " (latencies whose intervals overlap are equal: then the larger gain)" if cost == "latency" else ""
    return (
        f"Rule: of the candidates that beat the baseline (95 %, corrected for all judged) by {min_gain:g} mAP50-95 or "
        f"more, and are within {min_gain:g} of the largest gain, the one of the {least}{equal}; else the baseline."
    )


def _winner(record: StudyRecord, summary: pd.DataFrame, name: str, digits: int, rule: str) -> Pick:
    winners = summary[summary["verdict"] == Verdict.GAIN]
    row: Any = summary.loc[name]
    names = [str(each) for each in winners.index[winners["epochs"] == row["epochs"]]]
    apart = told_apart(record.trials, names)
    tied = tuple(other for other in names if other != name and frozenset({name, other}) not in apart)
    verb = "beats" if len(tied) == 1 else "beat"
    others = f" The noise does not tell it from {words.listed(tied)}, which {verb} the baseline too." if tied else ""
    known = record.architectures.get(name)
    blocks = f", with {known.describe()}" if known else ""
    only = " It is the only one that is shown to beat the baseline." if len(winners) == 1 else ""
    column, cost = cost_of(record, summary)
    price = words.times(row[column])
    paid = "" if price == words.DASH else f" for {price} the {cost}"
    cheaper = winners[winners.index.isin(tied) & (winners[column] < row[column])]
    or_else = ""
    if len(cheaper):
        other: Any = cheaper.loc[cheaper[column].idxmin()]
        gain = words.signed(other["gain_map50_95"], digits)
        or_else = f"; {other.name}, tied with it, has {gain} for {words.times(other[column])}"
    return Pick(
        architecture=name,
        headline=f"Take {name}: {words.signed(row['gain_map50_95'], digits)} mAP50-95{paid}{or_else}.",
        why=f"Its gain is {phrases.chosen_gain_of(row, summary, digits)}{blocks}.{only}{others}",
        rule=rule,
        tied=tied,
        picked=Picked(
            gain=float(row["gain_map50_95"]),
            ci95=(float(row["gain_low"]), float(row["gain_high"])),
            verdict=str(row["verdict"]),
            seeds=int(row["gain_seeds"]),
        ),
    )


def _baseline(record: StudyRecord, summary: pd.DataFrame, digits: int, rule: str) -> Pick:
    """Recommend the baseline; say what there is for those to whom it costs too much."""
    judged = summary[summary["standing"] == Standing.JUDGED]
    headline = "Keep the baseline." if len(judged) else "Keep the baseline for now."
    winners = summary[summary["verdict"] == Verdict.GAIN]
    if len(winners):
        headline = _too_little(winners[winners["epochs"] == winners["epochs"].max()], record.min_gain, digits)
    why = "" if len(judged) else "No candidate has been judged on repeated seeds."
    column, cost = cost_of(record, summary)
    highest = judged.get(f"{column}_high", judged[column])  # the whole interval of a latency, an exact count's value
    name = non_inferior(judged[highest < 1], column, record.min_gain)
    if name is not None:
        row: Any = judged.loc[name]
        loses = f"loses less than {record.min_gain:g} mAP50-95 (95 %)"
        found = "beats the baseline" if row["verdict"] == Verdict.GAIN else loses
        why = (
            f"If {cost} matters more: {name} is cheaper{phrases.price_of(row)}, and {found}: "
            f"its gain is {phrases.chosen_gain_of(row, summary, digits)}."
        )
    return Pick(architecture=BASELINE, headline=headline, why=why, rule=rule)


def _too_little(winners: pd.DataFrame, min_gain: float, digits: int) -> str:
    """Say whose gain is real, and too small to matter."""
    best = str(winners["gain_map50_95"].idxmax())
    gain = float(winners["gain_map50_95"].max())
    shown = next((more for more in range(digits, 9) if round(gain, more) < min_gain), 9)
    what = "beats it, but by" if len(winners) == 1 else "beats it most, but by"
    return (
        f"Keep the baseline: {best} {what} {words.signed(gain, shown)} mAP50-95, less than the {min_gain:g} that "
        "matter (--min-gain)."
    )


@dataclass(frozen=True, kw_only=True)
class Step:
    """From this cost on, as a ratio to the baseline's, until the next step, what is best, and what to say of it."""

    cost: float
    architecture: str
    said: str


@dataclass(frozen=True, kw_only=True)
class Budget:
    """One cost that can be limited: the page's slider only looks up a step; what it says is made here.

    `least` and `most` are the slider's ends, as ratios to the baseline's; `to_x` is the figure's x for a ratio of 1.
    """

    key: str
    name: str
    least: float
    most: float
    to_x: float
    steps: tuple[Step, ...]


# Decimals of a ratio in the tables: what reads 1.12× is within a budget of 1.12×.
SHOWN = {"latency": 2, "macs": 3}


def budget(study: Analysis, figure: FrontFigure) -> Budget | None:
    """Find what each budget of a figure's cost buys; None where there is nothing to choose between.

    The rule is that of the pick (`harness.analysis.recommendation`), among what can be paid; where it names nobody, the
    baseline; where that costs too much, a judged candidate that loses nothing that matters. Candidates of one seed and
    those beyond a bound of the search are never named.
    """
    column, name = _COSTS[Objective(figure.axis.key)]
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
        best, said = _best_within(study.record, inside, known[costs <= cost], (column, name), figure.digits)
        if said != steps[-1].said:
            steps.append(Step(cost=cost, architecture=best, said=said))
    return Budget(key=figure.axis.key, name=name, least=least, most=most, to_x=scale, steps=tuple(steps))


def _best_within(
    record: StudyRecord, inside: pd.DataFrame, rows: pd.DataFrame, limited: tuple[str, str], digits: int
) -> tuple[str, str]:
    """Return the best of what can be paid, and what to say of it: no interval, which its row in the table has."""
    least = f"{record.min_gain:g} mAP50-95"
    column, _ = cost_of(record, inside)
    ratio, cost = limited

    def figures(name: str) -> str:
        row: Any = inside.loc[name]
        gain = f"{words.signed(row['gain_map50_95'], digits)}{phrases.after(row, inside)}"
        return f"{name}, {gain} for {words.times(row[ratio])} the {cost}"

    name = recommended(rows, column, record.min_gain)
    if name is not None:
        return name, f"{figures(name)}, beats the baseline."
    if BASELINE in rows.index:
        return BASELINE, f"the baseline; no candidate within this limit beats it by {least} or more."
    name = non_inferior(rows, column, record.min_gain)
    if name is not None:
        return name, f"{figures(name)}, loses less than {least} to the baseline, which costs more."
    return "", f"nothing; no candidate within this limit is known to lose less than {least} to the baseline."
