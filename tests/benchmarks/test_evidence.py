"""The evidence page says what its table says, and the luck of many draws is that of the normal distribution."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def evidence() -> ModuleType:
    spec = importlib.util.spec_from_file_location("evidence", ROOT / "benchmarks" / "evidence.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_states_the_means_of_its_table(evidence: ModuleType) -> None:
    page = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    rows = evidence.insertions()
    assert len(rows) == 167 and rows.model.nunique() == 12
    signs = str.maketrans({"-": "\u2212"})
    for place, found in evidence.by_place(rows).iterrows():
        (line,) = [each for each in page.splitlines() if each.startswith((f"| {place} (FPN) |", f"| {place} |"))]
        stated = [f"{found['mean']:+.2f}", f"{found['mean_of_baselines']:+.2f} ± {found['se']:.2f}"]
        assert all(each.translate(signs) in line for each in stated), (place, stated, line)
        assert f"| {found['size']:.0f} |" in line and f"| {found['std']:.2f} |" in line


def test_the_luckiest_of_independent_cells_is_the_expected_maximum(evidence: ModuleType) -> None:
    alone = pd.DataFrame({"model": [str(at) for at in range(56)]})
    mean, low, high = evidence.luckiest(alone, 0.2, gain=1.0)
    draws = np.random.default_rng(1).standard_normal((20_000, 56)).max(axis=1).mean()
    assert mean == pytest.approx(1.0 + 0.2 * np.sqrt(2) * draws, abs=0.01) and low < mean < high


def test_a_shift_between_two_trainings_is_no_scatter(evidence: ModuleType) -> None:
    cells = pd.DataFrame({"map_with": [70.0, 71.0, 72.0], "map_with_again": [70.5, 71.5, 72.5]})
    assert evidence.sd_of_one_training(cells) == pytest.approx(0)
    cells["map_with_again"] += [0.2, 0.0, -0.2]
    assert evidence.sd_of_one_training(cells) == pytest.approx(0.2 / np.sqrt(2))
