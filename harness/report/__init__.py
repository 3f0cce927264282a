"""A study as a report that people read: one record, several renderers."""

from __future__ import annotations

from harness.report.write import closing, write_report

__all__ = ["closing", "write_report"]
