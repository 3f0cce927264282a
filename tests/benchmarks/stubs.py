"""Checks that a child of `benchmarks.gpu` runs in place of those that need a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.gpu_checks.outcome import Outcome

PASSED = Outcome(measured="0.5 [0.4, 0.6]", limit="≤ 1", passed=True)


def all_pass(names: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
    """Pass every check."""
    for name in names:
        yield name, PASSED


def hang_after_one(names: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
    """Pass the first, then hang as an engine's build may, with a program begun whose number lies in the second's name.

    Args:
        names: A name, and the path of the file that takes the number.
    """
    yield names[0], PASSED
    begun = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(names[1]).write_text(str(begun.pid))
    time.sleep(600)


def break_after_one(names: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
    """Pass the first, then end as a driver's crash does."""
    yield names[0], PASSED
    os._exit(3)
