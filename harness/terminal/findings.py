"""What a study has found so far, ready to be drawn: reckoned once a training, never while drawing."""

from __future__ import annotations

from dataclasses import dataclass

from rich.table import Table

from harness.report import words
from harness.report.ablation import ablation_content
from harness.report.progress import growth
from harness.study_record import StudyRecord
from harness.terminal.arms import arms_table
from harness.terminal.failures import failures
from harness.terminal.front import front_table
from harness.terminal.sparkline import sparkline

_WIDTH = 24


@dataclass(frozen=True, kw_only=True)
class Findings:
    """A study at one moment.

    Attributes:
        table: The front; of an ablation the arms. A line a row.
        hypervolume: How it grew, as a line; empty where nothing can be told, and for an ablation.
        failures: A line a reason.
    """

    table: Table
    hypervolume: str
    failures: tuple[str, ...]


def find(record: StudyRecord) -> Findings:
    """What there is to be shown of a study."""
    if record.ablation:
        table = arms_table(record, ablation_content(record).page, "gains", whole=False)
        return Findings(table=table, hypervolume="", failures=failures(record))
    return Findings(
        table=front_table(record, wrap=False), hypervolume=hypervolume_line(record), failures=failures(record)
    )


def hypervolume_line(record: StudyRecord) -> str:
    """`hypervolume ▁▃█ 0.00123 mAP50-95 × latency after 12 trainings`; empty where there is none."""
    grown = growth(record)
    if grown is None or grown.steps.empty:
        return ""
    values = [float(value) for value in grown.steps["hypervolume"]]
    after = words.count(len(values), "training")
    return f"hypervolume {sparkline(values, _WIDTH)} {values[-1]:.3g} {grown.unit} after {after}"
