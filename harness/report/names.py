"""Where names stand in a picture: at a corner of their point, on no other name, and on as few points as can be."""

from __future__ import annotations

from typing import NamedTuple

from harness.report.figures import FrontFigure, Mark, Point

_WIDTH, _HEIGHT = 0.12, 0.05
"""What a name takes of a wide figure's width and height."""
_MARK = 0.015
"""About half of what a point takes of the figure's height."""


class Corner(NamedTuple):
    """Which side of its point a name stands on."""

    above: bool
    left: bool


def names_of(figure: FrontFigure) -> dict[str, Corner]:
    """Who bears its name, and where: the pick and members of the front, where no name stands on another one.

    If there is room for one only, it is the pick's or that of the larger gain. A name stands below its point and to
    the right, unless it would lie on fewer points elsewhere or leave the picture.
    """
    members = [
        p for p in figure.points if (p.on_front and p.mark is not Mark.SCREENING) or p.architecture == figure.pick
    ]
    taken: list[tuple[float, float]] = []
    names = {}
    for point in sorted(members, key=lambda p: (p.architecture != figure.pick, p.mark is not Mark.BASELINE, -p.gain)):
        free = {corner: middle for corner, middle in _middles(figure, point).items() if _is_free(middle, taken)}
        if free:
            corner = min(free, key=lambda each: _points_under(figure, point, free[each]))
            taken.append(free[corner])
            names[point.architecture] = corner
    return names


def _middles(figure: FrontFigure, point: Point) -> dict[Corner, tuple[float, float]]:
    """The middle of a name at each corner, in shares of the picture: those that stay in it, the best first."""
    (left_end, right_end), (low, high) = figure.x_range, figure.y_range
    x, y = (point.x - left_end) / (right_end - left_end), (point.gain - low) / (high - low)
    found = {}
    for left in (figure.label_left(point), not figure.label_left(point)):
        for above in (False, True):
            middle = x + (-1 if left else 1) * _WIDTH / 2, y + (1 if above else -1) * (_MARK + _HEIGHT / 2)
            if _WIDTH / 2 <= middle[0] <= 1 - _WIDTH / 2 and _HEIGHT / 2 <= middle[1] <= 1 - _HEIGHT / 2:
                found[Corner(above=above, left=left)] = middle
    return found or {Corner(above=False, left=figure.label_left(point)): (x, y)}


def _is_free(middle: tuple[float, float], taken: list[tuple[float, float]]) -> bool:
    """Names may touch, as those to the left and right of one place do."""
    wide, high = 0.999 * _WIDTH, 0.999 * _HEIGHT
    return all(abs(middle[0] - x) > wide or abs(middle[1] - y) > high for x, y in taken)


def _points_under(figure: FrontFigure, own: Point, middle: tuple[float, float]) -> int:
    """How many other points a name lies on."""
    (left_end, right_end), (low, high) = figure.x_range, figure.y_range
    return sum(
        abs((p.x - left_end) / (right_end - left_end) - middle[0]) < _WIDTH / 2 + _MARK / 2
        and abs((p.gain - low) / (high - low) - middle[1]) < _HEIGHT / 2 + _MARK
        for p in figure.points
        if p.architecture != own.architecture
    )
