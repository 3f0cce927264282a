from __future__ import annotations

import math

import moocore
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from harness.search.improvement import Floats, Staircase

WORST_COST, WORST_ACCURACY = 10.0, 0.0
POINTS = st.lists(st.tuples(st.floats(-2, 12), st.floats(-2, 12)), max_size=12)


def staircase(points: list[tuple[float, float]]) -> Staircase:
    cost, accuracy = np.array(points, dtype=float).reshape(-1, 2).T
    return Staircase.of(cost, accuracy, worst_cost=WORST_COST, worst_accuracy=WORST_ACCURACY)


def volume(points: list[tuple[float, float]]) -> float:
    """moocore's, which minimises."""
    inside = [(cost, -accuracy) for cost, accuracy in points if cost < WORST_COST and accuracy > WORST_ACCURACY]
    return float(moocore.hypervolume(np.array(inside), ref=[WORST_COST, -WORST_ACCURACY])) if inside else 0.0


def expected(front: Staircase, cost: float, mean: float, sd: float, cost_sd: float = 0.0) -> float:
    [found] = front.expected_improvement(np.array([cost]), np.array([mean]), np.array([sd]), cost_sd=cost_sd)
    return float(found)


@given(POINTS)
def test_the_hypervolume_is_moocores(points: list[tuple[float, float]]) -> None:
    assert staircase(points).hypervolume == pytest.approx(volume(points), abs=1e-9)


@given(POINTS, st.floats(-2, 12), st.floats(-2, 12))
def test_a_known_accuracy_adds_what_moocore_says(points: list[tuple[float, float]], cost: float, mean: float) -> None:
    added = volume([*points, (cost, mean)]) - volume(points)
    assert expected(staircase(points), cost, mean, 0.0) == pytest.approx(added, abs=1e-9)


@pytest.mark.parametrize(("cost", "mean", "sd"), [(3.0, 4.0, 1.0), (1.0, 2.0, 0.3), (6.5, 7.0, 4.0), (9.0, -1.0, 2.0)])
def test_an_uncertain_accuracy_adds_what_monte_carlo_says(cost: float, mean: float, sd: float) -> None:
    front = [(2.0, 3.0), (4.0, 5.0), (7.0, 6.0), (5.0, 4.0)]
    draws = np.random.default_rng(1).normal(mean, sd, size=4000)
    added = np.array([volume([*front, (cost, draw)]) - volume(front) for draw in draws])
    error = added.std() / math.sqrt(len(added))
    assert expected(staircase(front), cost, mean, sd) == pytest.approx(added.mean(), abs=4 * error)


@given(st.floats(0, 9.9), st.floats(-5, 5), st.floats(0.1, 5))
def test_over_an_empty_front_it_is_the_width_times_expected_improvement(cost: float, mean: float, sd: float) -> None:
    textbook = mean * norm.cdf(mean / sd) + sd * norm.pdf(mean / sd)
    assert expected(staircase([]), cost, mean, sd) == pytest.approx((WORST_COST - cost) * textbook, abs=1e-9)


def test_over_one_step_each_part_counts_what_exceeds_its_own_level() -> None:
    # from 1 to 4 above 0, from 4 to 10 above 5; without spread: 3 · 6 + 6 · 1
    front = staircase([(4.0, 5.0)])
    assert expected(front, 1.0, 6.0, 0.0) == 24
    above = [level_excess(6 - level, 2.0) for level in (0, 5)]
    assert expected(front, 1.0, 6.0, 2.0) == pytest.approx(3 * above[0] + 6 * above[1])


def level_excess(above: float, sd: float) -> float:
    return float(above * norm.cdf(above / sd) + sd * norm.pdf(above / sd))


@given(POINTS, st.floats(-2, 12), st.floats(-2, 12), st.floats(0, 3))
def test_it_is_never_negative_and_uncertainty_never_lowers_it(
    points: list[tuple[float, float]], cost: float, mean: float, sd: float
) -> None:
    front = staircase(points)
    assert 0 <= expected(front, cost, mean, 0.0) <= expected(front, cost, mean, sd) + 1e-9


def test_beyond_the_reference_cost_nothing_is_added() -> None:
    assert expected(staircase([]), WORST_COST, 5.0, 1.0) == 0
    assert expected(staircase([]), WORST_COST + 1, 5.0, 1.0) == 0


def test_an_uncertain_cost_is_no_matter_where_all_of_it_is_in_one_step() -> None:
    front = staircase([(1.0, 1.0), (9.0, 8.0)])
    assert expected(front, 5.0, 6.0, 0.5, 0.1) == pytest.approx(expected(front, 5.0, 6.0, 0.5))


def test_an_uncertain_cost_at_the_reference_may_be_below_it() -> None:
    # the mean of max(0, −N(0, sd)) is sd / √(2π), where five nodes are worst: a sixth off
    found = expected(staircase([]), WORST_COST, 2.0, 0.0, 0.5)
    assert found == pytest.approx(2.0 * 0.5 / math.sqrt(2 * math.pi), rel=0.18)


def test_an_uncertain_cost_adds_what_monte_carlo_says() -> None:
    front = staircase([(2.0, 3.0), (4.0, 5.0), (7.0, 6.0)])
    costs = np.random.default_rng(2).normal(4.0, 1.0, size=100_000)
    means, sds = np.full(len(costs), 5.5), np.full(len(costs), 0.5)
    mean = front.expected_improvement(costs, means, sds).mean()
    assert expected(front, 4.0, 5.5, 0.5, 1.0) == pytest.approx(mean, rel=0.05)


def test_chunks_change_no_result() -> None:
    rng = np.random.default_rng(3)
    values: Floats = rng.uniform(0, 10, size=(3, 20_000))
    front = staircase([(2.0, 3.0), (4.0, 5.0)])
    together = front.expected_improvement(*values)
    some = np.array([0, 8191, 8192, 19_999])
    assert together[some].tolist() == front.expected_improvement(*values[:, some]).tolist()
    assert front.expected_improvement(*values[:, :0]).shape == (0,)
