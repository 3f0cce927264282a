"""Short against long: Kendall's τ, pairs told apart, and what has no answer stays without one."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis.fidelity import fidelity, kendall, paired_gains, told_apart
from harness.architecture import BASELINE

Reading = Callable[[int, int], float]
"""mAP gain of an architecture (by number) under a seed."""


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def rows(schedule: str, seeds: list[int], gain: Reading, count: int = 8, control: float = 0.4) -> pd.DataFrame:
    def row(seed: int, name: str, space: str, value: float) -> dict[str, object]:
        return {
            "schedule": schedule,
            "seed": seed,
            "architecture": name,
            "space": space,
            "state": "complete",
            "map50_95": value,
            "cpu_seconds": 10.0,
        }

    table = []
    for seed in seeds:
        level = control + seed / 10  # a seed's own level must not matter
        table.append(row(seed, BASELINE, "", level))
        table += [row(seed, f"a{n}", "even" if n % 2 == 0 else "odd", level + gain(n, seed)) for n in range(count)]
    return pd.DataFrame(table)


def line(found: pd.DataFrame, schedule: str, seeds: int, cohort: str = "all") -> pd.Series:
    chosen = found[(found.schedule == schedule) & (found.seeds == seeds) & (found.cohort == cohort)]
    assert len(chosen) == 1
    return chosen.iloc[0]


# --- Kendall's τ --------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=20))
def test_tau_is_scipys_tau_b_ties_included(pairs: list[tuple[int, int]]) -> None:
    x, y = np.array(pairs, float).T
    ours, theirs = kendall(x, y, rng()).value, scipy.stats.kendalltau(x, y).statistic
    assert ours == pytest.approx(theirs) or (math.isnan(ours) and math.isnan(theirs))


def test_the_interval_of_tau_is_that_of_resampled_architectures() -> None:
    draw = np.random.default_rng(1)
    x = draw.normal(size=24)
    y = x + draw.normal(size=24)
    found = kendall(x, y, rng())
    picks = draw.integers(24, size=(2000, 24))
    low, high = np.percentile([scipy.stats.kendalltau(x[pick], y[pick]).statistic for pick in picks], [2.5, 97.5])
    assert found.low == pytest.approx(low, abs=0.03)
    assert found.high == pytest.approx(high, abs=0.03)
    assert found.low < found.value < found.high


# --- Pairs told apart ---------------------------------------------------------------------------


def test_only_pairs_a_hundredth_apart_count() -> None:
    long = np.array([0.000, 0.005, 0.012, 0.030])  # 5 of 6 pairs but 0-1; 1-2 differ by 0.007
    short = np.array([0.002, 0.001, 0.003, 0.0025])  # 2-3 the wrong way round
    share, pairs, _ = told_apart(short, long, rng())
    assert pairs == 4  # 0-2, 0-3, 1-3, 2-3
    assert share.value == pytest.approx(3 / 4)


def test_a_tie_tells_nothing_apart() -> None:
    share, pairs, _ = told_apart(np.zeros(3), np.array([0.0, 0.1, 0.2]), rng())
    assert (share.value, pairs) == (0.0, 3)


@pytest.mark.parametrize(
    ("long", "carriers"),
    [
        ([0.0, 0.001, 0.002, 0.003, 0.1], 1),  # all pairs hold the last
        ([0.0, 0.001, 0.05, 0.051, 0.052], 2),  # each pair holds one of the first two
        ([0.0, 0.01, 0.02, 0.03, 0.04], 4),  # neighbours differ: one alone may be left out
        ([0.0, 0.001, 0.002, 0.003, 0.004], 0),
    ],
)
def test_the_carriers_are_the_fewest_architectures_of_which_every_pair_holds_one(
    long: list[float], carriers: int
) -> None:
    found = told_apart(np.array(long), np.array(long), rng())
    assert found.carriers == carriers
    far = [pair for pair in combinations(range(5), 2) if abs(long[pair[0]] - long[pair[1]]) > 0.0099]
    covers = (set(some) for size in range(6) for some in combinations(range(5), size))
    assert carriers == len(next(some for some in covers if all(some & set(pair) for pair in far)))  # by brute force


def test_pairs_that_one_architecture_carries_have_no_interval() -> None:
    draw = np.random.default_rng(2)
    long = np.r_[draw.uniform(0, 0.005, 20), 0.5]
    short = np.r_[draw.uniform(0, 0.005, 19), 0.7, 0.6]  # one of the twenty pairs is ordered wrongly
    found = told_apart(short, long, rng())
    assert (found.pairs, found.carriers, found.share.value) == (20, 1, pytest.approx(19 / 20))
    assert math.isnan(found.share.low) and math.isnan(found.share.high)


def test_there_is_no_interval_where_every_resample_agrees() -> None:
    order = np.arange(5.0)
    for found in (kendall(order, order, rng()), told_apart(order, 0.02 * order, rng()).share):
        assert found.value == pytest.approx(1)
        assert math.isnan(found.low) and math.isnan(found.high)


def test_an_interval_of_tau_that_is_given_holds_the_truth() -> None:
    """With five architectures a quarter of all samples are in perfect order: theirs was [1.00, 1.00], and wrong."""
    draw = np.random.default_rng(5)
    truth = 2 / np.pi * np.arcsin(0.9)  # of a bivariate normal distribution with this correlation
    given = held = 0
    for _ in range(150):
        x = draw.normal(size=5)
        found = kendall(x, 0.9 * x + np.sqrt(1 - 0.81) * draw.normal(size=5), rng())
        given += not math.isnan(found.low)
        held += found.low <= truth <= found.high
    assert given > 90
    assert held / given >= 0.93


# --- The table ----------------------------------------------------------------------------------


def test_a_perfect_short_schedule_is_perfect_and_a_reversed_one_is_not() -> None:
    truth = rows("long", [7], lambda n, _: n / 50)
    same = rows("same", [0], lambda n, _: n / 500)
    turned = rows("turned", [0], lambda n, _: -n / 500)
    found = fidelity(pd.concat([same, turned, truth]), "long")
    assert line(found, "same", 1).tau == pytest.approx(1)
    assert line(found, "same", 1).told_apart == 1
    assert line(found, "turned", 1).tau == pytest.approx(-1)
    assert line(found, "turned", 1).told_apart == 0


def test_more_seeds_average_noise_away_and_cost_their_time() -> None:
    noise = np.random.default_rng(3).normal(0, 0.01, size=(8, 4))
    truth = rows("long", [7], lambda n, _: n / 500)
    short = rows("short", [0, 1, 2, 3], lambda n, seed: n / 500 + noise[n, seed])
    found = fidelity(pd.concat([short, truth]), "long")
    one, four = line(found, "short", 1), line(found, "short", 4)
    assert (one.cpu_seconds, four.cpu_seconds) == (10, 40)
    expected = scipy.stats.kendalltau(np.arange(8) / 500 + noise.mean(axis=1), np.arange(8)).statistic
    assert four.tau == pytest.approx(expected)
    assert one.noise_sd == four.noise_sd == pytest.approx(np.sqrt(noise.var(axis=1, ddof=1).mean()))


def test_signal_is_what_the_noise_between_architectures_does_not_explain() -> None:
    """The baseline's own noise moves all gains of a seed alike, and so adds nothing to their spread."""
    rng_of_trainings = np.random.default_rng(4)
    true = rng_of_trainings.normal(0, 0.002, 200)
    own, control = rng_of_trainings.normal(0, 0.002, (200, 3)), rng_of_trainings.normal(0, 0.002, 3)
    short = rows("short", [0, 1, 2], lambda n, seed: true[n] + own[n, seed] - control[seed], count=200)
    long = rows("long", [7], lambda n, _: true[n], count=200)
    found = line(fidelity(pd.concat([short, long]), "long"), "short", 3)
    assert found.signal_sd == pytest.approx(true.std(ddof=1), rel=0.1)
    between = found.noise_sd * math.sqrt(0.5 / 3)
    assert found.signal_over_noise == pytest.approx(found.signal_sd / between)


def test_the_long_schedule_is_held_against_its_own_other_seeds() -> None:
    truth = rows("long", [7, 8], lambda n, seed: n / 50 if seed == 7 else -n / 50)
    found = fidelity(truth, "long")
    assert line(found, "long", 1).tau == pytest.approx(-1)


def test_each_space_of_the_cohort_has_its_own_lines() -> None:
    truth = rows("long", [7], lambda n, _: n / 50, count=10)
    short = rows("short", [0], lambda n, _: n / 50 if n % 2 else -n / 50, count=10)
    found = fidelity(pd.concat([truth, short]), "long")
    assert line(found, "short", 1, "odd").tau == pytest.approx(1)
    assert line(found, "short", 1, "even").tau == pytest.approx(-1)


def test_four_architectures_have_no_order_worth_the_name() -> None:
    found = fidelity(pd.concat([rows(name, [7], lambda n, _: n / 50, count=4) for name in ("short", "long")]), "long")
    few = line(found, "short", 1)
    assert few.architectures == 4
    assert math.isnan(few.tau) and math.isnan(few.told_apart) and few.pairs == 0


def test_a_failed_training_leaves_its_architecture_out_and_a_failed_control_its_seed() -> None:
    truth = rows("long", [7], lambda n, _: n / 50)
    short = rows("short", [0, 1], lambda n, _: n / 50)
    short.loc[(short.seed == 1) & (short.architecture == "a3"), "state"] = "failed"
    found = fidelity(pd.concat([truth, short]), "long")
    assert (line(found, "short", 1).architectures, line(found, "short", 2).architectures) == (8, 7)
    short.loc[(short.seed == 1) & (short.architecture == BASELINE), "state"] = "failed"
    assert set(paired_gains(short).seed) == {0}


def test_without_long_trainings_nothing_is_said() -> None:
    with pytest.raises(ValueError, match="'long' has its control"):
        fidelity(rows("short", [0], lambda n, _: n / 50), "long")
