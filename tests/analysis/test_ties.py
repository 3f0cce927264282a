from __future__ import annotations

import math
import random
from itertools import combinations

import numpy as np
import pytest

from harness.analysis.noise import Noise
from harness.analysis.statistics import gain_noise, judging_rows, summarise
from harness.analysis.ties import difference_sd, letters, told_apart
from tests.report import example

NOISE = Noise(sd=0.01, low=0.005, high=0.02, df=12, architectures=4)


def pair(one: str, other: str) -> frozenset[str]:
    return frozenset({one, other})


@pytest.mark.parametrize(
    ("seeds", "others", "variance"),
    [
        ([1, 2, 3], [1, 2, 3], 1 / 3),  # as a gain over the baseline of three seeds
        ([1, 2, 3, 4], [5, 6], 1 / 4 + 1 / 2),  # nothing in common
        ([1, 2], [2, 3], 1 / 2 + 1 / 2 - 1 / 4),
    ],
)
def test_the_variance_of_a_difference_in_closed_form(seeds: list[int], others: list[int], variance: float) -> None:
    assert difference_sd(NOISE, seeds, others) == pytest.approx(0.01 * math.sqrt(variance))


def test_the_variance_of_a_difference_against_a_simulation() -> None:
    rng = np.random.default_rng(0)
    readings = rng.normal(size=(200_000, 3, 4))  # baseline, a, b; four seeds; a gain's sd is √2
    gain_a = (readings[:, 1, :3] - readings[:, 0, :3]).mean(axis=1)
    gain_b = (readings[:, 2, 2:] - readings[:, 0, 2:]).mean(axis=1)
    noise = Noise(sd=math.sqrt(2), low=1, high=2, df=12, architectures=4)
    assert difference_sd(noise, [0, 1, 2], [2, 3]) == pytest.approx((gain_a - gain_b).std(), rel=0.01)


def test_gains_rest_on_the_seeds_that_did_not_pick() -> None:
    trials = example.winning().trials
    rows, summary = judging_rows(trials), summarise(trials)
    means = rows.groupby("architecture")["gain_map50_95"].agg(["mean", "count"])
    of_summary = summary.loc[means.index]
    assert means["mean"].tolist() == pytest.approx(of_summary["gain_map50_95"].tolist())
    assert means["count"].tolist() == of_summary["gain_seeds"].tolist()
    assert set(rows.loc[rows["architecture"] == "3fa9c1d2", "seed"]) == {1, 2, 3}


def test_a_pair_is_told_apart_where_the_interval_of_its_difference_leaves_out_zero() -> None:
    trials = example.winning().trials
    half = gain_noise(trials).half_width(3)  # the same three seeds judge all
    means = judging_rows(trials).groupby("architecture")["gain_map50_95"].mean()
    names = ["3fa9c1d2", "77e0b1aa", "c41d9e02"]
    expected = {pair(a, b) for a, b in combinations(names, 2) if abs(means[a] - means[b]) > half}
    assert expected == {pair("3fa9c1d2", "c41d9e02"), pair("77e0b1aa", "c41d9e02")}
    assert told_apart(trials, names) == expected


def test_nothing_is_told_apart_without_noise_or_after_different_lengths() -> None:
    single = example.frame(example.baseline(0), example.candidate("aaaa", [0.5]), example.candidate("bbbb", [0.1]))
    assert told_apart(single, ["aaaa", "bbbb"]) == set()
    long = [each | {"epochs": 12} for each in example.baseline(0, 1, 2) + example.candidate("aaaa", [0.5, 0.51, 0.5])]
    mixed = example.frame(long, example.baseline(0, 1, 2), example.candidate("bbbb", [0.1, 0.11, 0.1]))
    assert told_apart(mixed, ["aaaa", "bbbb"]) == set()


def test_a_chain_of_ties_has_overlapping_letters() -> None:
    # 1 ~ 2 ~ 3, but 1 and 3 are told apart
    assert letters(["1", "2", "3"], {pair("1", "3")}) == {"1": ("a",), "2": ("a", "b"), "3": ("b",)}
    assert letters(["1", "2"], set()) == {"1": ("a",), "2": ("a",)}
    assert letters(["1", "2"], {pair("1", "2")}) == {"1": ("a",), "2": ("b",)}
    assert letters([], set()) == {}


@pytest.mark.parametrize("seed", range(20))
def test_two_share_a_letter_if_and_only_if_they_are_not_told_apart(seed: int) -> None:
    rng = random.Random(seed)
    names = [f"n{i}" for i in range(7)]
    apart = {pair(a, b) for a, b in combinations(names, 2) if rng.random() < 0.4}
    found = letters(names, apart)
    for a, b in combinations(names, 2):
        assert bool(set(found[a]) & set(found[b])) is (pair(a, b) not in apart)


def test_letters_go_on_after_z() -> None:
    names = [f"n{i:02}" for i in range(28)]
    found = letters(names, {pair(a, b) for a, b in combinations(names, 2)})
    assert found["n00"] == ("a",) and found["n25"] == ("z",) and found["n27"] == ("ab",)
