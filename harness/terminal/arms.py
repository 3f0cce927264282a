"""An ablation's arms as a table for the terminal: the report's own numbers, the forest as strips of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from harness.analysis.ablation import arms_of
from harness.arms import Role
from harness.printable import printable
from harness.terminal.front import STYLES, elastic
from harness.terminal.strip import strip

if TYPE_CHECKING:
    from harness.report.page import Page
    from harness.study_record import StudyRecord

_WIDTH = 19


def arms_table(record: StudyRecord, page: Page, key: str, *, whole: bool) -> Table:
    """Arms with their differences.

    Args:
        record: The ablation.
        page: What the report says of it (`ablation_content`).
        key: `gains` (arm minus baseline) or `worths` (model minus arm).
        whole: With strips (thick is the 95 % interval, thin the corrected one, │ zero), and long names going on in the
            next line; else without strips and a line a row.
    """
    [shown] = [each for section in page.sections for each in section.tables if each.key == key]
    several = sum(arm["role"] == Role.MODEL for arm in arms_of(record)) > 1
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("arm", min_width=10)
    for heading in ("verdict", "mAP50-95 [95 %]", *(["forest"] if whole else [])):
        table.add_column(heading, no_wrap=True)
    table.add_column("seeds", no_wrap=True, justify="right")
    for row in shown.rows:
        name, verdict, difference, forest, *_, seeds = row.cells
        of = name.details[0].partition("; ")[2] if several else ""  # arms of two models may have one name
        cells = [
            " ".join(filter(None, (name.text, of))),
            verdict.text,
            " ".join((difference.text, *difference.details[:1])),
            *([strip(forest.spark, _WIDTH)] if whole else []),
            seeds.text,
        ]
        arm, *others = (Text(printable(cell), style=STYLES.get(row.kind, "")) for cell in cells)
        table.add_row(elastic(arm, wrap=whole), *others)
    return table
