"""The numbers of seeds that reports name keep their promise, end to end through what judges real studies."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

STUDIES = 50


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    file = Path(__file__).parents[2] / "benchmarks" / "seeds_named.py"
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("cell", "compared"), [("known_search", 3), ("known_ablation", 4)])
def test_the_verdict_sees_a_gain_as_often_as_the_named_seeds_promise(
    benchmark: ModuleType, cell: str, compared: int
) -> None:
    kept = getattr(benchmark, cell)(np.random.default_rng(0), STUDIES, compared, 1.5)
    error = math.sqrt(0.8 * 0.2 / STUDIES)
    assert 0.8 <= kept.said < 0.95, "more seeds than it takes"
    assert kept.power == pytest.approx(kept.said, abs=3 * error)
