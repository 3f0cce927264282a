from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from harness.analysis.analysis import analyse
from harness.report.figures import LATENCY, Corner, FrontFigure, front_figure, names_of
from tests.report import example

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
