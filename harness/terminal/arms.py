"""An ablation's arms as a table for the terminal: the report's own numbers, the forest as strips of text."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from harness.common.printable import printable
from harness.record.arms import Role
from harness.record.study import StudyRecord
from harness.report.page import Page
from harness.report.tables import Spark
from harness.terminal.front import STYLES, elastic


def strip(spark: Spark | None, width: int) -> str:
    """Draw `    │ ──━━●━━──  `: the mean, its 95 % interval (thick), the corrected one (thin), and zero.

    Args:
        spark: Positions from 0 to 100; None where nothing was measured: an empty strip.
        width: Letters.
    """
    letters = [" "] * width
    if spark is None:
        return "".join(letters)

    def at(position: float) -> int:
        return min(width - 1, int(position / 100 * width))

    letters[at(spark.zero)] = "│"
    for low, high, letter in ((spark.outer_low, spark.outer_high, "─"), (spark.low, spark.high, "━")):
        for place in range(at(low), at(high) + 1) if low is not None and high is not None else ():
            letters[place] = letter if place != at(spark.zero) else "┼"
    letters[at(spark.mid)] = "●"
    return "".join(letters)


_WIDTH = 19


def arms_table(record: StudyRecord, page: Page, key: str, *, whole: bool) -> Table:
    """Tabulate arms with their differences.

    Args:
        record: The ablation.
        page: What the report says of it (`ablation_content`).
        key: `gains` (arm minus baseline) or `worths` (model minus arm).
        whole: With strips (thick is the 95 % interval, thin the corrected one, │ zero), and long names going on in the
            next line; else without strips and a line a row.
    """
    [shown] = [each for section in page.sections for each in section.tables if each.key == key]
    several = sum(arm.role == Role.MODEL for arm in record.arms) > 1
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
