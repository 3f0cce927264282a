"""Hypervolumes, against areas added up by hand and what must never change one."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis.fronts import non_dominated
from harness.analysis.hypervolume import hypervolume, reference_point, relative_hypervolume

UP, DOWN = ["map"], ["ms"]
REFERENCE = {"map": 0.0, "ms": 10.0}
STEPS = pd.DataFrame({"map": [0.2, 0.5, 0.6], "ms": [2.0, 4.0, 9.0]})


def volume(frame: pd.DataFrame) -> float:
    return hypervolume(frame, UP, DOWN, REFERENCE)


def test_the_area_under_a_staircase_is_the_sum_of_its_steps() -> None:
    # From the slowest on: 0.6 high and 1 wide, 0.5 and 5, 0.2 and 2.
    assert volume(STEPS) == pytest.approx(0.6 * (10 - 9) + 0.5 * (9 - 4) + 0.2 * (4 - 2))


def test_three_objectives_make_a_box() -> None:
    frame = pd.DataFrame({"map": [0.5], "ms": [4.0], "macs": [1e9]})
    assert hypervolume(frame, UP, ["ms", "macs"], {**REFERENCE, "macs": 3e9}) == pytest.approx(0.5 * 6 * 2e9)


@pytest.mark.parametrize(
    "row", [(0.3, 5.0), (0.5, 4.0), (0.0, 1.0), (0.9, 10.0), (0.9, 11.0), (-0.1, 1.0), (math.nan, 1.0), (0.9, math.nan)]
)
def test_a_row_that_is_dominated_a_copy_beyond_the_reference_or_unmeasured_adds_nothing(
    row: tuple[float, float],
) -> None:
    more = pd.concat([STEPS, pd.DataFrame([row], columns=["map", "ms"])])
    assert volume(more) == pytest.approx(volume(STEPS))


def test_no_rows_cover_nothing() -> None:
    assert volume(STEPS[:0]) == 0


@pytest.mark.parametrize("reference", [{"map": 0.0}, {"map": 0.0, "ms": math.nan}, {"map": 0.0, "ms": math.inf}])
def test_every_objective_needs_a_reference(reference: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="ms has no finite value"):
        hypervolume(STEPS, UP, DOWN, reference)


POINTS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=20)


def frame_of(points: list[tuple[int, int]]) -> pd.DataFrame:
    return pd.DataFrame(points, columns=["map", "ms"]).astype(float)


@settings(deadline=None, max_examples=60)
@given(POINTS)
def test_any_area_is_the_number_of_unit_squares_covered(points: list[tuple[int, int]]) -> None:
    squares = [(up, down) for up in range(12) for down in range(10)]  # between up and up + 1, down and down + 1
    covered = sum(any(best > up and fast <= down for best, fast in points) for up, down in squares)
    assert volume(frame_of(points)) == pytest.approx(covered)


@settings(deadline=None, max_examples=60)
@given(POINTS, POINTS, st.integers(0, 100))
def test_more_rows_never_cover_less_and_order_copies_and_dominated_rows_do_not_matter(
    points: list[tuple[int, int]], more: list[tuple[int, int]], seed: int
) -> None:
    frame = frame_of(points)
    assert volume(frame_of(points + more)) >= volume(frame) - 1e-9
    shuffled = pd.concat([frame, frame]).sample(frac=1, random_state=seed)
    assert volume(shuffled) == pytest.approx(volume(frame))
    assert volume(frame[non_dominated(frame, UP, DOWN)]) == pytest.approx(volume(frame))


def test_the_reference_point_lies_a_tenth_of_the_fronts_range_beyond_its_nadir() -> None:
    with_dominated = pd.concat([STEPS, pd.DataFrame({"map": [0.1, math.nan], "ms": [99.0, 1.0]})])
    found = reference_point(with_dominated, UP, DOWN)
    assert found == pytest.approx({"map": 0.2 - 0.1 * 0.4, "ms": 9.0 + 0.1 * 7.0})
    assert volume(STEPS) > 0


@pytest.mark.parametrize("copies", [1, 3])
def test_the_range_of_a_front_of_one_point_is_its_absolute_value(copies: int) -> None:
    frame = pd.DataFrame({"gain": [-0.5] * copies, "ms": [4.0] * copies, "zero": [0.0] * copies})
    found = reference_point(frame, ["gain"], ["ms", "zero"])
    assert found == pytest.approx({"gain": -0.55, "ms": 4.4, "zero": 1e-8})


def test_a_worst_cost_that_is_known_is_the_reference() -> None:
    assert reference_point(STEPS, UP, DOWN, worst={"ms": 30.0}) == pytest.approx({"map": 0.16, "ms": 30.0})


@settings(deadline=None, max_examples=60)
@given(POINTS)
def test_every_row_of_the_front_is_better_than_the_inferred_reference_point(points: list[tuple[int, int]]) -> None:
    frame = frame_of(points)
    reference = reference_point(frame, UP, DOWN)
    front = frame[non_dominated(frame, UP, DOWN)]
    assert (front["map"] > reference["map"]).all() and (front["ms"] < reference["ms"]).all()


def test_nothing_measured_has_no_reference_point() -> None:
    with pytest.raises(ValueError, match="none of 3 rows"):
        reference_point(STEPS.assign(ms=math.nan), UP, DOWN)


TABLE = pd.DataFrame({"map": [0.0, 0.25, 0.5, 1.0], "macs": [1.0, 10.0, 100.0, 1000.0]})


def test_costs_count_by_their_logarithm_in_a_share_of_the_true_front() -> None:
    # In decades below 1000: the true front covers 0.5 · 1 + 0.25 · 1, its second row alone 0.25 · 2.
    assert relative_hypervolume(TABLE[1:2], TABLE, UP, ["macs"]) == pytest.approx(0.25 * 2 / 0.75)
    assert relative_hypervolume(TABLE[[True, False, False, True]], TABLE, UP, ["macs"]) == 0
    assert relative_hypervolume(TABLE, TABLE, UP, ["macs"]) == pytest.approx(1)
    assert relative_hypervolume(TABLE[:0], TABLE, UP, ["macs"]) == 0


@settings(deadline=None, max_examples=40)
@given(POINTS, st.floats(0.1, 10), st.floats(-1, 1), st.floats(0.1, 10))
def test_a_share_is_the_same_after_normalisation_and_in_every_unit(
    points: list[tuple[int, int]], scale: float, shift: float, unit: float
) -> None:
    table = frame_of(points).assign(ms=lambda frame: 1 + frame["ms"])
    changed = table.assign(map=table["map"] * scale + shift, ms=table["ms"] * unit)
    half = len(table) // 2
    share = relative_hypervolume(table[:half], table, UP, DOWN)
    assert math.isnan(share) or 0 <= share <= 1 + 1e-9
    assert relative_hypervolume(changed[:half], changed, UP, DOWN) == pytest.approx(share, abs=1e-6, nan_ok=True)


def test_a_table_that_covers_nothing_has_no_share() -> None:
    assert math.isnan(relative_hypervolume(TABLE[:1], TABLE[:1], UP, ["macs"]))


def test_costs_that_are_not_above_zero_count_as_not_measured() -> None:
    flawed = pd.concat([TABLE, pd.DataFrame({"map": [2.0, 2.0], "macs": [0.0, -1.0]})])
    assert relative_hypervolume(flawed[1:2], flawed, UP, ["macs"]) == pytest.approx(0.25 * 2 / 0.75)
    with pytest.raises(ValueError, match="none of 2 rows"):
        relative_hypervolume(TABLE, flawed[4:], UP, ["macs"])


def test_objectives_are_named_each_once() -> None:
    with pytest.raises(ValueError, match="each once"):
        hypervolume(STEPS, UP, UP, REFERENCE)
