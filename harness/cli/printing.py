"""What the command line prints: one JSON object for scripts, plain tables for people."""

from __future__ import annotations

import json
from typing import Any


def print_json(data: Any) -> None:
    """Print an object or a list, and nothing else."""
    print(json.dumps(data, indent=2))


def print_table(header: list[str], rows: list[list[Any]]) -> None:
    """Print a table without a frame; its cells are plain text, whoever wrote it."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*header, box=None)
    for row in rows:
        table.add_row(*map(str, row))
    Console(markup=False).print(table)


def counts(values: list[int]) -> str:
    """Format `[64, 64]` as `2 × 64`."""
    return ", ".join(f"{values.count(value)} × {value}" for value in sorted(set(values))) or "-"
