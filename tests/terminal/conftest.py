"""Time that stands still."""

from __future__ import annotations

import time

import pytest


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time stands at `clock[0]`; by the clock on the wall it is then Thursday 2026-01-01, 14:00."""
    now = [1000.0]
    noon = time.mktime((2026, 1, 1, 14, 0, 0, 0, 0, -1))
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.time", lambda: noon + now[0] - 1000)
    localtime = time.localtime
    monkeypatch.setattr(
        "time.localtime", lambda seconds=None: localtime(noon + now[0] - 1000 if seconds is None else seconds)
    )
    return now
