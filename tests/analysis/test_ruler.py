"""The next size of a family as one more candidate, with a planted truth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.analysis.ruler import ruler_row
from harness.analysis.statistics import summarise
from harness.architecture import BASELINE
from harness.record.study import StudyRecord
from tests.report import example


def larger(readings: dict[int, float], **values: Any) -> StudyRecord:
    """The study of yolov5s alone: its mAP50-95 by seed."""
    rows = [
        example.row(BASELINE, seed, map50_95=reading, gain_map50_95=0.0, latency_ratio=1.9, macs=360e6, **values)
        for seed, reading in readings.items()
    ]
    found = example.record(example.frame(rows))
    return replace(found, settings=found.settings | {"base": "yolov5s"})


def test_its_gain_is_over_the_searchs_baseline_of_the_same_seeds_and_nobody_elses_changes() -> None:
    search = example.winning()
    found = ruler_row(search, larger({1: 0.541, 2: 0.528, 3: 0.545}))
    assert found is not None
    gains = [0.541 - 0.501, 0.528 - 0.492, 0.545 - 0.500]
    assert found["gain_map50_95"] == pytest.approx(np.mean(gains))
    assert found["gain_low"] < min(gains) and found["macs_ratio"] == pytest.approx(3.6)
    assert found["latency_ratio"] == 1.9
    assert "yolov5s" not in summarise(search.trials).index


def test_other_lengths_and_single_seeds_are_no_scale() -> None:
    search = example.winning()
    assert ruler_row(search, larger({1: 0.54})) is None
    long = larger({1: 0.54, 2: 0.55})
    assert ruler_row(search, replace(long, trials=long.trials.assign(seed=[7, 8]))) is None  # of no baseline's seeds
    assert ruler_row(search, replace(long, settings=long.settings | {"epochs": 12})) is None


@pytest.mark.parametrize("sd", [0.003, 0.009])
def test_its_interval_holds_the_planted_gain_about_as_often_as_it_says(sd: float) -> None:
    """`sd`: of the larger base's readings; candidates have 0.003."""
    rng, held, studies = np.random.default_rng(0), 0, 120
    plain = example.frame(
        example.baseline(0, 1, 2, 3), *(example.candidate(name, [0.0] * 4) for name in ("a1", "b2", "c3"))
    )
    for _ in range(studies):
        noise = pd.Series(rng.normal(0, 0.003, len(plain)))
        trials = plain.assign(map50_95=plain["map50_95"] + noise)
        base = trials[trials["architecture"] == BASELINE].set_index("seed")["map50_95"]
        trials["gain_map50_95"] = trials["map50_95"] - trials["seed"].map(base)
        search = example.record(trials)
        truth = {seed: example.BASELINE_MAP[seed] + 0.040 + rng.normal(0, sd) for seed in (1, 2, 3)}
        found = ruler_row(search, larger(truth))
        assert found is not None
        held += found["gain_low"] <= 0.040 <= found["gain_high"]
    assert 0.92 <= held / studies <= 1.0
