"""Small versions of the rows of `benchmarks/coverage.py`, of a size at which chance decides nothing."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from harness.analysis.moderation import moderated_noise
from harness.analysis.noise import SHARED_BASELINE


@pytest.fixture(scope="module")
def coverage() -> ModuleType:
    file = Path(__file__).parents[2] / "benchmarks" / "coverage.py"
    spec = importlib.util.spec_from_file_location("benchmark_coverage", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_an_interval_of_a_map_holds_the_truth(coverage: ModuleType) -> None:
    # of 3 seeds: pooled over architectures as if independent it is 82 %, of 60 studies 49 ± 3.0; Student's is 95 %
    rng = np.random.default_rng(0)
    tally = coverage.Tally()
    for _ in range(60):
        coverage.accuracy(rng, tally, count=10, seeds=3)
    assert tally.share("noisy") >= 0.9


def test_a_noisy_candidates_interval_holds_the_truth_and_the_others_are_no_wider(coverage: ModuleType) -> None:
    # one of 12 is 8 times as noisy: with the pooled noise its interval holds the truth in 50 to 55 % of studies
    rng = np.random.default_rng(0)
    held, quiet = [], []
    for _ in range(100):
        readings = rng.standard_normal((13, 4)) * np.array([8.0, *[1.0] * 12])[:, None]
        gains = readings[:12] - readings[12]
        frame = pd.DataFrame({"architecture": np.repeat(np.arange(12), 4), "seed": np.tile(np.arange(4), 12)}).astype(
            {"architecture": str}
        )
        found = moderated_noise(frame.assign(gain=gains.ravel()), "gain", SHARED_BASELINE)
        held.append(abs(gains[0].mean()) <= found.of("0").half_width(4))
        quiet.append(found.of("1").half_width(4) / found.pooled.half_width(4))
    assert np.mean(held) >= 0.85
    assert np.median(quiet) < 0.8


@pytest.mark.slow
def test_a_noisy_candidate_makes_no_false_gains(coverage: ModuleType) -> None:
    # with the pooled noise 9 to 14 % of these studies have one, of 60 five to eight
    tally = coverage.Tally()
    rng = np.random.default_rng(1)
    for _ in range(60):
        coverage.search(rng, tally, candidates=12, count=12, seeds=5, noisy={0: 8.0})
    assert tally.share("false") <= 0.05


def test_every_row_can_be_simulated(coverage: ModuleType) -> None:
    cells = coverage.cells()
    assert {"A1", "A6", "A8", "B1", "C"} <= {cell.finding for cell in cells}
    assert len({(cell.finding, cell.case) for cell in cells}) == len(cells)
    tally = coverage.simulate(cells[0], 2)
    assert len(coverage._row(tally, 2)) == 7
