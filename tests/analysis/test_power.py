from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.analysis.power import power_of, seeds_needed


@pytest.mark.parametrize(("effect", "seeds"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_the_seeds_are_those_of_the_published_tables(effect: float, seeds: int) -> None:
    # Paired t-test at 5 %, power 80 %, Cohen's small, medium and large effect: what G*Power and R's pwr give.
    assert seeds_needed(sd=1.0, effect=effect) == seeds


@pytest.mark.parametrize("seeds", [3, 6])
def test_the_power_is_the_share_of_simulated_studies_that_see_the_effect(seeds: int) -> None:
    gains = np.random.default_rng(0).normal(1.0, 0.7, size=(20_000, seeds))
    seen = (stats.ttest_1samp(gains, 0, axis=1).pvalue < 0.05) & (gains.mean(axis=1) > 0)
    assert power_of(seeds, sd=0.7, effect=1.0) == pytest.approx(seen.mean(), abs=0.01)


@pytest.mark.parametrize("df", [None, 4.0, 20.0])
def test_one_seed_fewer_would_not_do(df: float | None) -> None:
    seeds = seeds_needed(0.01, 0.008, df=df)
    assert seeds is not None
    assert power_of(seeds, 0.01, 0.008, df) >= 0.8 > power_of(seeds - 1, 0.01, 0.008, df)


def test_with_many_degrees_of_freedom_the_seeds_are_those_of_the_normal_formula() -> None:
    # n = ((1.960 + 0.842) · sd / effect)² = 31.4 for sd = 2 · effect
    assert seeds_needed(0.02, 0.01, df=100_000) == math.ceil((2 * (1.95996 + 0.84162)) ** 2)


def test_a_pooled_deviation_may_need_a_single_seed_and_an_own_one_never() -> None:
    assert seeds_needed(0.001, 0.01, df=8) == 1
    assert seeds_needed(0.001, 1.0) == 2


@pytest.mark.parametrize(("sd", "effect", "df"), [(math.nan, 0.01, 4), (0.0, 0.01, 4), (0.01, 0.0, 4), (0.01, 0.01, 0)])
def test_without_noise_or_effect_there_is_no_number(sd: float, effect: float, df: float) -> None:
    assert seeds_needed(sd, effect, df=df) is None


def test_an_invisible_effect_has_no_number() -> None:
    assert seeds_needed(0.1, 1e-6) is None


@settings(deadline=None, max_examples=15)
@given(ratio=st.floats(0.2, 3), scale=st.floats(1e-3, 1e3))
def test_only_the_effect_in_standard_deviations_counts(ratio: float, scale: float) -> None:
    assert power_of(5, scale, ratio * scale) == pytest.approx(power_of(5, 1.0, ratio))
    assert power_of(6, 1.0, ratio) > power_of(5, 1.0, ratio)


def test_the_most_seeds_are_tried_before_giving_up() -> None:
    needed = seeds_needed(1.0, 0.03)
    assert needed is not None and needed > 8192
    assert seeds_needed(1.0, 0.03, most=needed) == needed
    assert seeds_needed(1.0, 0.03, most=needed - 1) is None
