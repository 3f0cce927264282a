from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.analysis.power import (
    MOST,
    NoNumber,
    df_of_a_seed,
    from_table,
    growing_df,
    in_table,
    power_of,
    sample_size,
    seeds_needed,
)


@pytest.mark.parametrize(("effect", "seeds"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_the_seeds_are_those_of_the_published_tables(effect: float, seeds: int) -> None:
    # Paired t-test at 5 %, power 80 %, Cohen's small, medium and large effect: what G*Power and R's pwr give.
    assert seeds_needed(sd=1.0, effect=effect) == seeds


@pytest.mark.parametrize("seeds", [3, 6])
def test_the_power_is_the_share_of_simulated_studies_that_see_the_effect(seeds: int) -> None:
    gains = np.random.default_rng(0).normal(1.0, 0.7, size=(20_000, seeds))
    seen = (stats.ttest_1samp(gains, 0, axis=1).pvalue < 0.05) & (gains.mean(axis=1) > 0)
    assert power_of(seeds, sd=0.7, effect=1.0) == pytest.approx(seen.mean(), abs=0.01)


@pytest.mark.parametrize("effect", [0.3, 0.8, 1.5, 3.0])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 20])
@pytest.mark.parametrize("a_seed", [1.0, 2.0, 4.0])
def test_one_seed_fewer_would_not_do(effect: float, alpha: float, a_seed: float) -> None:
    freedom = growing_df(a_seed, 2, a_seed)
    seeds = seeds_needed(1.0, effect, freedom, alpha)
    assert isinstance(seeds, int)
    powers = [power_of(number, 1.0, effect, freedom(number), alpha) for number in (seeds - 1, seeds)]
    assert powers[0] < 0.8 <= powers[1]


def test_seeds_bring_degrees_of_freedom_with_them() -> None:
    """Three finalists with two seeds have two degrees of freedom; with nine seeds they will have sixteen."""
    freedom = growing_df(2.0, 2, df_of_a_seed(3))
    assert freedom(9) == pytest.approx(16)
    assert seeds_needed(1.0, 1.0, freedom) == 9
    assert seeds_needed(1.0, 1.0, lambda _: 2.0) == 32, "what it took to hold the test at two for ever"


def test_a_seed_of_one_architecture_is_one_degree_of_freedom_and_of_many_correlated_ones_less_than_as_many() -> None:
    assert df_of_a_seed(1) == 1
    assert df_of_a_seed(5, 0.0) == 5
    assert df_of_a_seed(3) == pytest.approx(3 / (1 + 2 / 4))
    assert df_of_a_seed(0) == 0


def test_with_many_degrees_of_freedom_the_seeds_are_those_of_the_normal_formula() -> None:
    # n = ((1.960 + 0.842) · sd / effect)² = 31.4 for sd = 2 · effect
    assert seeds_needed(0.02, 0.01, lambda _: 100_000.0) == math.ceil((2 * (1.95996 + 0.84162)) ** 2)


def test_a_pooled_deviation_may_need_a_single_seed_and_an_own_one_never() -> None:
    assert seeds_needed(0.001, 0.01, lambda _: 8.0) == 1
    assert seeds_needed(0.001, 1.0) == 2


@pytest.mark.parametrize(("sd", "effect"), [(math.nan, 0.01), (0.0, 0.01), (0.01, math.nan)])
def test_without_noise_or_effect_the_number_is_unknown_and_not_too_large(sd: float, effect: float) -> None:
    assert seeds_needed(sd, effect) is NoNumber.UNKNOWN
    assert sample_size(sd, 4.0, effect, lambda _: 4.0).seeds is NoNumber.UNKNOWN


def test_an_invisible_effect_takes_too_many() -> None:
    assert seeds_needed(0.1, 1e-6) is NoNumber.TOO_MANY
    assert seeds_needed(0.1, 0.0) is NoNumber.TOO_MANY


def test_an_enormous_effect_takes_two_seeds_of_its_own() -> None:
    assert seeds_needed(2e-9, 1.0) == 2


@pytest.mark.parametrize("shift", [10.0, 9_000.0, 11_000.0])
def test_far_out_the_power_goes_on_as_it_was(shift: float) -> None:
    assert power_of(1, 1.0, shift, 1.0) == pytest.approx(float(stats.chi2.cdf((shift / 12.706) ** 2, 1)), abs=2e-3)


def test_a_table_tells_unknown_from_too_many() -> None:
    for seeds in (12, NoNumber.TOO_MANY, NoNumber.UNKNOWN):
        assert from_table(in_table(seeds)) == seeds
    assert math.isinf(in_table(NoNumber.TOO_MANY)) and math.isnan(in_table(NoNumber.UNKNOWN))


# --- What an estimated sd makes of the promise ------------------------------------------------------


@pytest.mark.parametrize(("df", "worst"), [(2.0, 0.66), (4.0, 0.72), (40.0, 0.81)])
def test_the_fewer_seeds_the_noise_is_known_from_the_less_the_named_number_holds(df: float, worst: float) -> None:
    named = sample_size(1.0, df, 0.8, growing_df(df, 1 + df / 2, 2.0))
    assert 0.5 < named.expected_power < worst
    assert isinstance(named.seeds, int) and isinstance(named.cautious, int) and named.cautious > named.seeds


def test_the_expected_power_is_the_mean_over_simulated_true_deviations() -> None:
    rng = np.random.default_rng(0)
    freedom = growing_df(4.0, 3, 2.0)
    named = sample_size(1.0, 4.0, 0.8, freedom)
    assert isinstance(named.seeds, int)
    seeds = named.seeds
    true = np.sqrt(4.0 / rng.chisquare(4.0, 4_000))
    means = rng.normal(0.8, true / math.sqrt(seeds))
    sds = true * np.sqrt(rng.chisquare(freedom(seeds), len(true)) / freedom(seeds))
    seen = means / (sds / math.sqrt(seeds)) > stats.t.ppf(0.975, freedom(seeds))
    assert named.expected_power == pytest.approx(seen.mean(), abs=0.025)


@settings(deadline=None, max_examples=15)
@given(ratio=st.floats(0.2, 3), scale=st.floats(1e-3, 1e3))
def test_only_the_effect_in_standard_deviations_counts(ratio: float, scale: float) -> None:
    assert power_of(5, scale, ratio * scale) == pytest.approx(power_of(5, 1.0, ratio))
    assert power_of(6, 1.0, ratio) > power_of(5, 1.0, ratio)


def test_the_most_seeds_are_tried_before_giving_up() -> None:
    needed = seeds_needed(1.0, 0.0285)
    assert isinstance(needed, int) and 8192 < needed <= MOST
    assert seeds_needed(1.0, 0.0285 * math.sqrt(needed / (MOST + 2))) is NoNumber.TOO_MANY
