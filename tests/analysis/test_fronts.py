"""Fronts, against the definition written out.

A table of dominance, more of `map` and less of `ms` being better. `S` beats under `strict` (at least as
good everywhere, better somewhere), `W` under `weak` too (better everywhere), `=` equal everywhere:

             a      b      c      d      e      f
    map     0.5    0.5    0.6    0.5    0.4    0.6
    ms      10     12     12     10     12     20
    a beats  .      S      .      =      W      .
    b beats  .      .      .      .      S      .
    c beats  .      S      .      .      S      S
    d beats  =      S      .      .      W      .
    e beats  .      .      .      .      .      .
    f beats  .      .      .      .      .      .
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis.fronts import Keep, non_dominated

TABLE = pd.DataFrame({"map": [0.5, 0.5, 0.6, 0.5, 0.4, 0.6], "ms": [10, 12, 12, 10, 12, 20]}, index=list("abcdef"))
STRICT = {"a": "be", "b": "e", "c": "bef", "d": "be", "e": "", "f": ""}
WEAK = {"a": "e", "b": "", "c": "", "d": "e", "e": "", "f": ""}


def members(frame: pd.DataFrame, keep: str = "strict") -> str:
    """Names on the front of map against ms."""
    on_front = non_dominated(frame, maximize=["map"], minimize=["ms"], keep=keep)
    return "".join(frame.index[on_front])


@pytest.mark.parametrize(("keep", "beats"), [("strict", STRICT), ("weak", WEAK)])
@pytest.mark.parametrize("first", TABLE.index)
@pytest.mark.parametrize("second", TABLE.index)
def test_every_pair_follows_the_table_of_dominance(first: str, second: str, keep: str, beats: dict[str, str]) -> None:
    if first == second:
        assert members(TABLE.loc[[first]], keep) == first
        return
    expected = "".join(name for name, other in ((first, second), (second, first)) if name not in beats[other])
    assert members(TABLE.loc[[first, second]], keep) == expected


def test_strict_keeps_copies_of_a_front_point_and_drops_every_tie() -> None:
    assert members(TABLE) == "acd"


def test_weak_keeps_a_slower_row_that_equals_the_best_accuracy() -> None:
    assert members(TABLE, "weak") == "abcdf"


@pytest.mark.parametrize("keep", list(Keep))
def test_a_row_with_nan_is_never_on_the_front_and_beats_nobody(keep: Keep) -> None:
    frame = pd.DataFrame({"map": [0.9, math.nan, 0.1], "ms": [math.nan, 1.0, 30.0]}, index=list("xyz"))
    assert members(frame, keep) == "z"


def test_the_answer_is_aligned_with_an_index_of_any_order() -> None:
    shuffled = TABLE.loc[list("fbdeca")]
    on_front = non_dominated(shuffled, maximize=["map"], minimize=["ms"])
    assert list(on_front.index) == list("fbdeca")
    assert on_front.dtype == bool
    assert set(shuffled.index[on_front]) == set("acd")


def test_one_objective_keeps_all_rows_with_the_best_value() -> None:
    assert list(non_dominated(TABLE, maximize=["map"])) == [False, False, True, False, False, True]
    assert list(non_dominated(TABLE, minimize=["ms"], keep="weak")) == [
        True,
        False,
        False,
        True,
        False,
        False,
    ]


def test_an_empty_table_has_an_empty_front() -> None:
    empty = non_dominated(TABLE[:0], maximize=["map"], minimize=["ms"])
    assert len(empty) == 0
    assert empty.dtype == bool


def test_negative_and_positive_zero_are_one_value() -> None:
    frame = pd.DataFrame({"map": [0.0, -0.0], "ms": [1.0, 1.0]}, index=list("pq"))
    assert members(frame) == "pq"


@pytest.mark.parametrize("objectives", [[], ["map", "map"]])
def test_objectives_are_named_each_once(objectives: list[str]) -> None:
    with pytest.raises(ValueError, match="each once"):
        non_dominated(TABLE, maximize=objectives)


def test_an_unknown_rule_and_an_unknown_column_are_refused() -> None:
    with pytest.raises(ValueError, match="lenient"):
        non_dominated(TABLE, maximize=["map"], keep="lenient")
    with pytest.raises(KeyError, match="speed"):
        non_dominated(TABLE, maximize=["speed"])


POINTS = st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=25)


@settings(deadline=None, max_examples=60)
@given(POINTS, st.sampled_from(list(Keep)))
def test_any_table_agrees_with_the_definition(points: list[tuple[int, int, int]], keep: Keep) -> None:
    frame = pd.DataFrame(points, columns=["up", "down", "low"])
    signed = frame.to_numpy() * np.array([1, -1, -1])  # more is better
    beaten = [
        any(
            (other > row).all() if keep is Keep.WEAK else (other >= row).all() and (other > row).any()
            for other in signed
        )
        for row in signed
    ]
    on_front = non_dominated(frame, maximize=["up"], minimize=["down", "low"], keep=keep)
    assert list(on_front) == [not each for each in beaten]


@pytest.mark.parametrize("keep", list(Keep))
def test_infinities_of_both_signs_in_three_objectives_are_compared_like_others(keep: Keep) -> None:
    inf = math.inf
    points = [[inf, -2, -inf], [3, -inf, -3], [inf, -inf, 0], [inf, inf, inf], [-inf, inf, -inf]]
    found = non_dominated(pd.DataFrame(points, columns=list("abc")), minimize=list("abc"), keep=keep)
    # [3, −∞, −3] is better than [∞, −∞, 0] in two objectives and equal in one, and than [∞, ∞, ∞] in all.
    assert found.tolist() == [True, True, keep is Keep.WEAK, False, True]
