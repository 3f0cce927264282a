from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.search.simulate import Replay
from harness.search.simulation_summary import curves, summarize


def replay_of(shares: Sequence[float], *, stalled: bool = False, number: int = 1) -> Replay:
    return Replay(
        shares=np.array(shares, dtype=float), distinct=number, asks=10 * number, stalled=stalled,
        seconds_per_suggestion=0.1 * number, final_share=0.2 * number, confirmations=number,
    )  # fmt: skip


def test_numbers_are_medians_over_seeds_and_stalled_ones_are_counted() -> None:
    runs = [replay_of([0.5], number=number, stalled=number == 3) for number in (1, 2, 3)]
    found = summarize("random", runs)
    assert (found.sampler, found.seeds, found.distinct, found.asks, found.confirmations) == ("random", 3, 2, 20, 2)
    assert (found.stalled, found.final_share, found.seconds_per_suggestion) == (1, 0.4, 0.2)


def test_a_curve_is_the_median_and_quartiles_after_each_training() -> None:
    frame = curves({"a": [replay_of([seed, 10 * seed]) for seed in range(5)], "b": [replay_of([7, 8])]})
    assert frame.to_dict("list") == {
        "sampler": ["a", "a", "b", "b"], "trainings": [1, 2, 1, 2],
        "low": [1, 10, 7, 8], "median": [2, 20, 7, 8], "high": [3, 30, 7, 8],
    }  # fmt: skip


@pytest.mark.parametrize(("budget", "counts"), [(1, [1]), (10, [10]), (25, [10, 20, 25]), (40, [10, 20, 30, 40])])
def test_hypervolume_is_told_at_every_tenth_budget_and_the_last(budget: int, counts: list[int]) -> None:
    found = summarize("a", [replay_of(range(1, budget + 1))])
    assert found.hypervolume == {count: count for count in counts}
    assert found.hypervolume_quartiles == {count: (count, count) for count in counts}


def reached_at(training: int | None) -> Replay:
    """Of 20 trainings, 96 % from this one on."""
    return replay_of([0.96 if training is not None and count >= training else 0.5 for count in range(1, 21)])


@pytest.mark.parametrize(
    ("trainings", "median"),
    [
        ([3, 5, 9], 5), ([3, 5, None], 5), ([3, None, None], None), ([None], None), ([4, 8], 6),
        ([4, None], 4), ([4, 6, None, None], 6), ([4, None, None, None], None),
    ],
)  # fmt: skip
def test_the_median_of_what_half_of_the_seeds_reached(trainings: list[int | None], median: float | None) -> None:
    found = summarize("a", [reached_at(training) for training in trainings])
    assert found.evaluations_to == {0.95: median, 0.98: None, 0.99: None}
    assert found.reached == {0.95: sum(training is not None for training in trainings), 0.98: 0, 0.99: 0}


@given(st.lists(st.integers(1, 20), min_size=1, max_size=7))
def test_where_all_seeds_reached_it_it_is_numpys_median(trainings: list[int]) -> None:
    found = summarize("a", [reached_at(training) for training in trainings])
    assert found.evaluations_to[0.95] == np.median(trainings)


def test_json_has_strings_as_keys() -> None:
    plain = json.loads(json.dumps(summarize("a", [replay_of([0.5, 0.97])]).to_dict()))
    assert plain["hypervolume"] == {"2": 0.97} and plain["hypervolume_quartiles"] == {"2": [0.97, 0.97]}
    assert plain["evaluations_to"] == {"0.95": 2, "0.98": None, "0.99": None}
