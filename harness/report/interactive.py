"""Figures as data for plotly.js: plain JSON, with every text escaped."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.report.curves import DASHES, Panel
from harness.report.figures import LOOKS, Corner, FrontFigure, Linear, Mark, Point, is_barred, names_of

# Diameter of the first group's ring, and how much larger the next one's is, in pixels.
_RING, _RING_STEP = 18, 6
# What all layouts have in common, and the order of their parts.
LAYOUT: dict[str, object] = {
    "height": 0,
    "margin": {},
    "hovermode": "closest",
    "dragmode": False,
    "shapes": [],
    "showlegend": False,
}


def plotly_figure(figure: FrontFigure) -> dict[str, Any]:
    """Make `data` and `layout` for plotly.js: plain JSON without NaN, all text escaped.

    Traces carry `meta.role`, from which the page sets colours for its theme, and `meta.names`, by which it links a
    point with its row; `layout.meta` holds the second scales, which the page keeps in step when one zooms.
    """
    traces: list[dict[str, object]] = []
    if figure.steps:
        front = {"type": "scatter", "mode": "lines", "name": "front" if figure.firm else "front, screening only"}
        x, y = map(list, zip(*figure.steps, strict=True))
        line = {"width": 2, "dash": "solid" if figure.firm else "dot"}
        traces.append(front | {"x": x, "y": y, "line": line, "hoverinfo": "skip", "meta": {"role": "front"}})
    named = names_of(figure)
    for mark in LOOKS:
        for on_front in (False, True):
            points = [p for p in figure.points if p.mark is mark and p.on_front is on_front]
            if points:
                traces.append(_points_trace(figure, mark, points, named))
    traces += _rings(figure)
    if figure.second_x or figure.second_y:
        # An axis without a trace is not drawn, and one with a trace but without a layout is Plotly's own, 0 to 4.
        axes = {"xaxis": "x2" if figure.second_x else "x", "yaxis": "y2" if figure.second_y else "y"}
        traces.append({"x": [None], "y": [None], **axes, "hoverinfo": "skip"})
    return {"data": traces, "layout": _layout(figure)}


def plotly_curves(panel: Panel) -> dict[str, object]:
    """Draw a panel of learning curves: of each architecture the range and the mean of its seeds, and every seed."""
    traces: list[dict[str, object]] = []
    for line in panel.lines:
        x, name = _shorts(line.x, 4), html.escape(line.architecture)
        common: dict[str, object] = {"type": "scatter", "mode": "lines", "x": x}
        common["meta"] = {"role": f"curve-{line.place}"}
        if len(x) == 1:
            marks = {
                "mode": "markers",
                "x": x * len(line.seeds),
                "y": _shorts(line.seeds[:, 0], 4),
                "marker": {"size": 9},
            }
            traces.append(common | marks | {"opacity": 0.75, "hovertemplate": f"{name}: %{{y:.4f}}<extra></extra>"})
            continue
        if len(line.seeds) > 1:
            ends = [line.seeds.min(axis=0), line.seeds.max(axis=0)]
            traces += [
                common | {"y": _shorts(end, 4), "line": {"width": 0}, "fill": fill, "hoverinfo": "skip"}
                for end, fill in zip(ends, ("none", "tonexty"), strict=True)
            ]
            traces += [
                common | {"y": _shorts(seed, 4), "line": {"width": 0.8}, "opacity": 0.45, "hoverinfo": "skip"}
                for seed in line.seeds
            ]
        seeds = "1 seed" if len(line.seeds) == 1 else f"mean of {len(line.seeds)} seeds"
        dash = {"dash": DASHES[line.place % len(DASHES)], "width": 2}
        hover = {"hovertemplate": f"{name}, {seeds}<br>%{{x:.0f}}: %{{y:.4g}}<extra></extra>"}
        traces.append(common | {"y": _shorts(line.seeds.mean(axis=0), 4), "line": dash} | hover)
    ticks: dict[str, object] = {}
    if panel.of_ends:  # the architectures stand below their observations
        ticks["tickvals"] = [line.place for line in panel.lines]
        ticks["ticktext"] = [html.escape(line.architecture) for line in panel.lines]
        ticks["range"] = [-0.6, panel.lines[-1].place + 0.6]
    layout = LAYOUT | {
        "height": 270,
        "margin": {"l": 56, "r": 14, "t": 10, "b": 46},
        "xaxis": {"title": {"text": panel.x_title}, "zeroline": False} | ticks,
        "yaxis": {"title": {"text": ""}, "zeroline": False, "tickformat": ".3~g"},
        "meta": {"second_x": None, "second_y": None},
    }
    return {"data": traces, "layout": layout}


def hover_texts(figures: Sequence[FrontFigure]) -> dict[str, str]:
    """Write what to say of an architecture when it is pointed at, as markup: once for all figures, by its identity."""
    return {
        point.architecture: "<br>".join([f"<b>{_title(point)}</b>", *(html.escape(note) for note in point.notes)])
        for figure in figures
        for point in figure.points
    }


def _title(point: Point) -> str:
    """Format the identity with the letters of its ties and what makes its gain another kind, as markup."""
    about = ", ".join(filter(None, [*point.ties, point.shorter]))
    return html.escape(point.architecture) + (f" ({about})" if about else "")


def _points_trace(
    figure: FrontFigure, mark: Mark, points: list[Point], named: Mapping[str, Corner]
) -> dict[str, object]:
    look, below = LOOKS[mark], Corner(above=False, left=False)
    corners = [named.get(p.architecture, below) for p in points]  # of no name, any
    trace: dict[str, object] = {
        "type": "scatter",
        "mode": "markers+text" if any(p.architecture in named for p in points) else "markers",
        "name": look.legend,
        "x": _shorts(p.x for p in points),
        "y": _shorts(p.gain for p in points),
        "text": [
            _title(p) + (": the pick" if p.architecture == figure.pick else "") if p.architecture in named else ""
            for p in points
        ],
        "textposition": [f"{'top' if each.above else 'bottom'} {'left' if each.left else 'right'}" for each in corners],
        "hovertemplate": "%{customdata}<extra></extra>",
        "marker": {"symbol": look.symbol, "size": look.size, "color": look.color},
        "opacity": points[0].opacity,
        "meta": {"role": mark.name.lower(), "names": [p.architecture for p in points]},
    }
    if is_barred(mark, len(points)):
        thin = {"color": look.color, "thickness": 0.7 if mark is Mark.SCREENING else 1.4, "width": 0}
        trace["error_y"] = _bars([(p.low, p.gain, p.high) for p in points]) | thin
        trace["error_x"] = _bars([(p.x_low, p.x, p.x_high) for p in points]) | thin
    return trace


def _rings(figure: FrontFigure) -> list[dict[str, object]]:
    """Draw a ring of its own size for each group of tied points: those with the same ring are not distinguishable."""
    shared = sorted({letter for point in figure.points for letter in point.ties}, key=lambda each: (len(each), each))
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": f"tied: {letter}",
            "x": _shorts(p.x for p in figure.points if letter in p.ties),
            "y": _shorts(p.gain for p in figure.points if letter in p.ties),
            "marker": {"symbol": "circle-open", "size": _RING + _RING_STEP * place, "line": {"width": 1.2}},
            "hoverinfo": "skip",
            "meta": {"role": "tie"},
        }
        for place, letter in enumerate(shared)
    ]


def _bars(triples: list[tuple[float, float, float]]) -> dict[str, object]:
    """Compute Plotly's lengths of error bars; zero where there is no interval."""
    up = _shorts(high - mid if math.isfinite(high) else 0.0 for _, mid, high in triples)
    down = _shorts(mid - low if math.isfinite(low) else 0.0 for low, mid, _ in triples)
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down}


def _shorts(values: Iterable[float], digits: int = 6) -> list[float]:
    """Round to significant digits: six are more than a picture of points shows, in half the page; a curve has four."""
    return [float(f"{value:.{digits}g}") for value in values]


def _layout(figure: FrontFigure) -> dict[str, object]:
    """Lay out axes, reference lines, legend."""
    dashed: dict[str, object] = {"line": {"width": 1, "dash": "dash"}}
    shapes = [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0, "y1": 0} | dashed]
    if base := figure.baseline:
        shapes.append({"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": base.x, "x1": base.x} | dashed)
    x, y = (
        {"title": {"text": title}, "range": list(ends), "zeroline": False}
        for title, ends in ((figure.axis.title, figure.x_range), (figure.y_title, figure.y_range))
    )
    seconds = (("second_x", figure.second_x), ("second_y", figure.second_y))
    layout = LAYOUT | {
        "height": 440,
        "margin": {"l": 70, "r": 70, "t": 50, "b": 56},
        "shapes": shapes,
        "xaxis": x,
        "yaxis": y | {"tickformat": f"+.{figure.digits}f"},
        "meta": {name: [scale.offset, scale.factor] if scale else None for name, scale in seconds},
    }
    if figure.second_x:
        layout["xaxis2"] = _second(figure.axis.relative, "x", "top", figure.x_range, figure.second_x)
    if figure.second_y:
        layout["yaxis2"] = _second("mAP50-95 (baseline + gain)", "y", "right", figure.y_range, figure.second_y) | {
            "tickformat": f".{figure.digits}f"
        }
    return layout


def _second(title: str, over: str, side: str, first: tuple[float, float], scale: Linear) -> dict[str, object]:
    return {
        "title": {"text": title},
        "overlaying": over,
        "side": side,
        "range": [scale.offset + scale.factor * end for end in first],
        "tickmode": "auto",
        "showgrid": False,
        "zeroline": False,
    }
