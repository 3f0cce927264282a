from __future__ import annotations

import math

import numpy as np
import pytest

from harness.latency.intervals import Samples, ratio_with_interval


def noisy_rounds(rng: np.random.Generator, n: int, correlation: float = 0.0) -> Samples:
    """Rounds of equal models whose log ratios have spread 0.1 and a correlation with their neighbours."""
    logs = rng.normal(0, 0.1, n)
    for i in range(1, n):
        logs[i] = correlation * logs[i - 1] + math.sqrt(1 - correlation**2) * logs[i]
    rounds = np.ones((n, 4))
    rounds[:, [0, 3]] = np.exp(logs)[:, None]
    return rounds


@pytest.mark.parametrize(("n", "correlation"), [(5, 0.0), (25, 0.0), (100, 0.0), (300, 0.4)])
def test_the_interval_holds_the_truth_about_19_times_of_20(n: int, correlation: float) -> None:
    rng = np.random.default_rng(n)
    intervals = [ratio_with_interval(noisy_rounds(rng, n, correlation)) for _ in range(100)]
    assert 87 <= sum(low <= 1 <= high for low, _, high in intervals) <= 100  # 95 ± 4 binomial deviations


def test_swapping_the_models_inverts_ratio_and_interval() -> None:
    rounds = noisy_rounds(np.random.default_rng(0), 50)
    low, ratio, high = ratio_with_interval(rounds)
    assert ratio_with_interval(rounds[:, [1, 0, 3, 2]]) == pytest.approx((1 / high, 1 / ratio, 1 / low), rel=1e-3)


def test_the_same_seed_gives_the_same_interval() -> None:
    rounds = noisy_rounds(np.random.default_rng(0), 40)
    assert ratio_with_interval(rounds, 3) == ratio_with_interval(rounds, 3) != ratio_with_interval(rounds, 4)


def test_a_group_of_rounds_that_shares_its_speed_counts_once() -> None:
    """The true ratio moves by 1 % every ten rounds: rounds taken for independent give too narrow an interval."""
    rng = np.random.default_rng(5)

    def covered(group: int) -> int:
        hits = 0
        for _ in range(100):
            shift = np.exp(np.repeat(rng.normal(0, 0.01, 10), 10))[:, None]
            rounds = 10 * np.exp(rng.normal(0, 0.001, (100, 4))) * np.hstack([shift, shift**0, shift**0, shift])
            low, _, high = ratio_with_interval(rounds, group=group)
            hits += low <= 1 <= high
        return hits

    assert covered(10) >= 93
    assert covered(1) < covered(10)
