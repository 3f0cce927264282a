"""A study on the terminal: what a report says first, without its files, and what the live view shows of it."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from harness.analysis.analysis import analyse
from harness.common.printable import printable
from harness.record.study import StudyRecord
from harness.report.ablation import ablation_content
from harness.report.answer import answer
from harness.terminal.arms import arms_table
from harness.terminal.front import failures, front_table


def print_answer(record: StudyRecord, console: Console) -> None:
    """Print what a study says: the answer, then the front, or of an ablation its differences.

    Args:
        record: The study, however far it has come.
        console: Where to; it knows width and colours (none in a pipe, or with NO_COLOR).
    """
    parts = _of_ablation(record) if record.ablation else _of_search(record)
    for part in parts:
        console.print(part, highlight=False)
    for line in failures(record):
        console.print(Text(line, style="red"))


def _of_search(record: StudyRecord) -> list[RenderableType]:
    said = answer(analyse(record))
    sentences = [Text(printable(each)) for each in (said.lead, *said.remarks) if each]
    headline = Text(printable(said.opening), style="bold")
    return [headline, *sentences, Text(""), front_table(record, wrap=True)]


def _of_ablation(record: StudyRecord) -> list[RenderableType]:
    page = ablation_content(record).page
    return [
        Text(printable(page.headline), style="bold"),
        Text(printable(page.lead)),
        Text("\nEvery arm minus the baseline (━ 95 % interval, ─ corrected for all rows, │ zero)"),
        arms_table(record, page, "gains", whole=True),
        Text("\nThe model minus each arm: what each part is worth"),
        arms_table(record, page, "worths", whole=True),
    ]


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
    """Collect what there is to be shown of a study."""
    if record.ablation:
        table = arms_table(record, ablation_content(record).page, "gains", whole=False)
        return Findings(table=table, failures=failures(record))
    return Findings(table=front_table(record, wrap=False), failures=failures(record))
