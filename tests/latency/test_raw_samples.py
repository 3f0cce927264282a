from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from harness.latency.intervals import ratio_with_interval
from harness.latency.latency import Latency, interleaved_latency
from harness.latency.raw_samples import METADATA_KEY, to_frame, write_parquet
from harness.record.own_files import MADE_BY
from tests.latency.test_latency import FakeClock, FakeModel


@pytest.fixture(scope="module")
def latency() -> Latency:
    """Ten rounds of a machine that gets steadily slower."""
    clock = FakeClock(lambda now: 1 + 0.0001 * now)
    models = FakeModel("A", clock, 6), FakeModel("B", clock, 5)
    return interleaved_latency(*models, imgsz=8, clock=clock, min_rounds=10)


def test_every_pass_is_a_row_in_the_order_of_measuring(latency: Latency) -> None:
    frame = to_frame(latency)
    assert list(frame.columns) == ["round", "position", "model", "latency_ms"]
    assert len(frame) == 4 * latency.rounds == 40
    assert frame["round"].tolist() == [k for k in range(10) for _ in range(4)]
    assert frame["position"].tolist() == [0, 1, 2, 3] * 10
    rounds = frame["model"].to_numpy().reshape(10, 4).tolist()
    candidate_first = ["candidate", "baseline", "baseline", "candidate"]
    baseline_first = ["baseline", "candidate", "candidate", "baseline"]
    assert rounds == [candidate_first if first else baseline_first for first in latency.candidate_first]
    assert 0 < sum(latency.candidate_first) < 10
    per_unit = frame["latency_ms"] / frame["model"].map({"candidate": 6, "baseline": 5})
    assert per_unit.is_monotonic_increasing  # the clock drifts, so a pass in the wrong place would show


def test_the_ratio_can_be_made_again_from_the_rows(latency: Latency) -> None:
    by_model = {name: rows["latency_ms"].to_numpy().reshape(-1, 2) for name, rows in to_frame(latency).groupby("model")}
    rounds = np.hstack([by_model["candidate"], by_model["baseline"]])[:, [0, 2, 3, 1]]
    low, ratio, high = ratio_with_interval(rounds, seed=0, group=latency.rounds_a_group)
    assert (ratio, (low, high)) == (latency.ratio, latency.ratio_ci95)


def test_a_parquet_file_has_the_rows_and_the_conditions(latency: Latency, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down.parquet"
    write_parquet(latency, path, candidate_model="mine")
    pd.testing.assert_frame_equal(pd.read_parquet(path), to_frame(latency), check_dtype=False)
    described = json.loads(pq.read_schema(path).metadata[METADATA_KEY])
    assert described == {"about": MADE_BY, "candidate_model": "mine", **latency.to_dict()}
    assert [entry.name for entry in path.parent.iterdir()] == ["down.parquet"]


def test_a_file_that_could_not_be_written_leaves_the_old_one(
    latency: Latency, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "samples.parquet"
    path.write_text("old")

    def full(table: object, where: Path) -> None:
        where.write_text("half")
        raise OSError("No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OSError, match="No space"):
        write_parquet(latency, path)
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("samples.parquet", "old")]


def test_samples_survive_pickling_from_a_trials_process(latency: Latency) -> None:
    again = pickle.loads(pickle.dumps(latency))
    assert np.array_equal(to_frame(again)["latency_ms"], to_frame(latency)["latency_ms"])
