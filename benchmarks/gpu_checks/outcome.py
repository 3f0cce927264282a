"""What a check found, and how checks are run: one that breaks has failed, and the others go on."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One line of the table.

    Attributes:
        measured: What was found, with its unit.
        limit: What it had to keep to.
        passed: Whether it did.
        skipped: Why there was nothing to check, for the column of results.
    """

    measured: str
    limit: str
    passed: bool
    skipped: str = ""

    @property
    def verdict(self) -> str:
        """What the column of results says."""
        return self.skipped or ("pass" if self.passed else "FAIL")


Check = Callable[[], Outcome]
Found = Iterator[tuple[str, Outcome]]


def run_checks(checks: Mapping[str, Check]) -> Found:
    """Run every check in order; an exception is a failure with its message, its traceback on standard error."""
    for name, check in checks.items():
        try:
            outcome = check()
        except Exception as error:  # noqa: BLE001 - whatever breaks a check is the check's result
            traceback.print_exc()
            text = f"{type(error).__name__}: {error}".splitlines()[0]
            outcome = Outcome(measured=text, limit="no error", passed=False)
        yield name, outcome
