"""Parallel coordinates: every architecture as a line from choice to choice to its gain.

At a choice, lines are ordered by gain, so that a choice whose lines fan upwards is seen without being counted.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.architecture import Architecture
from harness.report import words
from harness.report.figures import FAINT, FrontFigure, Mark
from harness.report.interactive import LAYOUT

# More hide each other; the largest gains are drawn.
MOST_LINES = 150
FEWEST_LINES = 3
_NONE = "–"
# Of the room of a choice: what its lines share.
_SPREAD = 0.7
# What is drawn over what.
_ORDER = (Mark.BEYOND, Mark.SCREENING, Mark.LOSS, Mark.UNDECIDED, Mark.GAIN)


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A choice and what there was to choose, from the bottom up."""

    title: str
    levels: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Line:
    """An architecture: where it crosses each axis, 0 (bottom) to 1, the last one its gain; `shorter`: fewer epochs."""

    architecture: str
    mark: Mark
    heights: tuple[float, ...]
    shorter: bool = False


@dataclass(frozen=True, kw_only=True)
class Parallel:
    """The drawing.

    Attributes:
        axes: The choices in which the architectures differ.
        lines: One an architecture, the most important last; the pick's is drawn thick.
        ticks: Heights and names of gains on the last axis.
        about: What the heading adds: what all of them have, which has no axis, and how to read the lines.
    """

    kind: ClassVar[str] = "parallel"
    key: ClassVar[str] = "parallel"

    axes: tuple[Axis, ...]
    lines: tuple[Line, ...]
    ticks: tuple[tuple[float, str], ...]
    pick: str
    about: str


def parallel_coordinates(figure: FrontFigure, architectures: Mapping[str, Architecture]) -> Parallel | None:
    """Draw the candidates of a figure that have a gain; None where fewer than three differ in anything."""
    points = [each for each in figure.points if each.mark in _ORDER and each.architecture in architectures]
    points.sort(key=lambda each: -each.gain)
    points, left_out = points[:MOST_LINES], max(0, len(points) - MOST_LINES)
    choices = {each.architecture: _choices(architectures[each.architecture]) for each in points}
    chosen = {title for each in choices.values() for title in each}
    titles = [*sorted(chosen - set(_SHAPES)), *(title for title in _SHAPES if title in chosen)]  # sites first
    values = {title: [choices[each.architecture].get(title, _NONE) for each in points] for title in titles}
    axes = [
        Axis(title=title, levels=tuple(sorted(set(found), key=_level)))
        for title, found in values.items()
        if len(set(found)) > 1
    ]
    if len(points) < FEWEST_LINES or not axes:
        return None
    low, high = min(0.0, points[-1].gain), max(0.0, points[0].gain)
    columns = [_heights(values[axis.title], axis.levels) for axis in axes]
    columns.append([(each.gain - low) / ((high - low) or 1.0) for each in points])
    lines = [
        Line(architecture=each.architecture, mark=each.mark, heights=heights, shorter=bool(each.shorter))
        for each, heights in zip(points, zip(*columns, strict=True), strict=True)
    ]
    lines.sort(key=lambda each: (each.architecture == figure.pick, _ORDER.index(each.mark)))
    ends = dict.fromkeys((low, 0.0, high))
    about = [f"all have {title}: {found[0]}" for title, found in values.items() if len(set(found)) == 1]
    about += [f"{left_out} of smaller gains are not drawn"] * bool(left_out)
    about += ["dotted: after fewer epochs"] * any(each.shorter for each in points)
    return Parallel(
        axes=tuple(axes),
        lines=tuple(lines),
        ticks=tuple(((end - low) / ((high - low) or 1.0), words.signed(end, figure.digits)) for end in ends),
        pick=figure.pick,
        about="; ".join(about),
    )


def _choices(architecture: Architecture) -> dict[str, str]:
    """Name what it has at each site, and of what shape its Clo blocks are; several shapes are named together."""
    found = {placement.site: placement.kind for placement in architecture.placements}
    shapes: dict[str, set[str]] = {}
    for placement in (each for each in architecture.placements if each.is_clo):
        shapes.setdefault(_KERNEL, set()).update(str(group.kernel) for group in placement.groups)
        shapes.setdefault(_GLOBAL, set()).add(f"{placement.global_heads} of {placement.heads}")
        if placement.global_heads:
            shapes.setdefault(_POOL, set()).add(str(placement.kv_pool))
    return found | {title: ", ".join(sorted(each, key=_level)) for title, each in shapes.items() if each}


_KERNEL, _GLOBAL, _POOL = "local kernel, px", "global heads", "KV pool"
_SHAPES = (_KERNEL, _GLOBAL, _POOL)


def _level(name: str) -> tuple[float, str]:
    """Rank a level: none of it at the bottom, then by the first number, then by name."""
    number = name.replace(",", " ").split()[0]
    return (-1.0 if name == _NONE else float(number) if number.isdigit() else math.inf, name)


def _heights(values: Sequence[str], levels: Sequence[str]) -> list[float]:
    """Compute where the lines cross an axis; `values` are in the order of descending gains."""
    heights = [0.0] * len(values)
    for place, level in enumerate(levels):
        those = [at for at, value in enumerate(values) if value == level]
        for rank, at in enumerate(those):
            offset = 0.5 - (rank + 0.5) / len(those)
            heights[at] = (place + 0.5 + _SPREAD * offset) / len(levels)
    return heights


_CURVED = {"shape": "spline", "smoothing": 0.6}


def plotly_parallel(drawing: Parallel) -> Mapping[str, Any]:
    """Make `data` and `layout` for plotly.js, as `interactive.plotly_figure` does.

    Every crossing carries its architecture, so that pointing anywhere at a line points at its row.
    """
    count = len(drawing.axes) + 1
    traces = [_trace(drawing, each, count) for each in drawing.lines]
    levels = [
        (at, (place + 0.5) / len(axis.levels), html.escape(level))
        for at, axis in enumerate(drawing.axes)
        for place, level in enumerate(axis.levels)
    ]
    levels += [(count - 1, height, text) for height, text in drawing.ticks]
    layout = LAYOUT | {
        "height": 380,
        "margin": {"l": 20, "r": 70, "t": 16, "b": 56},
        "shapes": [{"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "line": {"width": 1}} for at in range(count)],
        "xaxis": {
            "title": {"text": ""},
            "range": [-0.15, count - 0.75],
            "tickvals": list(range(count)),
            "ticktext": [*(html.escape(axis.title).replace(".", ".<br>") for axis in drawing.axes), "gain, mAP50-95"],
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
        },
        "annotations": [
            {"x": x, "y": y, "text": text, "showarrow": False, "xanchor": "left", "xshift": 5, "borderpad": 1}
            for x, y, text in levels
        ],
        "yaxis": {"title": {"text": ""}, "visible": False, "range": [-0.04, 1.04], "fixedrange": True},
        "meta": {"second_x": None, "second_y": None, "lines": True},
    }
    return {"data": traces, "layout": layout}


def _trace(drawing: Parallel, line: Line, count: int) -> dict[str, object]:
    is_pick = line.architecture == drawing.pick
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": list(range(count)),
        "y": [round(height, 4) for height in line.heights],
        "hovertemplate": "%{customdata}<extra></extra>",
        "line": {"width": 3.2 if is_pick else 1.4, "dash": "dot" if line.shorter else "solid"} | _CURVED,
        "marker": {"size": 7 if is_pick else 4},
        "opacity": 1.0 if is_pick or line.mark is Mark.GAIN else FAINT,
        "meta": {"role": line.mark.name.lower(), "names": [line.architecture] * count},
    }
