"""Which architecture to take, under one stated rule; where nothing beats the baseline, the baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from harness.analysis.knee import knee
from harness.analysis.statistics import Standing, Verdict
from harness.analysis.ties import told_apart
from harness.architecture import BASELINE
from harness.report import phrases, words
from harness.settings import Objective

if TYPE_CHECKING:
    from harness.records import StudyRecord

_COSTS = {
    Objective.LATENCY: ("latency_ratio", "latency"),
    Objective.MACS: ("macs_ratio", "MACs"),
    Objective.PARAMS: ("params_ratio", "parameters"),
}
"""Objective to its column in a summary, as a ratio to the baseline, and its name."""


@dataclass(frozen=True, kw_only=True)
class Pick:
    """A recommendation.

    Attributes:
        architecture: Whom to take; the baseline where no candidate is told to be better.
        headline: What to do, in a few words.
        why: The figures behind it; empty where the answer's own headline says all.
        rule: By which rule it was picked; one sentence.
        tied: Candidates told better than the baseline that the noise does not tell from the pick.
    """

    architecture: str
    headline: str
    why: str
    rule: str
    tied: tuple[str, ...] = ()

    @property
    def is_candidate(self) -> bool:
        """Whether it is not the baseline."""
        return self.architecture != BASELINE


def pick(record: StudyRecord, summary: pd.DataFrame, digits: int) -> Pick | None:
    """What to take of a study.

    Args:
        record: The study.
        summary: Rows of its `summarise` that are within the bounds, the baseline among them.
        digits: Decimals of an mAP.

    Returns:
        None where the baseline has not been measured, or nothing has been compared with it.
    """
    compared = summary["standing"].isin([Standing.JUDGED, Standing.SCREENING])
    if summary.loc[BASELINE, "standing"] != Standing.BASELINE or not compared.any():
        return None
    winners = summary["verdict"] == Verdict.GAIN
    if winners.any():
        return _winner(record, summary, winners, digits)
    return _baseline(record, summary, digits)


def cost_of(record: StudyRecord, rows: pd.DataFrame) -> tuple[str, str]:
    """The column and name of the cost that the study minimises first, of those that all rows have; else MACs."""
    wanted = [Objective(each) for each in record.settings.get("objectives", ())]
    found = [_COSTS[each] for each in [*wanted, Objective.LATENCY] if each in _COSTS]
    return next((cost for cost in found if rows[cost[0]].notna().all()), _COSTS[Objective.MACS])


def _winner(record: StudyRecord, summary: pd.DataFrame, winners: pd.Series[bool], digits: int) -> Pick:
    """The knee of those who beat the baseline."""
    longest = winners & (summary["epochs"] == summary.loc[winners, "epochs"].max())
    names = [str(name) for name in summary.index[longest]]
    pool = summary.loc[[BASELINE, *names]]
    column, cost = cost_of(record, pool)
    found = knee(pool, "gain_map50_95", column, names)
    name = str(found) if found is not None else str(summary.loc[longest, "gain_map50_95"].idxmax())
    row: Any = summary.loc[name]
    apart = told_apart(record.trials, names)
    tied = tuple(other for other in names if other != name and frozenset({name, other}) not in apart)
    gain = phrases.gain_of(row, digits)
    verb = "beats" if len(tied) == 1 else "beat"
    others = f" The noise does not tell it from {words.listed(tied)}, which {verb} the baseline too." if tied else ""
    known = record.architectures.get(name)
    blocks = f", with {known.describe()}" if known else ""
    only = " It is the only one that is told to be better than the baseline." if len(names) == 1 else ""
    return Pick(
        architecture=name,
        headline=f"Take {name}.",
        why=f"It gains {gain} mAP50-95{phrases.price_of(row)}{blocks}.{only}{others}",
        rule=(
            "Rule: of the candidates told to be better than the baseline, the knee, which stands out most above the "
            f"straight line between the ends of the front of these and the baseline (gain against {cost}, each "
            "scaled to that front)."
        ),
        tied=tied,
    )


def _baseline(record: StudyRecord, summary: pd.DataFrame, digits: int) -> Pick:
    """The baseline; and what there is for those to whom it is too dear."""
    judged = summary[summary["standing"] == Standing.JUDGED]
    headline = "Keep the baseline." if len(judged) else "Keep the baseline for now."
    why = "" if len(judged) else "No candidate has been judged on repeated seeds."
    cheaper = _cheaper(record, judged)
    if cheaper is not None:
        (name, cost), row = cheaper, judged.loc[cheaper[0]]
        why = (
            f"If {cost} matters more: {name} is cheaper{phrases.price_of(row)}, and is not told to be worse; "
            f"its gain is {phrases.gain_of(row, digits)} mAP50-95."
        )
    return Pick(
        architecture=BASELINE,
        headline=headline,
        why=why,
        rule=(
            "Rule: a candidate is recommended only where repeated seeds tell it to be better than the baseline "
            "(95 %, corrected for the number of candidates)."
        ),
    )


def _cheaper(record: StudyRecord, judged: pd.DataFrame) -> tuple[str, str] | None:
    """The judged candidate of the highest gain among those surely cheaper than the baseline, none told worse."""
    if judged.empty:
        return None
    column, cost = cost_of(record, judged)
    highest = judged.get(f"{column}_high", judged[column])  # the whole interval of a latency, an exact count's value
    found = judged[(highest < 1) & (judged["verdict"] != Verdict.LOSS)]
    return (str(found["gain_map50_95"].idxmax()), cost) if len(found) else None
