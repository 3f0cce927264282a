from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.latency.latency import Latency, interleaved_latency
from harness.latency.raw_samples import METADATA_KEY, write_parquet
from harness.report import evidence as rounds
from harness.report.evidence import read_rounds
from tests.latency.test_latency import FakeClock, FakeModel


@pytest.fixture(scope="module")
def latency() -> Latency:
    """A candidate a fifth slower than its baseline, on a machine that gets steadily slower."""
    clock = FakeClock(lambda now: 1 + 0.0001 * now)
    models = FakeModel("A", clock, 6), FakeModel("B", clock, 5)
    return interleaved_latency(*models, imgsz=8, clock=clock, min_rounds=10)


def test_rounds_are_read_as_they_were_measured(latency: Latency, tmp_path: Path) -> None:
    write_parquet(latency, tmp_path / "3fa9c1d2.parquet")
    found = read_rounds(tmp_path, "3fa9c1d2")
    assert found is not None
    assert (found.ratio, (found.low, found.high)) == (latency.ratio, latency.ratio_ci95)
    assert found.ratios == pytest.approx(np.full(latency.rounds, 1.2), abs=1e-3)
    candidate, baseline = (each.samples.reshape(-1, 2).sum(axis=1) for each in (latency.candidate, latency.baseline))
    assert found.ratios == pytest.approx(candidate / baseline)


def test_the_figures_lie_where_they_are_written() -> None:
    assert rounds.METADATA_KEY == METADATA_KEY


def test_what_is_no_measurement_is_none(latency: Latency, tmp_path: Path) -> None:
    write_parquet(latency, tmp_path / "whole.parquet")
    (tmp_path / "torn.parquet").write_bytes((tmp_path / "whole.parquet").read_bytes()[:2000])
    (tmp_path / "text.parquet").write_text("no table")
    pd.DataFrame({"round": [0], "position": [0], "latency_ms": [1.0]}).to_parquet(tmp_path / "other.parquet")
    for name in ("absent", "torn", "text", "other", "../whole", ""):
        assert read_rounds(tmp_path, name) is None
    assert read_rounds(tmp_path / "nowhere", "whole") is None
    assert read_rounds(tmp_path, "whole") is not None
