"""Ultralytics' `results.csv`, a row an epoch: how far a training in other processes is, and how long it took."""

from __future__ import annotations

import csv
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from harness.training.training import Progress

_WATCH_SECONDS = 5.0


@contextmanager
def watched(results: Path, epochs: int, progress: Progress | None) -> Iterator[None]:
    """Tell the epochs that other processes finish."""
    over = threading.Event()

    def watch() -> None:
        told = -1
        while progress and not over.wait(_WATCH_SECONDS):
            done = len(rows_in(results))
            if done != told:
                progress(done, epochs)
                told = done

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def rows_in(results: Path) -> list[dict[str, str]]:
    """Read Ultralytics' table, a row an epoch."""
    if not results.is_file():
        return []
    with results.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def seconds_in(results: Path) -> float:
    """Sum the wall time of all attempts: each begins its clock anew."""
    times = [float(row["time"]) for row in rows_in(results)]
    return sum(now for now, then in pairwise([*times, 0.0]) if then < now)
