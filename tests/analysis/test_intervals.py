from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.analysis.intervals import Interval, bca_interval, t_interval

BOTH: list[Callable[..., Interval]] = [t_interval, bca_interval]
DIFFERENCES = [0.001, 0.004, -0.002, 0.003, 0.009]


def test_the_t_interval_is_scipys() -> None:
    expected = stats.ttest_1samp(DIFFERENCES, 0).confidence_interval(0.95)
    assert t_interval(DIFFERENCES) == pytest.approx((expected.low, expected.high))


def test_two_seeds_have_the_interval_of_a_cauchy_quantile() -> None:
    # t with 1 degree of freedom is Cauchy, 12.706 at 0.975; of 0 and 2 the mean is 1 and its standard error 1
    assert t_interval([0.0, 2.0]) == pytest.approx((1 - math.tan(0.475 * math.pi), 1 + math.tan(0.475 * math.pi)))


def test_a_bootstrap_of_many_symmetric_differences_is_the_normal_interval() -> None:
    values = stats.norm.ppf((np.arange(200) + 0.5) / 200)
    low, high = bca_interval(values)
    assert (low, high) == pytest.approx((-1.96 / math.sqrt(200), 1.96 / math.sqrt(200)), abs=0.01)


def test_a_bootstrap_leans_to_the_long_tail() -> None:
    values = stats.expon.ppf((np.arange(30) + 0.5) / 30)
    low, high = bca_interval(values)
    assert high - values.mean() > 1.2 * (values.mean() - low)


@pytest.mark.parametrize("interval", BOTH)
@pytest.mark.parametrize("values", [[], [0.1], [0.1, math.nan], [0.3 - 0.2, 0.1, 0.1]])
def test_one_seed_or_no_variation_gives_no_interval(interval: Callable[..., Interval], values: list[float]) -> None:
    assert all(map(math.isnan, interval(values)))


@pytest.mark.parametrize("interval", BOTH)
def test_what_was_not_measured_is_left_out(interval: Callable[..., Interval]) -> None:
    assert interval([*DIFFERENCES, math.nan]) == interval(DIFFERENCES)


@pytest.mark.parametrize("interval", BOTH)
@settings(deadline=None, max_examples=15)
@given(
    values=st.lists(st.integers(-50, 50).map(float), min_size=2, max_size=12, unique=True),
    shift=st.integers(-100, 100),
    scale=st.floats(0.01, 100),
    order=st.randoms(use_true_random=False),
)
def test_the_order_of_seeds_is_nothing_and_shift_and_scale_pass_through(
    interval: Callable[..., Interval], values: list[float], shift: int, scale: float, order: random.Random
) -> None:
    low, high = interval(values)
    shuffled = order.sample(values, len(values))
    moved = interval([scale * (value + shift) for value in shuffled])
    assert moved == pytest.approx((scale * (low + shift), scale * (high + shift)), abs=1e-6 * scale, nan_ok=True)
    assert math.isnan(low) or low <= np.mean(values) <= high


@pytest.mark.parametrize(("interval", "lowest", "highest"), [(t_interval, 0.93, 0.97), (bca_interval, 0.6, 0.85)])
def test_with_three_seeds_only_students_interval_is_a_95_percent_one(
    interval: Callable[..., Interval], lowest: float, highest: float
) -> None:
    studies = np.random.default_rng(0).normal(size=(1000 if interval is t_interval else 300, 3))
    ends = [interval(study) if interval is t_interval else interval(study, resamples=499) for study in studies]
    assert lowest < np.mean([low <= 0 <= high for low, high in ends]) < highest
