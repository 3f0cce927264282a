"""Ultralytics' table of epochs, read beside a training and after it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from harness.training import epoch_table
from harness.training.epoch_table import rows_in, seconds_in, watched


def test_the_time_of_all_attempts_counts(tmp_path: Path) -> None:
    table = tmp_path / "results.csv"
    assert seconds_in(table) == 0.0
    table.write_text("epoch,time\n1,10\n2,21\n3,9\n4,20\n5,31\n")  # the second attempt began after epoch 2
    assert seconds_in(table) == 21 + 31


def test_epochs_are_told_as_they_come_each_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epoch_table, "_WATCH_SECONDS", 0.001)
    table, told, second = tmp_path / "results.csv", [], threading.Event()

    def tell(done: int, total: int) -> None:
        told.append((done, total))
        if done == 2:
            second.set()

    with watched(table, 3, tell):
        table.write_text("epoch,time\n1,10\n2,21\n")
        assert second.wait(10)
    assert told[-1] == (2, 3)
    assert len(told) == len(set(told))
    with watched(table, 3, None):  # nobody to tell
        pass
    assert [row["epoch"] for row in rows_in(table)] == ["1", "2"]
