"""What did not finish, by reason."""

from __future__ import annotations

from harness.printable import printable
from harness.report import tables
from harness.study_record import StudyRecord


def failures(record: StudyRecord) -> tuple[str, ...]:
    """Return a line a reason, the most frequent first."""
    lines = []
    for row in tables.failures(record.trials).rows:
        state, reason, count, architectures = (cell.text for cell in row.cells)
        lines.append(printable(f"{count} × {state}: {reason} ({architectures})"))
    return tuple(lines)
