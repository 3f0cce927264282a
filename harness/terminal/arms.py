"""An ablation's arms as a table for the terminal: the report's own numbers, the forest as strips of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from harness.printable import printable
from harness.terminal.front import STYLES, elastic
from harness.terminal.strip import strip

if TYPE_CHECKING:
    from harness.report.page import Page

_WIDTH = 19


def arms_table(page: Page, key: str, *, wrap: bool) -> Table:
    """Arms with their differences; in the strips thick is the 95 % interval, thin the corrected one, │ zero.

    Args:
        page: What the report says of the ablation (`ablation_content`).
        key: `gains` (arm minus baseline) or `worths` (model minus arm).
        wrap: Whether long names go on in the next line; else they are cut, and a row is one line.
    """
    [shown] = [each for section in page.sections for each in section.tables if each.key == key]
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("arm", min_width=10)
    table.add_column("verdict", no_wrap=True)
    table.add_column("mAP50-95 [95 %]", no_wrap=True)
    table.add_column("forest", no_wrap=True)
    table.add_column("seeds", no_wrap=True, justify="right")
    for row in shown.rows:
        name, verdict, difference, forest, *_, seeds = row.cells
        cells = (
            name.text,
            verdict.text,
            " ".join((difference.text, *difference.details[:1])),
            strip(forest.spark, _WIDTH),
            seeds.text,
        )
        arm, *others = (Text(printable(cell), style=STYLES.get(row.kind, "")) for cell in cells)
        table.add_row(elastic(arm, wrap=wrap), *others)
    return table
