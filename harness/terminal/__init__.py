"""A study on the terminal: while it runs, and afterwards."""

from __future__ import annotations

from harness.terminal.watchers import observer

__all__ = ["observer"]
