"""Who learnt under some seeds only is found; noise of one effect, large or small, is not taken for it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from harness.analysis.breakthrough import Breakthrough, breakthroughs
from harness.architecture import BASELINE


def trials(baseline: list[float], **gains: list[float]) -> pd.DataFrame:
    rows = [("baseline", seed, value, 0.0) for seed, value in enumerate(baseline)]
    rows += [(name, seed, 0.3 + gain, gain) for name, values in gains.items() for seed, gain in enumerate(values)]
    table = pd.DataFrame(rows, columns=["architecture", "seed", "map50_95", "gain_map50_95"])
    return table.assign(state="complete", epochs=3, architecture=table.architecture.replace("baseline", BASELINE))


def test_some_seeds_learnt_and_some_did_not() -> None:
    found = breakthroughs(trials([0.254, 0.256, 0.253], aaaa=[0.66, 0.0, -0.001], bbbb=[0.41, 0.46, 0.60]))
    assert found == (Breakthrough(architecture="aaaa", epochs=3, learnt=(0.66,), not_learnt=(-0.001, 0.0)),)


@pytest.mark.parametrize("gains", [[0.66], [0.04, 0.0], [0.10, 0.14, 0.19, 0.24], []])
def test_one_seed_a_small_gap_and_a_wide_scatter_are_none(gains: list[float]) -> None:
    assert breakthroughs(trials([0.25, 0.26], aaaa=gains)) == ()


def test_what_the_baseline_scatters_is_no_breakthrough() -> None:
    assert breakthroughs(trials([0.25, 0.29, 0.27], aaaa=[0.0, 0.2])) == ()
    assert len(breakthroughs(trials([0.250, 0.252, 0.251], aaaa=[0.0, 0.2]))) == 1


@pytest.mark.parametrize("sd", [0.001, 0.005, 0.02])
def test_of_a_thousand_studies_without_one_hardly_any_is_said_to_have_one(sd: float) -> None:
    """Planted truth: all seeds of all candidates have one effect, and noise as large as the baseline's."""
    rng = np.random.default_rng(0)
    false = 0
    for _ in range(1000):
        baseline = rng.normal(0.3, sd, 5)
        gains = {f"c{at}": list(rng.normal(0.01 * at, sd, 5) - rng.normal(0, sd, 5)) for at in range(3)}
        false += bool(breakthroughs(trials(list(baseline), **gains)))
    assert false <= 5


@pytest.mark.parametrize("learnt", [1, 2, 4])
def test_a_planted_breakthrough_is_found_nearly_always(learnt: int) -> None:
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(300):
        gains = [*rng.normal(0.6, 0.05, learnt), *rng.normal(0.0, 0.003, 5 - learnt)]
        found += [len(each.learnt) for each in breakthroughs(trials(list(rng.normal(0.25, 0.003, 5)), a=gains))] == [
            learnt
        ]
    assert found >= 285
