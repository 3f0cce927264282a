"""The readings of a rung choose who climbs, and later readings do not change that choice."""

from __future__ import annotations

import math
import random
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis.membership import front_probability
from harness.analysis.noise import SHARED_BASELINE, pooled_noise
from harness.record.constraints import Constraints
from harness.search.promotion import PRIOR_SD, climbers, finalists

NAN = math.nan

ROWS = pd.DataFrame(
    [
        # architecture, seed, state, gain, ratio
        ("baseline", 0, "complete", 0.000, 1.0),
        ("a", 0, "complete", 0.003, 1.2),
        ("b", 0, "complete", 0.007, 1.3),
        ("c", 0, "failed", float("nan"), float("nan")),
        ("d", 0, "complete", 0.003, 1.1),
        ("e", 0, "complete", -0.010, 1.05),
        ("e", 1, "complete", 0.500, 1.05),
    ],
    columns=["architecture", "seed", "state", "gain_map50_95", "latency_ratio"],
)


def test_the_best_first_readings_win_and_ties_go_to_the_faster() -> None:
    assert finalists(ROWS, seed=0, count=3) == ["b", "d", "a"]


def test_later_seeds_and_failures_do_not_choose() -> None:
    assert finalists(ROWS, seed=0, count=10) == ["b", "d", "a", "e"]
    assert finalists(ROWS, seed=0, count=0) == []


def test_who_is_beyond_a_bound_is_no_finalist() -> None:
    assert finalists(ROWS, seed=0, count=3, constraints=Constraints(max_latency_ratio=1.2)) == ["d", "a", "e"]


# --- On a ladder ----------------------------------------------------------------------------------


def readings(architecture: str, gains: list[float], cost: float = 1.1, epochs: int = 3) -> list[dict[str, Any]]:
    """Complete rows of the seeds 0, 1 …; the latency was measured with the first."""
    return [
        {"architecture": architecture, "epochs": epochs, "seed": seed, "state": "complete", "gain_map50_95": gain,
         "map50_95": 0.5 + gain,
         "latency_ratio": cost if seed == 0 else NAN, "macs": 100 * cost}
        for seed, gain in enumerate(gains)
    ]  # fmt: skip


def climb(
    *groups: list[dict[str, Any]], count: int, seeds: int = 1, cost: str = "latency_ratio", **bounds: float
) -> list[str]:
    rows = pd.DataFrame([row for group in groups for row in group])
    names = [str(name) for name in rows.architecture.unique() if name != "baseline"]
    constraints = Constraints.model_validate(bounds)
    return climbers(rows, names, epochs=3, seeds=range(seeds), cost=cost, count=count, constraints=constraints)


BASELINE_ROWS = readings("baseline", [0.0, 0.0, 0.0], cost=1.0)


def test_what_something_cheaper_surpasses_stays_below_however_it_reads() -> None:
    cheap, dear, poor = (
        readings("cheap", [0.010], cost=1.05),
        readings("dear", [0.008], cost=1.50),
        readings("poor", [0.004], cost=1.01),
    )
    assert climb(BASELINE_ROWS, dear, poor, cheap, count=2) == ["cheap", "poor"]
    assert climb(BASELINE_ROWS, dear, poor, cheap, count=9) == ["cheap", "poor", "dear"]


def test_the_choice_is_by_the_probability_of_the_front() -> None:
    rows = [readings("a", [0.003], cost=1.1), readings("b", [0.002], cost=1.05), readings("c", [0.0025], cost=1.2)]
    sd = PRIOR_SD / math.sqrt(2)  # half of a paired difference's variance is the control's, which all share
    probability = front_probability([0.0, 0.003, 0.002, 0.0025], [sd] * 4, [1.0, 1.1, 1.05, 1.2])
    expected = sorted("abc", key=lambda name: -probability["abc".index(name) + 1])
    assert climb(BASELINE_ROWS, *rows, count=3) == expected


def test_several_seeds_bring_their_own_noise() -> None:
    steady = readings("steady", [0.0030, 0.0031, 0.0029], cost=1.2)
    rival = readings("rival", [0.0029, 0.0030, 0.0028], cost=1.1)
    # 0.0001 apart: with the prior's 0.002 a coin's throw, with their own noise the dearer one still belongs
    noise = pooled_noise(pd.DataFrame(steady + rival), "gain_map50_95", SHARED_BASELINE)
    sd = noise.sd / math.sqrt(2 * 3)
    apart = front_probability([0, 0.0030, 0.0029], [sd] * 3, [1.0, 1.2, 1.1])
    loser = readings("loser", [-0.001, -0.0011, -0.0009], cost=1.01)
    assert apart[1] > 0.8
    assert climb(BASELINE_ROWS, steady, rival, loser, count=3, seeds=3) == ["rival", "steady", "loser"]


@pytest.mark.parametrize("later", [readings("b", [0.5], epochs=12), readings("b", [0.001, 0.4, 0.4])[1:]])
def test_what_is_trained_later_does_not_choose(later: list[dict[str, Any]]) -> None:
    a, b = readings("a", [0.005]), readings("b", [0.001])
    assert climb(BASELINE_ROWS, a, b, later, count=1) == ["a"]


def test_failures_and_strangers_do_not_climb() -> None:
    rows = pd.DataFrame(BASELINE_ROWS + readings("a", [0.001]) + readings("b", [0.009]) + readings("c", [0.005]))
    rows.loc[rows.architecture == "c", "state"] = "failed"
    assert climbers(rows, ["a", "c"], epochs=3, seeds=[0], cost="macs", count=5) == ["a"]


def test_who_is_beyond_a_bound_does_not_climb_and_keeps_nobody_down() -> None:
    beyond, beaten, poor = (
        readings("beyond", [0.010], cost=1.2),
        readings("beaten", [0.004], cost=1.3),
        readings("poor", [0.001], cost=1.1),
    )
    assert climb(BASELINE_ROWS, beyond, beaten, poor, count=3) == ["beyond", "poor", "beaten"]
    rival = [row | {"macs": 500} for row in beyond]
    assert climb(BASELINE_ROWS, rival, beaten, poor, count=3, max_macs=400) == ["beaten", "poor"]
    assert climb(BASELINE_ROWS, beyond, beaten, poor, count=3, max_latency_ratio=1.2) == ["beyond", "poor"]


def test_a_bound_on_map_is_held_against_the_mean_of_a_rungs_readings() -> None:
    steady, lucky = readings("steady", [0.004, 0.004], cost=1.2), readings("lucky", [0.02, -0.014], cost=1.1)
    assert climb(BASELINE_ROWS, steady, lucky, count=2, seeds=2, min_map50_95=0.504) == ["steady"]
    assert climb(BASELINE_ROWS, steady, lucky, count=2, seeds=1, min_map50_95=0.504) == ["lucky", "steady"]


def test_a_latency_that_the_first_rung_measured_bounds_every_rung() -> None:
    again = [row | {"epochs": 12, "latency_ratio": NAN} for row in [*readings("a", [0.01]), *readings("b", [0.02])]]
    rows = pd.DataFrame([*BASELINE_ROWS, *readings("a", [0.01]), *readings("b", [0.02], cost=1.5), *again])
    bound = Constraints(max_latency_ratio=1.4)
    assert climbers(rows, ["a", "b"], epochs=12, seeds=[0], cost="macs", count=2, constraints=bound) == ["a"]


def test_a_candidate_without_a_cost_comes_last() -> None:
    assert climb(BASELINE_ROWS, readings("a", [0.009], cost=NAN), readings("b", [-0.009]), count=2) == ["b", "a"]


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(9, 15)), min_size=1, max_size=6), st.randoms())
def test_the_order_of_the_rows_changes_nothing(found: list[tuple[int, int]], rng: random.Random) -> None:
    groups = [readings(f"c{n}", [gain / 1000], cost=cost / 10) for n, (gain, cost) in enumerate(found)]
    chosen = climb(BASELINE_ROWS, *groups, count=3)
    rng.shuffle(groups)
    assert climb(*groups, BASELINE_ROWS, count=3) == chosen
    assert len(chosen) == min(3, len(found))
