"""The front as a table for the terminal: the report's own members, words and numbers.

Below it, what did not finish, by reason.
"""

from __future__ import annotations

import pandas as pd
from rich.table import Table
from rich.text import Text

from harness.analysis.analysis import analyse
from harness.analysis.statistics import Verdict
from harness.architecture import BASELINE
from harness.common.printable import printable
from harness.record.study import StudyRecord
from harness.report import tables


def failures(record: StudyRecord) -> tuple[str, ...]:
    """Return a line a reason, the most frequent first."""
    lines = []
    for row in tables.failures(record.trials).rows:
        state, reason, count, architectures = (cell.text for cell in row.cells)
        lines.append(printable(f"{count} × {state}: {reason} ({architectures})"))
    return tuple(lines)


# By verdict; colour repeats what a word says.
STYLES = {"gain": "green", "better": "green", "loss": "red", "worse": "red", "not judged": "dim", "unmeasured": "dim"}


def front_table(record: StudyRecord, *, wrap: bool) -> Table:
    """Tabulate the baseline and what is on a front, best gain first, with gain, interval and cost.

    Args:
        record: The study, however far it has come.
        wrap: Whether long descriptions go on in the next line; else they are cut, and a row is one line.
    """
    study = analyse(record)
    baseline = study.summary[(study.summary.index == BASELINE) & (study.summary["seeds"] > 0)]
    rows = study.front if BASELINE in study.front.index else pd.concat([baseline, study.front])
    shown = tables.candidates(study, rows, key="front", caption="")
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("front", "verdict", "gain mAP50-95 [95 %]", "latency", "MACs"):
        table.add_column(name, no_wrap=True, justify="right" if name in {"latency", "MACs"} else "left")
    table.add_column("blocks")
    for row in shown.rows:
        *cells, blocks = _cells(row)
        table.add_row(*cells, elastic(blocks, wrap=wrap))
    return table


def elastic(text: Text, *, wrap: bool) -> Text:
    """Let a cell take the room that others leave: a column of these must not be `no_wrap`, or all would shrink."""
    text.no_wrap, text.overflow = not wrap, "fold" if wrap else "ellipsis"
    return text


def _cells(row: tables.Row) -> list[Text]:
    """Format name, verdict, gain with its interval, costs and blocks; the baseline's accuracy in place of a gain."""
    architecture, verdict, gain, accuracy, latency, macs, *_ = row.cells
    said = verdict.text.removeprefix("one seed: ")
    gained = f"{accuracy.text} mAP50-95" if row.kind == Verdict.REFERENCE else " ".join((gain.text, *gain.details[:1]))
    cells = [architecture.text, said, gained, latency.text, macs.text, *architecture.details[:1]]
    return [Text(printable(cell), style=STYLES.get(said, "")) for cell in cells]
