"""Who watches a search."""

from __future__ import annotations

import sys

from rich.console import Console

from harness.terminal.lines import Lines, Quiet
from harness.terminal.live import LiveView


def observer(title: str, *, quiet: bool, machine: bool) -> Lines | LiveView:
    """Choose the watcher that suits where the output goes; with `machine`, people's lines go to standard error."""
    console = Console(stderr=machine)
    if quiet:
        return Quiet(console)
    if console.is_terminal and sys.stdout.isatty() and not machine:
        return LiveView(console, title)
    return Lines(console)
