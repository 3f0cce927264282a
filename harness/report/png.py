"""`FrontFigure`s as a print, in pixels and in vectors: matplotlib without its global state."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from harness.common.printable import printable
from harness.report.figures import FrontFigure, Mark, Point
from harness.report.looks import ALWAYS_BARRED, FAINT, LEGEND, LOOKS, MOST_BARS, NEVER_FAINT
from harness.report.names import Corner, names_of


def draw_png(figures: Sequence[FrontFigure], title: str, subtitle: str) -> bytes:
    """All pictures side by side at print quality.

    Args:
        figures: Records of the pictures.
        title: Above them; untrusted, so never read as mathematics.
        subtitle: Below the title.
    """
    out = io.BytesIO()
    _print(figures, title, subtitle).savefig(out, format="png", facecolor="white")
    return out.getvalue()


def draw_svg(figures: Sequence[FrontFigure], title: str, subtitle: str) -> bytes:
    """The same as vectors, to be edited and printed at any size: text stays text.

    The same record yields the same file: no date, and names of parts that do not change from one run to the next.
    """
    out = io.BytesIO()
    legible = [printable(text) for text in (title, subtitle)]  # XML has no place for control characters
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "clo-nas"}):
        _print(figures, *legible).savefig(out, format="svg", facecolor="white", metadata={"Date": None})
    return out.getvalue()


def _print(figures: Sequence[FrontFigure], title: str, subtitle: str) -> Figure:
    """The whole sheet."""
    canvas = Figure(figsize=(6.2 * len(figures), 5.4), dpi=200, layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.subplots(1, len(figures), squeeze=False)[0]
    for axis, figure in zip(axes, figures, strict=True):
        _draw(axis, figure)
    handles: dict[str, Any] = {}
    for axis in axes:
        handles |= {label: handle for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    if handles:
        canvas.legend(
            handles.values(), handles.keys(), loc="outside lower center", ncols=3, frameon=False, fontsize=8.5
        )
    canvas.suptitle(f"{title}\n{subtitle}", fontsize=11, parse_math=False)
    return canvas


def _draw(axes: Axes, figure: FrontFigure) -> None:
    """One picture on paper."""
    axes.axhline(0, color="#8a9099", linewidth=0.8, linestyle="--", zorder=1)
    if figure.baseline:
        axes.axvline(figure.baseline.x, color="#8a9099", linewidth=0.8, linestyle="--", zorder=1)
    if figure.steps:
        xs, ys = zip(*figure.steps, strict=True)
        label = "front" if figure.firm else "front, screening only"
        axes.plot(
            xs,
            ys,
            color="#1b1f24",
            linewidth=1.4,
            linestyle="-" if figure.firm else ":",
            label=label,
            zorder=2,
        )
    counts, names = Counter(point.mark for point in figure.points), names_of(figure)
    for point in figure.points:
        if point.mark in ALWAYS_BARRED or counts[point.mark] <= MOST_BARS:
            _draw_bars(axes, point)
        if corner := names.get(point.architecture):
            _name(axes, point, corner)
    _draw_marks(axes, figure.points)
    axes.set(xlim=figure.x_range, ylim=figure.y_range, xlabel=figure.axis.title, ylabel=figure.y_title)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:+.{figure.digits}f}".replace("-", "−"))
    axes.grid(color="#e6e8eb", linewidth=0.6, zorder=0)
    axes.spines[["top", "right"]].set_visible(False)
    if figure.second_y:
        shift = figure.second_y.offset
        right = axes.secondary_yaxis(
            "right", functions=(lambda y: np.asarray(y) + shift, lambda y: np.asarray(y) - shift)
        )
        right.set_ylabel("mAP50-95 (baseline + gain)")
        right.yaxis.set_major_formatter(f"{{x:.{figure.digits}f}}")
    if not figure.points:
        axes.text(0.5, 0.5, "nothing to draw yet", transform=axes.transAxes, ha="center", va="center")


def _alpha(point: Point) -> float:
    return 1.0 if point.on_front or point.mark in NEVER_FAINT else FAINT


def _draw_bars(axes: Axes, point: Point) -> None:
    """One architecture's intervals on paper."""
    look = LOOKS[point.mark]
    if point.mark is Mark.BASELINE:
        return
    thin: dict[str, Any] = {
        "color": look.color,
        "alpha": _alpha(point),
        "zorder": 2,
        "linewidth": 0.6 if look.hollow else 1.1,
    }
    if math.isfinite(point.low) and math.isfinite(point.high):
        axes.plot([point.x, point.x], [point.low, point.high], **thin)
    if math.isfinite(point.x_low) and math.isfinite(point.x_high):
        axes.plot([point.x_low, point.x_high], [point.gain, point.gain], **thin)


def _draw_marks(axes: Axes, points: Sequence[Point]) -> None:
    """All points, those that look alike at once: a thousand of them one by one take a second."""
    alike: dict[tuple[Mark, float], list[Point]] = {}
    for point in points:
        alike.setdefault((point.mark, _alpha(point)), []).append(point)
    for (mark, alpha), group in alike.items():
        look = LOOKS[mark]
        axes.plot(
            [point.x for point in group],
            [point.gain for point in group],
            marker=look.marker,
            markersize=look.size * 0.62,
            color=look.color,
            markerfacecolor="white" if look.hollow else look.color,
            alpha=alpha,
            linestyle="none",
            label=LEGEND[mark],
            zorder=4,
        )


def _name(axes: Axes, point: Point, corner: Corner) -> None:
    axes.annotate(
        point.architecture,
        (point.x, point.gain),
        xytext=(-6 if corner.left else 6, 4 if corner.above else -10),
        horizontalalignment="right" if corner.left else "left",
        textcoords="offset points",
        fontsize=8,
        parse_math=False,
        zorder=5,
    )
