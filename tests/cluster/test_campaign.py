"""The fault campaign itself, for one scenario: `nox -s faults` runs all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import faults
from benchmarks.fault_checks import ALL
from benchmarks.fault_checks.ground import Ground


@pytest.mark.slow
def test_a_small_campaign_finds_nothing_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ground = Ground.make(tmp_path, "a", **{"base-epochs": "24", "rungs": "1x1"})
    assert faults.campaign([ALL["kill -9 of the search"]], ground, 1, seed=0)
    said = capsys.readouterr().out
    assert "kill -9 of the search: pass" in said
