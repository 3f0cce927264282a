"""Probability of a place on the front, against closed forms, a simulation and the front without noise."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.analysis.fronts import non_dominated
from harness.analysis.membership import _grid, front_probability


@pytest.mark.parametrize("sds", [(0.01, 0.01), (0.003, 0.02), (1e-6, 0.02), (0.02, 1e-6), (0.02, 0.0), (0.0, 0.02)])
@pytest.mark.parametrize("difference", [-0.03, -0.001, 0.0, 0.004, 0.05])
def test_two_architectures_have_a_closed_form(sds: tuple[float, float], difference: float) -> None:
    cheap, dear = front_probability([0.4, 0.4 + difference], sds, [1, 2])
    assert cheap == pytest.approx(1, abs=1e-9)
    assert dear == pytest.approx(stats.norm.cdf(difference / math.hypot(*sds)), abs=1e-9)


@pytest.mark.parametrize("count", [1, 2, 10, 200])
def test_equal_architectures_of_falling_cost_share_the_chance_to_be_best_so_far(count: int) -> None:
    # The dearest of n equals is the best of them with probability 1/n.
    found = front_probability(np.full(count, 0.3), np.full(count, 0.01), np.arange(count))
    assert found == pytest.approx(1 / np.arange(1, count + 1), abs=1e-9)


def test_of_equal_cost_exactly_one_is_the_best() -> None:
    rng = np.random.default_rng(0)
    found = front_probability(rng.normal(0, 0.01, 40), rng.uniform(1e-5, 0.02, 40), np.ones(40))
    assert found.sum() == pytest.approx(1, abs=1e-7)


def test_hundreds_of_two_kinds_of_noise_share_one_best() -> None:
    rng = np.random.default_rng(2)
    found = front_probability(rng.normal(0, 0.002, 300), rng.choice([0.001, 0.003], 300), np.ones(300))
    assert found.sum() == pytest.approx(1, abs=1e-8)


def test_rivals_of_similar_noise_share_their_pieces() -> None:
    rng = np.random.default_rng(3)
    few, many = (len(_grid(0.0, 1.0, -math.inf, rng.normal(0, 2, n), rng.uniform(0.25, 0.4, n))[0]) for n in (10, 999))
    assert many < 2 * few  # else hundreds of architectures take minutes


def test_it_agrees_with_a_simulation() -> None:
    rng = np.random.default_rng(1)
    mean, sd = rng.normal(0, 0.01, 12), rng.choice([0.0, 0.001, 0.004, 0.02], 12)
    cost = rng.integers(0, 4, (12, 2))
    draws = rng.normal(mean, sd, (20_000, 12))
    rivals = (cost[None] <= cost[:, None]).all(axis=2)
    same = (cost[None] == cost[:, None]).all(axis=2)
    # Draws of architectures with noise are never equal; those of two without may be.
    beaten = (draws[:, None, :] > draws[:, :, None]) & rivals
    beaten |= (draws[:, None, :] == draws[:, :, None]) & rivals & ~same
    share = 1 - beaten.any(axis=2).mean(axis=0)
    assert front_probability(mean, sd, cost) == pytest.approx(share, abs=4 * 0.5 / math.sqrt(20_000))
    assert ((share > 0.1) & (share < 0.9)).sum() >= 3  # the example has unsure places


TABLES = st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=2, max_size=20)


@settings(deadline=None, max_examples=60)
@given(TABLES)
def test_without_noise_it_is_the_strict_front(rows: list[tuple[int, int, int]]) -> None:
    frame = pd.DataFrame(rows, columns=["map", "macs", "params"])
    expected = non_dominated(frame, maximize=["map"], minimize=["macs", "params"])
    found = front_probability(frame["map"], np.zeros(len(frame)), frame[["macs", "params"]])
    assert list(found) == list(expected.astype(float))


@settings(deadline=None, max_examples=40)
@given(TABLES, st.floats(-100, 100))
def test_what_moves_all_alike_changes_nothing(rows: list[tuple[int, int, int]], shift: float) -> None:
    mean, sd, cost = np.array(rows, dtype=float).T
    assert front_probability(mean + shift, sd + 0.5, cost) == pytest.approx(front_probability(mean, sd + 0.5, cost))


@settings(deadline=None, max_examples=40)
@given(TABLES)
def test_one_more_architecture_raises_nobodys_probability(rows: list[tuple[int, int, int]]) -> None:
    mean, sd, cost = np.array(rows, dtype=float).T
    alone, together = front_probability(mean[1:], sd[1:], cost[1:]), front_probability(mean, sd, cost)[1:]
    assert (together <= alone + 1e-9).all()
    assert ((together >= 0) & (together <= 1)).all()


def test_the_baseline_takes_part() -> None:
    # A candidate no better than a cheaper baseline that is as noisy belongs there half of the time.
    assert front_probability([0.0, 0.0], [0.002, 0.002], [1.0, 1.1])[1] == pytest.approx(0.5)


@pytest.mark.parametrize("column", range(3))
def test_what_was_not_measured_has_no_probability_and_beats_nobody(column: int) -> None:
    rows = np.array([[0.9, 0.01, 1.0], [0.1, 0.01, 2.0]])
    rows[0, column] = math.nan
    found = front_probability(*rows.T)
    assert math.isnan(found[0])
    assert found[1] == pytest.approx(1)


def test_no_architectures_have_no_probabilities() -> None:
    assert front_probability([], [], []).shape == (0,)


@pytest.mark.parametrize(
    ("mean", "sd", "cost"),
    [([0.1], [-0.1], [1]), ([math.inf], [0.1], [1]), ([0.1], [math.inf], [1]), ([0.1, 0.2], [0.1], [1, 2])],
)
def test_impossible_input_is_refused(mean: list[float], sd: list[float], cost: list[float]) -> None:
    with pytest.raises(ValueError, match=r"one mean, sd and row of costs|standard deviation"):
        front_probability(mean, sd, cost)
