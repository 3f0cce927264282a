"""What did not finish, by reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.printable import printable
from harness.report import tables

if TYPE_CHECKING:
    from harness.records import StudyRecord


def failures(record: StudyRecord) -> tuple[str, ...]:
    """Return a line a reason, the most frequent first."""
    lines = []
    for row in tables.failures(record.trials).rows:
        state, reason, count, architectures = (cell.text for cell in row.cells)
        lines.append(printable(f"{count} × {state}: {reason} ({architectures})"))
    return tuple(lines)
