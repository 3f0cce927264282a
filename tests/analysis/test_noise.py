from __future__ import annotations

import math
import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.analysis.noise import SHARED_BASELINE, Noise, holm, pooled_noise


def noise(sd: float = 0.01, df: int = 8) -> Noise:
    return Noise(sd=sd, low=sd / 2, high=sd * 2, df=df, architectures=3)


def readings(**values: list[float]) -> pd.DataFrame:
    rows = [(name, seed, value) for name, each in values.items() for seed, value in enumerate(each)]
    return pd.DataFrame(rows, columns=["architecture", "seed", "gain"])


def test_the_pooled_deviation_weights_each_architecture_by_its_degrees_of_freedom() -> None:
    # a: mean 2, squares 1 + 0 + 1 = 2, df 2; b: mean 5, squares 1 + 1 = 2, df 1; c: one reading, df 0
    pooled = pooled_noise(readings(a=[1.0, 2.0, 3.0], b=[4.0, 6.0], c=[100.0]), "gain")
    assert pooled.sd == pytest.approx(math.sqrt((2 + 2) / (2 + 1)))
    assert (pooled.df, pooled.architectures) == (3, 2)


def test_the_interval_of_the_deviation_is_that_of_chi_squared() -> None:
    # Chi-squared with 2 degrees of freedom is exponential: its quantiles are −2 ln(1 − q).
    pooled = pooled_noise(readings(a=[1.0, 2.0, 3.0]), "gain")
    assert pooled.low == pytest.approx(math.sqrt(2 / (-2 * math.log(0.025))))
    assert pooled.high == pytest.approx(math.sqrt(2 / (-2 * math.log(0.975))))


def test_nan_readings_count_for_nothing() -> None:
    with_nan = pooled_noise(readings(a=[1.0, math.nan, 3.0], b=[2.0, math.nan]), "gain")
    assert with_nan.sd == pytest.approx(math.sqrt(2))
    assert (with_nan.df, with_nan.architectures) == (1, 1)


@pytest.mark.parametrize("values", [{}, {"a": [1.0]}, {"a": [1.0], "b": [2.0]}])
def test_without_repeated_seeds_nothing_is_known(values: dict[str, list[float]]) -> None:
    unknown = pooled_noise(readings(**values), "gain")
    assert math.isnan(unknown.sd)
    assert not unknown.usable
    assert math.isnan(unknown.half_width(3))
    assert math.isnan(unknown.p_value(0.1, 3))


def test_zero_variation_is_no_evidence() -> None:
    constant = pooled_noise(readings(a=[0.3 - 0.2, 0.1, 0.1]), "gain")  # 0.3 − 0.2 is not quite 0.1
    assert constant.df == 2
    assert not constant.usable
    assert math.isnan(constant.half_width(3))
    assert math.isnan(constant.p_value(0.1, 3))


def test_half_an_interval_is_t_times_the_standard_error() -> None:
    # t of 0.975 with 8 degrees of freedom is 2.306 in every printed table.
    assert noise().half_width(4) == pytest.approx(2.306 * 0.01 / 2, rel=1e-4)
    assert math.isnan(noise().half_width(0))


def test_a_mean_on_the_edge_of_its_interval_has_a_p_value_of_five_percent() -> None:
    assert noise().p_value(noise().half_width(4), 4) == pytest.approx(0.05)
    assert noise().p_value(-noise().half_width(4), 4) == pytest.approx(0.05)


def test_holm_multiplies_the_smallest_by_all_and_never_steps_back() -> None:
    # sorted: 0.01 × 4 = 0.04, 0.02 × 3 = 0.06, 0.03 × 2 = 0.06, 0.9 × 1 = 0.9
    adjusted = holm(pd.Series({"a": 0.03, "b": 0.9, "c": 0.01, "d": 0.02}))
    assert adjusted.to_dict() == pytest.approx({"a": 0.06, "b": 0.9, "c": 0.04, "d": 0.06})


def test_holm_carries_a_larger_value_forward_and_stops_at_one() -> None:
    # 0.020 × 3 = 0.060, then 0.025 × 2 = 0.050 is lifted to 0.060, then 0.8
    assert list(holm(pd.Series([0.020, 0.025, 0.8]))) == pytest.approx([0.06, 0.06, 0.8])
    assert list(holm(pd.Series([0.6, 0.7]))) == pytest.approx([1.0, 1.0])


def test_holm_leaves_out_what_was_not_tested() -> None:
    adjusted = holm(pd.Series([math.nan, 0.02, 0.5, math.nan]))
    assert list(adjusted[1:3]) == pytest.approx([0.04, 0.5])
    assert adjusted.isna().tolist() == [True, False, False, True]
    assert holm(pd.Series([math.nan])).isna().all()


def test_two_differences_of_one_seed_correlate_by_one_half_however_well_they_are_paired() -> None:
    generator = np.random.default_rng(0)
    for common in (0.0, 3.0):  # what the seed does to all readings alike
        own, shared = generator.standard_normal((20_000, 3)), generator.standard_normal((20_000, 1))
        *candidates, baseline = (own + common * shared).T
        first, second = (candidate - baseline for candidate in candidates)
        assert stats.pearsonr(first, second).statistic == pytest.approx(SHARED_BASELINE, abs=0.03)


def test_a_shared_baseline_leaves_fewer_degrees_of_freedom() -> None:
    # three candidates of the same three seeds: 6² / (6 + ¼ · 6 pairs · 2) = 4
    same = readings(a=[1.0, 2.0, 4.0], b=[4.0, 6.0, 7.0], c=[1.0, 0.0, 5.0])
    assert pooled_noise(same, "gain", SHARED_BASELINE).df == pytest.approx(4)
    assert pooled_noise(same, "gain").df == pytest.approx(6)
    assert pooled_noise(same, "gain", 1.0).df == pytest.approx(2)  # one candidate three times over
    apart = same.assign(seed=range(9))
    assert pooled_noise(apart, "gain", SHARED_BASELINE).df == pytest.approx(6)


def test_the_degrees_of_freedom_follow_from_the_scatter_of_the_pooled_variance() -> None:
    # Satterthwaite: 2 E² / Var of the pooled variance, here of candidates with 4, 3 and 2 of four seeds
    generator = np.random.default_rng(0)
    noise = generator.standard_normal((40_000, 4, 4))
    gains = noise[:, 1:] - noise[:, :1]
    taken = [[0, 1, 2, 3], [0, 1, 3], [1, 2]]
    squares = sum(gains[:, number, seeds].var(axis=1, ddof=1) * (len(seeds) - 1) for number, seeds in enumerate(taken))
    rows = pd.concat(
        [pd.DataFrame({"architecture": str(n), "seed": s, "gain": gains[0, n, s]}) for n, s in enumerate(taken)]
    )
    assert pooled_noise(rows, "gain", SHARED_BASELINE).df == pytest.approx(
        2 * squares.mean() ** 2 / squares.var(), rel=0.05
    )


READING = st.integers(-1000, 1000).map(lambda thousandths: thousandths / 1000)


@settings(deadline=None, max_examples=30)
@given(
    values=st.lists(st.lists(READING, min_size=1, max_size=5), min_size=1, max_size=4),
    shift=READING,
    scale=st.floats(0.1, 10),
    order=st.randoms(use_true_random=False),
)
def test_noise_is_the_same_in_any_order_and_after_a_shift_and_grows_with_the_scale(
    values: list[list[float]], shift: float, scale: float, order: random.Random
) -> None:
    rows = readings(**{f"c{number}": each for number, each in enumerate(values)})
    shuffled = rows.iloc[order.sample(range(len(rows)), len(rows))].assign(
        gain=lambda frame: scale * frame.gain + shift
    )
    plain, other = (pooled_noise(frame, "gain", SHARED_BASELINE) for frame in (rows, shuffled))
    assert other.df == pytest.approx(plain.df)
    assert other.sd == pytest.approx(scale * plain.sd, abs=1e-12, nan_ok=True)
    assert other.high == pytest.approx(scale * plain.high, abs=1e-12, nan_ok=True)


def test_intervals_hold_the_truth_as_often_as_they_claim() -> None:
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        values = generator.normal(0.01, 0.005, size=(3, 4))
        frame = readings(**{f"c{number}": list(each) for number, each in enumerate(values)})
        held += abs(values[0].mean() - 0.01) < pooled_noise(frame, "gain").half_width(4)
    assert 0.92 < held / 400 < 0.98
