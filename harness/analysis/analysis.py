"""A search's analysis: what is statistical in its report, computed once; every section is made of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from harness.analysis.breakthrough import Breakthrough, breakthroughs
from harness.analysis.chosen import corrected_for_choice
from harness.analysis.fronts import within
from harness.analysis.noise import Noise
from harness.analysis.statistics import Standing, front, gain_noise, summarise
from harness.architecture import BASELINE
from harness.record.study import StudyRecord

# Name of a front to the cost that is minimised there; gain is maximised.
FRONTS = {"latency": "latency_ratio", "macs": "macs"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Analysis:
    """What a search has found, however far it has come.

    Attributes:
        record: The study.
        summary: A row an architecture (`summarise`), with `front_latency` and `front_macs`: whether nothing within
            the bounds that was trained for as many epochs beats it in gain and in that cost.
        inside: Its rows within the bounds, and those that are not measured; their intervals also hold for the one
            that is chosen by its observation.
        noise: Of one seed's gain.
    """

    record: StudyRecord
    summary: pd.DataFrame
    inside: pd.DataFrame
    noise: Noise

    @property
    def digits(self) -> int:
        """Decimals of an mAP that the noise makes meaningful."""
        return self.noise.digits

    @property
    def front(self) -> pd.DataFrame:
        """The rows on a front, the largest gain first."""
        rows = self.summary[self.summary[[f"front_{name}" for name in FRONTS]].any(axis=1)]
        return rows.sort_values("gain_map50_95", ascending=False, kind="stable")

    @cached_property
    def breakthroughs(self) -> tuple[Breakthrough, ...]:
        """Architectures that learnt under some seeds only."""
        return tuple(breakthroughs(self.record.trials))


def analyse(record: StudyRecord) -> Analysis:
    """Analyse a search."""
    summary = summarise(record.trials, record.look)
    allowed = within(summary, record.constraints)
    for name, cost in FRONTS.items():
        summary[f"front_{name}"] = _on_front(summary[allowed], cost).reindex(summary.index, fill_value=False)
    kept = summary["standing"].isin([Standing.BASELINE, Standing.UNMEASURED])
    return Analysis(
        record=record,
        summary=summary,
        inside=corrected_for_choice(summary[allowed | kept]),
        noise=gain_noise(record.trials),
    )


def _on_front(rows: pd.DataFrame, cost: str) -> pd.Series[bool]:
    """Return which rows nothing of their kind beats: gains after different numbers of epochs are not compared."""
    own = rows["epochs"].fillna(0)
    found = pd.Series(False, index=rows.index)
    for epochs in own.unique():
        kind = rows[(own == epochs) | (rows.index == BASELINE)]
        members = front(kind, ("gain_map50_95", cost)).reindex(rows.index, fill_value=False)
        found |= members & (own == epochs)
    return found
