from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import pytest

from harness.analysis.analysis import analyse
from harness.record.study import StudyRecord
from harness.report.figures import LATENCY, MACS, Axis, Corner, FrontFigure, Mark, front_figure, names_of
from tests.report import example


def figure(record: StudyRecord, axis: Axis = LATENCY) -> FrontFigure:
    return front_figure(analyse(record), axis)


def test_points_are_marked_by_evidence_and_verdict() -> None:
    marks = {point.architecture: point.mark for point in figure(example.winning()).points}
    assert marks["baseline"] is Mark.BASELINE
    assert marks["3fa9c1d2"] is Mark.GAIN
    assert marks["c41d9e02"] is Mark.UNDECIDED
    assert marks["09ab33f1"] is Mark.SCREENING
    assert marks["a0a1a2a3"] is Mark.LOSS


def test_failed_candidates_are_not_drawn() -> None:
    assert "f0f1f2f3" not in {point.architecture for point in figure(example.winning()).points}


def test_the_staircase_goes_right_then_up_through_the_judged_and_ends_at_the_edge() -> None:
    drawn = figure(example.winning())
    gains = {point.architecture: point.gain for point in drawn.points}
    cheap, best = gains["77e0b1aa"], gains["3fa9c1d2"]
    assert drawn.firm
    assert list(drawn.steps) == [
        (1.0, 0.0), (1.06, 0.0), (1.06, cheap), (1.21, cheap), (1.21, best), (drawn.x_range[1], best),
    ]  # fmt: skip


def test_without_judged_candidates_the_line_is_not_firm() -> None:
    drawn = figure(example.record(example.frame(example.baseline(0), example.candidate("aaaa", [0.01]))))
    assert not drawn.firm
    assert len(drawn.steps) == 4
    assert all(math.isnan(point.low) for point in drawn.points if point.mark is Mark.SCREENING)


def test_the_second_scales_say_the_same_in_other_words() -> None:
    latency, macs = figure(example.winning()), figure(example.winning(), MACS)
    assert latency.second_x is not None and macs.second_x is not None and latency.second_y is not None
    assert latency.second_x.factor * 1.21 == pytest.approx(12.1)  # ms
    assert macs.second_x.offset + macs.second_x.factor * 108 == pytest.approx(8)  # %
    assert latency.second_y.offset == pytest.approx(0.497)  # mAP50-95


def test_a_candidate_without_a_latency_is_counted_and_drawn_against_macs_alone() -> None:
    rows = example.candidate("aaaa", [0.01], ratio=math.nan)
    record = example.record(example.frame(example.baseline(0), rows))
    assert figure(record).undrawn == 1
    assert len(figure(record, MACS).points) == 2


def test_the_ranges_hold_every_point_and_the_bars_of_the_judged() -> None:
    drawn = figure(example.winning())
    for point in drawn.points:
        assert drawn.x_range[0] < point.x < drawn.x_range[1]
        assert drawn.y_range[0] < point.gain < drawn.y_range[1]
        if point.mark is Mark.GAIN:
            assert drawn.y_range[0] < point.low < point.high < drawn.y_range[1]


def test_one_bar_does_not_press_the_points_together() -> None:
    rows = example.candidate("aaaa", [0.01], ratio=1.2) + example.candidate("bbbb", [0.02], ratio=1.1)
    rows[0] |= {"latency_ratio_low": 0.7, "latency_ratio_high": 700.0}
    low, high = figure(example.record(example.frame(example.baseline(0), rows))).x_range
    assert low > 0.7 and high < 1.5  # points from 1 to 1.2
    assert low < 1 - 0.2 and high > 1.2 + 0.2  # the bar is cut at as much again


def test_nothing_measured_is_an_empty_figure() -> None:
    drawn = figure(example.record(example.frame()))
    assert (drawn.points, drawn.steps, drawn.baseline) == ((), (), None)


def test_names_at_the_right_edge_stand_on_the_left() -> None:
    drawn = figure(example.winning())
    sides = {point.architecture: drawn.label_left(point) for point in drawn.points}
    assert sides["b0b1b2b3"] and not sides["baseline"]


def test_trainings_of_different_lengths_are_said_on_the_axis() -> None:
    long = [each | {"epochs": 12} for each in example.baseline(0, 1) + example.candidate("aaaa", [0.01, 0.02])]
    mixed = example.record(example.frame(long, example.baseline(0), example.candidate("bbbb", [0.01])))
    assert figure(mixed).y_title == "gain in mAP50-95 after 3 or 12 epochs"
    assert figure(mixed).second_y is None  # there are two baselines
    assert figure(example.winning()).y_title == "gain in mAP50-95"


def test_the_line_of_the_front_joins_gains_of_one_kind_alone() -> None:
    long = [each | {"epochs": 12} for each in example.baseline(0, 1) + example.candidate("aaaa", [0.01, 0.01])]
    short = example.baseline(0, 1), example.candidate("bbbb", [0.05, 0.05], ratio=1.05)
    drawn = figure(example.record(example.frame(long, *short)))
    assert {point.architecture: point.shorter for point in drawn.points if point.shorter} == {"bbbb": "3 epochs"}
    assert sorted({round(gain, 4) for _, gain in drawn.steps}) == [0.0, 0.01]
    assert not any(point.shorter for point in figure(example.winning()).points)


def test_what_is_beyond_a_bound_is_drawn_on_no_front() -> None:
    record = example.winning()
    bounded = dataclasses.replace(record, settings=record.settings | {"constraints": {"max_macs": 107e6}})
    for axis in (LATENCY, MACS):
        points = {point.architecture: point for point in figure(bounded, axis).points}
        assert set(points) == {point.architecture for point in figure(record, axis).points}
        assert points["3fa9c1d2"].mark is Mark.BEYOND and not points["3fa9c1d2"].on_front
        assert points["3fa9c1d2"].notes[-1] == "beyond a bound: MACs above 107 M"
        assert points["77e0b1aa"].mark is Mark.GAIN and points["77e0b1aa"].on_front
        assert figure(bounded, axis).steps[-1][1] == points["77e0b1aa"].gain


def test_who_was_beaten_only_from_beyond_the_bounds_is_on_the_front() -> None:
    fast = example.candidate("fast", [0.02] * 3, ratio=1.05, macs=120e6)
    lean = example.candidate("lean", [0.01] * 3, ratio=1.1)
    record = example.record(example.frame(example.baseline(0, 1, 2), fast, lean))
    bounded = dataclasses.replace(record, settings=record.settings | {"constraints": {"max_macs": 110e6}})
    on_front = [{p.architecture for p in figure(each).points if p.on_front} for each in (record, bounded)]
    assert on_front == [{"baseline", "fast"}, {"baseline", "lean"}]


BELOW_RIGHT, ABOVE_RIGHT = Corner(above=False, left=False), Corner(above=True, left=False)
BELOW_LEFT, ABOVE_LEFT = Corner(above=False, left=True), Corner(above=True, left=True)


def picture(places: Sequence[tuple[float, float]], *, on_front: bool = True) -> FrontFigure:
    """Points c0, c1, ... at shares of the picture's width and height; the baseline in a corner, without a name."""
    rows = [example.candidate(f"c{number}", [0.0, 0.01] * 2) for number in range(len(places))]
    record = example.record(example.frame(example.baseline(0, 1, 2, 3), *rows))
    drawn = front_figure(analyse(record), LATENCY)
    points = {point.architecture: point for point in drawn.points}
    placed = [
        dataclasses.replace(points[f"c{number}"], x=x, gain=gain, on_front=on_front or number == 0)
        for number, (x, gain) in enumerate(places)
    ]
    placed.append(dataclasses.replace(points["baseline"], x=0.0, gain=0.0, on_front=False))
    return dataclasses.replace(drawn, points=tuple(placed), x_range=(0.0, 1.0), y_range=(0.0, 1.0), pick="")


@pytest.mark.parametrize(
    ("place", "corner"),
    [
        ((0.5, 0.5), BELOW_RIGHT),
        ((0.9, 0.5), BELOW_LEFT),
        ((0.5, 0.02), ABOVE_RIGHT),
        ((0.9, 0.02), ABOVE_LEFT),
    ],
)
def test_a_name_stands_below_to_the_right_and_stays_in_the_picture(place: tuple[float, float], corner: Corner) -> None:
    assert names_of(picture([place])) == {"c0": corner}


@pytest.mark.parametrize(
    ("others", "corner"),
    [
        ([(0.56, 0.46)], ABOVE_RIGHT),
        ([(0.56, 0.46), (0.56, 0.54)], BELOW_LEFT),
        ([(0.56, 0.46), (0.56, 0.54), (0.44, 0.46)], ABOVE_LEFT),
        ([(0.56, 0.46), (0.56, 0.54), (0.44, 0.46), (0.44, 0.54), (0.45, 0.54)], BELOW_RIGHT),
    ],
)
def test_a_name_gives_way_to_other_points_to_the_fewest_if_it_must(
    others: list[tuple[float, float]], corner: Corner
) -> None:
    assert names_of(picture([(0.5, 0.5), *others], on_front=False)) == {"c0": corner}


def test_of_names_at_one_place_four_find_a_corner_and_those_of_the_larger_gains_stay() -> None:
    crowd = [(0.5, 0.5 + 0.001 * number) for number in range(6)]
    names = names_of(picture(crowd))
    assert set(names) == {"c2", "c3", "c4", "c5"}
    assert set(names.values()) == {BELOW_RIGHT, ABOVE_RIGHT, BELOW_LEFT, ABOVE_LEFT}


def test_the_pick_comes_first() -> None:
    crowd = dataclasses.replace(picture([(0.5, 0.5 + 0.001 * number) for number in range(6)]), pick="c0")
    names = names_of(crowd)
    assert "c0" in names and len(names) == 4


def test_no_two_names_overlap() -> None:
    places = [(0.3 + 0.02 * number, 0.3 + 0.015 * number) for number in range(20)]
    drawn = picture(places)
    boxes = []
    for name, corner in names_of(drawn).items():
        x, y = places[int(name[1:])]
        boxes.append((x - 0.12 if corner.left else x, y + 0.015 if corner.above else y - 0.065))
    assert len(boxes) >= 5
    for at, (x, y) in enumerate(boxes):
        assert all(abs(x - other[0]) > 0.119 or abs(y - other[1]) > 0.049 for other in boxes[:at])
