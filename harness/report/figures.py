"""The pictures as records: which points, which bars, which line. Nothing is drawn here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product
from typing import Any, NamedTuple

from harness.analysis.analysis import FRONTS, Analysis
from harness.analysis.statistics import Standing, Verdict
from harness.architecture import BASELINE
from harness.report import phrases, words

# Of the largest x: points that are closer together than that still leave their bars so much room.
_LEAST_SPAN = 0.1


class Mark(StrEnum):
    """What a point is: shape and colour follow from it."""

    BASELINE = "baseline"
    GAIN = "gain"
    UNDECIDED = "undecided"
    LOSS = "loss"
    SCREENING = "screening only"
    BEYOND = "beyond a bound"
    # The base, widened to an architecture's size, from an ablation beside the search.
    PLACEBO = "placebo"


class Look(NamedTuple):
    """How a mark looks, and what it means; shape and colour both tell, for those who see no colour."""

    color: str
    symbol: str
    marker: str
    size: int
    legend: str
    hollow: bool = False


# Okabe and Ito's palette, https://jfly.uni-koeln.de/color/; the page swaps in lighter tones when dark.
LOOKS: dict[Mark, Look] = {
    Mark.BEYOND: Look("#7a7f87", "x", "x", 8, "beyond a bound of the search"),
    Mark.SCREENING: Look("#7a7f87", "circle-open", "o", 8, "one seed: not judged", hollow=True),
    Mark.LOSS: Look("#D55E00", "triangle-down", "v", 10, "worse than the baseline"),
    Mark.UNDECIDED: Look("#0072B2", "square", "s", 10, "judged, not told from the baseline"),
    Mark.GAIN: Look("#009E73", "circle", "o", 12, "beats the baseline"),
    Mark.PLACEBO: Look("#8a6500", "pentagon", "p", 13, "placebo: the base, widened"),
    Mark.BASELINE: Look("#1b1f24", "diamond", "D", 12, "baseline"),
}

FAINT = 0.7
MOST_BARS = 30


def is_barred(mark: Mark, count: int) -> bool:
    """Return whether so many points of a kind have bars: of many single seeds and losses they would hide the rest.

    Judged candidates that matter to the answer keep theirs, however many there are; so do placebos.
    """
    return mark in {Mark.GAIN, Mark.UNDECIDED, Mark.PLACEBO} or (count <= MOST_BARS and mark is not Mark.BASELINE)


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A cost to draw the gain against: a column of the summary; `relative` is the same in other words."""

    key: str
    column: str
    title: str
    relative: str
    heading: str


LATENCY = Axis(
    key="latency",
    column=FRONTS["latency"],
    title="latency, × baseline (interleaved runs)",
    relative="latency, ms (ratio × baseline's median)",
    heading="Accuracy against latency",
)
MACS = Axis(
    key="macs",
    column=FRONTS["macs"],
    title="multiply–accumulates per image, millions",
    relative="change to the baseline, %",
    heading="Accuracy against computation",
)
AXES = (LATENCY, MACS)
_SCALE = {"latency": 1.0, "macs": 1e-6}


@dataclass(frozen=True, kw_only=True)
class Point:
    """One architecture: cost and gain with their intervals (NaN where there is none).

    `ties` are the letters of its groups of front members that the noise does not tell apart; `shorter` is after how
    many epochs its gain is, where others were trained longer.
    """

    architecture: str
    mark: Mark
    on_front: bool
    x: float
    x_low: float
    x_high: float
    gain: float
    low: float
    high: float
    notes: tuple[str, ...]
    ties: tuple[str, ...] = ()
    shorter: str = ""

    @property
    def opacity(self) -> float:
        """Faint where others beat it, unless it is what candidates are compared with."""
        return 1.0 if self.on_front or self.mark in {Mark.BASELINE, Mark.PLACEBO} else FAINT


@dataclass(frozen=True, kw_only=True)
class Linear:
    """A second scale on the same axis: second = offset + factor × first."""

    offset: float
    factor: float


@dataclass(frozen=True, kw_only=True)
class FrontFigure:
    """Everything that a renderer needs for one picture.

    Attributes:
        points: The baseline and every measured candidate; failed ones are not drawn.
        steps: Corners of the front's staircase, from the cheapest member to the right edge; of those trained longest.
        firm: Whether the staircase rests on judged architectures, not on single seeds.
        second_x: The same cost in other words, None where the baseline has none.
        second_y: mAP50-95 of the baseline plus gain, None where unknown or where several baselines count.
        undrawn: Measured candidates that lack this cost.
        digits: Decimals of an mAP.
    """

    axis: Axis
    points: tuple[Point, ...]
    steps: tuple[tuple[float, float], ...]
    firm: bool
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    second_x: Linear | None
    second_y: Linear | None
    undrawn: int
    digits: int
    y_title: str
    pick: str = ""

    def label_left(self, point: Point) -> bool:
        """Return whether a point stands so far right that its name belongs to its left."""
        low, high = self.x_range
        return point.x > low + 0.7 * (high - low)

    @property
    def members(self) -> tuple[Point, ...]:
        """The points on the front."""
        return tuple(point for point in self.points if point.on_front)

    @property
    def baseline(self) -> Point | None:
        """The point that all others are compared with."""
        return next((point for point in self.points if point.mark is Mark.BASELINE), None)


def front_figure(study: Analysis, axis: Axis) -> FrontFigure:
    """Build the record of one picture."""
    summary = study.summary
    compared = summary[summary["standing"] != Standing.UNMEASURED]
    drawn = compared[compared[axis.column].notna()]
    points = tuple(_point(study, str(name), row, axis) for name, row in drawn.iterrows())
    x_range, y_range = _ranges(points)
    lengths = phrases.lengths(summary)
    epochs = f" after {' or '.join(map(str, lengths))} epochs" if len(lengths) > 1 else ""
    longest = [point for point in points if not point.shorter]
    on_it = [point.mark for point in longest if point.on_front]
    firm = Mark.SCREENING not in on_it or any(mark not in {Mark.BASELINE, Mark.SCREENING} for mark in on_it)
    return FrontFigure(
        axis=axis,
        points=points,
        steps=_staircase([p for p in longest if not firm or p.mark is not Mark.SCREENING], x_range[1]),
        firm=firm,
        x_range=x_range,
        y_range=y_range,
        second_x=_second_x(summary.loc[BASELINE], axis),
        second_y=_linear(float(summary["map50_95"][BASELINE]), 1.0) if len(lengths) < 2 else None,
        undrawn=len(compared) - len(drawn),
        digits=study.digits,
        y_title=f"gain in mAP50-95{epochs}",
    )


def marked(
    figure: FrontFigure, pick: str, letters: Mapping[str, Sequence[str]], tied: Mapping[str, Sequence[str]]
) -> FrontFigure:
    """Return the figure with what is known only later: the pick, if any, the letters of tied points, and with whom."""

    def told(point: Point) -> Point:
        name = point.architecture
        if name not in letters:
            return point
        return replace(point, ties=tuple(letters[name]), notes=(*point.notes, f"not told from {', '.join(tied[name])}"))

    return replace(figure, points=tuple(map(told, figure.points)), pick=pick)


def with_placebos(figure: FrontFigure, placebos: Sequence[Point]) -> FrontFigure:
    """Return the figure with what was trained beside the search: in the picture, never on the front."""
    if not placebos:
        return figure
    points = (*figure.points, *placebos)
    x_range, y_range = _ranges(points)
    steps = (*figure.steps[:-1], (x_range[1], figure.steps[-1][1])) if figure.steps else ()
    return replace(figure, points=points, x_range=x_range, y_range=y_range, steps=steps)


def _point(study: Analysis, name: str, row: Any, axis: Axis) -> Point:
    record, digits = study.record, study.digits
    scale = _SCALE[axis.key]
    x = float(row[axis.column]) * scale
    low, high = (float(row.get(f"{axis.column}_{end}", math.nan)) * scale for end in ("low", "high"))
    known = record.architectures.get(name)
    gain = words.with_interval(row["gain_map50_95"], row["gain_low"], row["gain_high"], digits)
    beyond = phrases.beyond(row, record.constraints)
    base_ms = float(study.summary["latency_ms_p50"].get(BASELINE, math.nan))  # raw medians are of different times
    notes = (
        *(placement.describe() for placement in (known.placements if known else ())),
        f"gain {gain} mAP50-95, {row['gain_basis']}",
        f"mAP50-95 {words.plain(row['map50_95'], digits)} "
        f"{words.interval(row['map50_95_low'], row['map50_95_high'], digits)}, "
        f"after {words.epochs(row['epochs'])}",
        f"latency {phrases.latency_of(row)}, {words.milliseconds(row['latency_ratio'] * base_ms)}",
        f"{words.amount(row['macs'])} MACs, {words.amount(row['params'])} parameters",
        *(f"beyond a bound: {bound}" for bound in beyond),
    )
    return Point(
        architecture=name,
        mark=Mark.BEYOND if beyond and name != BASELINE else _mark(row),
        on_front=bool(row[f"front_{axis.key}"]),
        x=x,
        x_low=low,
        x_high=high,
        gain=float(row["gain_map50_95"]),
        low=float(row["gain_low"]),
        high=float(row["gain_high"]),
        notes=notes,
        shorter=words.epochs(row["epochs"]) if row["epochs"] < study.summary["epochs"].max() else "",
    )


def _mark(row: Any) -> Mark:
    """Choose a point's mark: evidence first, then verdict. A screening candidate may be a loss, never a gain."""
    if row["standing"] == Standing.BASELINE:
        return Mark.BASELINE
    if row["verdict"] == Verdict.LOSS:
        return Mark.LOSS
    if row["standing"] == Standing.SCREENING:
        return Mark.SCREENING
    return Mark.GAIN if row["verdict"] == Verdict.GAIN else Mark.UNDECIDED


def _staircase(points: list[Point], edge: float) -> tuple[tuple[float, float], ...]:
    """Compute the corners of the line below which everything is dominated: right first, then up."""
    members = sorted((point.x, point.gain) for point in points if point.on_front)
    corners: list[tuple[float, float]] = []
    for x, gain in members:
        corners += [*((x, before) for _, before in corners[-1:]), (x, gain)]
    return (*corners, (edge, corners[-1][1])) if corners else ()


def _ranges(points: tuple[Point, ...]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Compute what to show: all points and the bars of judged ones; a screening bar may leave the picture.

    So may a bar along x that is longer than all the points are apart: one latency that was measured on a busy machine
    would press all others together.
    """
    xs = [p.x for p in points if math.isfinite(p.x)]
    if xs:
        span = max(max(xs) - min(xs), _LEAST_SPAN * max(xs))
        ends = [end for p in points for end in (p.x_low, p.x_high) if math.isfinite(end)]
        xs += [min(max(end, min(xs) - span), max(xs) + span) for end in ends]
    ys = [0.0, *(p.gain for p in points)]
    ys += [v for p in points if p.mark is not Mark.SCREENING for v in (p.low, p.high) if math.isfinite(v)]
    return _padded(xs or [1.0], 0.06), _padded(ys, 0.10)


def _padded(values: list[float], share: float) -> tuple[float, float]:
    """Widen the values' range by a margin; a single value gets one of a hundredth."""
    low, high = min(values), max(values)
    margin = (high - low) * share or max(abs(high), 1.0) * 0.01
    return low - margin, high + margin


def _second_x(base: Any, axis: Axis) -> Linear | None:
    """Return the second scale: milliseconds for a ratio, percent for MACs."""
    if axis.key == "latency":
        return _linear(0.0, float(base["latency_ms_p50"]))
    return _linear(-100.0, 100 / (float(base["macs"]) * _SCALE["macs"]))


def _linear(offset: float, factor: float) -> Linear | None:
    return Linear(offset=offset, factor=factor) if math.isfinite(offset) and math.isfinite(factor) else None


# What a name takes of a wide figure's width and height.
_NAME_WIDTH, _NAME_HEIGHT = 0.12, 0.05
# About half of what a point takes of the figure's height.
_MARK_HEIGHT = 0.015


class Corner(NamedTuple):
    """Which side of its point a name stands on."""

    above: bool
    left: bool


def names_of(figure: FrontFigure) -> dict[str, Corner]:
    """Place the names of the pick and of members of the front, where no name stands on another one.

    If there is room for one only, it is the pick's or that of the larger gain. A name stands below its point and to
    the right, unless it would lie on fewer points elsewhere or leave the picture.
    """
    members = [
        p for p in figure.points if (p.on_front and p.mark is not Mark.SCREENING) or p.architecture == figure.pick
    ]
    taken: list[tuple[float, float]] = []
    names = {}

    def is_free(x: float, y: float) -> bool:  # names may touch, as those to the left and right of one place do
        wide, high = 0.999 * _NAME_WIDTH, 0.999 * _NAME_HEIGHT
        return all(abs(x - other) > wide or abs(y - below) > high for other, below in taken)

    for point in sorted(members, key=lambda p: (p.architecture != figure.pick, p.mark is not Mark.BASELINE, -p.gain)):
        free = {corner: middle for corner, middle in _middles(figure, point).items() if is_free(*middle)}
        if free:
            corner = min(free, key=lambda each: _points_under(figure, point, free[each]))
            taken.append(free[corner])
            names[point.architecture] = corner
    return names


def _middles(figure: FrontFigure, point: Point) -> dict[Corner, tuple[float, float]]:
    """Compute the middle of a name at each corner, in shares of the picture: those that stay in it, best first."""
    x, y = _place(figure, point)
    found = {}
    for left, above in product((figure.label_left(point), not figure.label_left(point)), (False, True)):
        across, up = (-1 if left else 1) * _NAME_WIDTH / 2, (1 if above else -1) * (_MARK_HEIGHT + _NAME_HEIGHT / 2)
        middle = x + across, y + up
        sized = zip(middle, (_NAME_WIDTH, _NAME_HEIGHT), strict=True)
        if all(size / 2 <= at <= 1 - size / 2 for at, size in sized):
            found[Corner(above=above, left=left)] = middle
    return found or {Corner(above=False, left=figure.label_left(point)): (x, y)}


def _place(figure: FrontFigure, point: Point) -> tuple[float, float]:
    """Compute where a point is, in shares of the picture."""
    (left, right), (low, high) = figure.x_range, figure.y_range
    return (point.x - left) / (right - left), (point.gain - low) / (high - low)


def _points_under(figure: FrontFigure, own: Point, middle: tuple[float, float]) -> int:
    """Count the other points that a name lies on."""
    places = [_place(figure, point) for point in figure.points if point.architecture != own.architecture]
    wide, high = _NAME_WIDTH / 2 + _MARK_HEIGHT / 2, _NAME_HEIGHT / 2 + _MARK_HEIGHT
    return sum(abs(x - middle[0]) < wide and abs(y - middle[1]) < high for x, y in places)
