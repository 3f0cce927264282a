"""A study as a report that people read: one record, several renderers."""

from __future__ import annotations

from harness.report.write import write_report

__all__ = ["write_report"]
