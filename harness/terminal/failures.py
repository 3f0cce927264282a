"""What did not finish, by reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.printable import printable
from harness.report import tables

if TYPE_CHECKING:
    from harness.records import StudyRecord


def failures(record: StudyRecord) -> tuple[str, ...]:
    """A line a reason, the most frequent first; what still runs has not failed."""
    ended = record.trials[record.trials["finished"] != ""]
    lines = []
    for row in tables.failures(ended).rows:
        state, reason, count, architectures = (cell.text for cell in row.cells)
        lines.append(printable(f"{count} × {state}: {reason} ({architectures})"))
    return tuple(lines)
