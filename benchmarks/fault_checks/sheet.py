"""The campaign's table: a line as each scenario ends, all of it at the end, whatever ends it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table

from benchmarks.fault_checks.scenario import Tally

COLUMNS = ("faults", "restarts", "checked", "lost", "doubled", "different", "left behind")
_STOPPED = "stopped"


class Sheet:
    """Rows and their sum.

    Args:
        title: Of the table.

    Attributes:
        passed: Whether all scenarios have, those that were skipped excepted.
    """

    def __init__(self, title: str) -> None:
        self.passed = True
        self._total = Tally()
        self._began = time.monotonic()
        self._console = Console(width=130)
        self._table = Table("scenario", *COLUMNS, "seconds", "result", title=title)

    def say(self, sentence: str) -> None:
        """A line now."""
        self._console.print(sentence, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def row(self, name: str) -> Iterator[Tally]:
        """A scenario's row, filled in while it is entered; said once it is left, by Ctrl-C too."""
        tally, began, result = Tally(), time.monotonic(), _STOPPED
        try:
            yield tally
            result = "skipped" if tally.skipped else "pass" if tally.passed else "FAIL"
        finally:
            self.passed &= result != _STOPPED and (tally.passed or bool(tally.skipped))
            seconds = f"{time.monotonic() - began:.0f}"
            counts = [f"{count} {column}" for column, count in zip(COLUMNS, tally.counts(), strict=True)]
            self.say(f"{name}: {result}; {', '.join(counts)}; {seconds} s")
            for sentence in [*filter(None, [tally.skipped]), *tally.problems, *tally.notes]:
                self.say(f"  {sentence}")
            self._table.add_row(name, *map(str, tally.counts()), seconds, result)
            self._total.add(tally)

    def print(self) -> None:
        """The whole table and its sum."""
        self._table.add_section()
        seconds = f"{time.monotonic() - self._began:.0f}"
        self._table.add_row("in all", *map(str, self._total.counts()), seconds, "pass" if self.passed else "FAIL")
        self._console.print(self._table)
