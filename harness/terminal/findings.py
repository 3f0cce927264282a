"""What a study has found so far, ready to be drawn: reckoned once a training, never while drawing."""

from __future__ import annotations

from dataclasses import dataclass

from rich.table import Table

from harness.record.study import StudyRecord
from harness.report.ablation import ablation_content
from harness.terminal.arms import arms_table
from harness.terminal.front import failures, front_table


@dataclass(frozen=True, kw_only=True)
class Findings:
    """A study at one moment.

    Attributes:
        table: The front; of an ablation the arms. A line a row.
        failures: A line a reason.
    """

    table: Table
    failures: tuple[str, ...]


def find(record: StudyRecord) -> Findings:
    """What there is to be shown of a study."""
    if record.ablation:
        table = arms_table(record, ablation_content(record).page, "gains", whole=False)
        return Findings(table=table, failures=failures(record))
    return Findings(table=front_table(record, wrap=False), failures=failures(record))
