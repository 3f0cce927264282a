"""Pictures as prints, in pixels and in vectors: matplotlib without its global state.

Titles and names are untrusted, so they are never read as mathematics.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image, ImageDraw

from harness.analysis.contrasts import Verdict
from harness.architecture import BASELINE
from harness.common.printable import printable
from harness.record.own_files import MADE_BY
from harness.report.ablation import forest_range
from harness.report.curves import Curves
from harness.report.figures import LOOKS, Corner, FrontFigure, Mark, Point, is_barred, names_of
from harness.report.images import Found, Gallery, Picture, jpeg

# By place; those of the page.
_OF_CURVES = ("#1b1f24", "#0072b2", "#c24e00", "#006a4e", "#a6377f")


def draw_png(figures: Sequence[FrontFigure], title: str, subtitle: str) -> bytes:
    """Draw all pictures side by side at print quality."""
    return _saved(_print(figures, title, subtitle))


def draw_svg(figures: Sequence[FrontFigure], title: str, subtitle: str) -> bytes:
    """Draw the pictures of `draw_png` as vectors, to be edited and printed at any size: text stays text.

    The same record yields the same file: no date, and names of parts that do not change from one run to the next.
    """
    legible = [printable(text) for text in (title, subtitle)]  # XML has no place for control characters
    with mpl.rc_context({"svg.fonttype": "none"}):
        return _saved(_print(figures, *legible), "svg", {"Date": None})


def _canvas(width: float, height: float, dpi: int) -> Figure:
    canvas = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
    FigureCanvasAgg(canvas)
    return canvas


def _saved(canvas: Figure, kind: str = "png", about: Mapping[str, str | None] | None = None) -> bytes:
    out = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "clo-nas"}):  # names of an SVG's parts that do not change
        canvas.savefig(out, format=kind, facecolor="white", metadata=about)
    return out.getvalue()


def _tidy(axes: Axes, grid: Literal["both", "x"] = "both") -> None:
    axes.grid(axis=grid, color="#e6e8eb", linewidth=0.6, zorder=0)
    axes.spines[["top", "right"]].set_visible(False)


def _print(figures: Sequence[FrontFigure], title: str, subtitle: str) -> Figure:
    canvas = _canvas(6.2 * len(figures), 5.4, 200)
    axes = canvas.subplots(1, len(figures), squeeze=False)[0]
    for axis, figure in zip(axes, figures, strict=True):
        _draw(axis, figure)
    if handles := _handles(axes):
        canvas.legend(
            handles.values(), handles.keys(), loc="outside lower center", ncols=3, frameon=False, fontsize=8.5
        )
    canvas.suptitle(f"{title}\n{subtitle}", fontsize=11, parse_math=False)
    return canvas


def _handles(every: Iterable[Axes]) -> dict[str, Artist]:
    """Map label to handle of all axes, each label once."""
    pairs = [pair for axes in every for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
    return {label: handle for handle, label in pairs}


def draw_learning_curves(curves: Curves, title: str) -> bytes:
    """Draw panels of learning curves: of each architecture the range and the mean of its seeds."""
    columns = min(3, len(curves.panels))
    rows = -(-len(curves.panels) // columns)
    canvas = _canvas(4.2 * columns, 2.9 * rows + 0.7, 110)
    places = canvas.subplots(rows, columns, squeeze=False).ravel()
    for axes, panel in zip(places, curves.panels, strict=False):
        for line in panel.lines:
            color = _OF_CURVES[line.place % len(_OF_CURVES)]
            if panel.of_ends:
                axes.plot(np.repeat(line.x, len(line.seeds)), line.seeds[:, 0], "o", color=color, alpha=0.75)
                axes.set_xticks([each.place for each in panel.lines], [each.architecture for each in panel.lines])
                continue
            axes.fill_between(line.x, line.seeds.min(axis=0), line.seeds.max(axis=0), color=color, alpha=0.16, lw=0)
            axes.plot(line.x, line.seeds.T, color=color, linewidth=0.5, alpha=0.5)
            dash = "--" if line.architecture == BASELINE else "-"
            axes.plot(line.x, line.seeds.mean(axis=0), color=color, linewidth=1.6, ls=dash, label=line.architecture)
        axes.set_title(panel.title, fontsize=9.5, loc="left")
        axes.set_xlabel(panel.x_title, fontsize=8.5)
        axes.tick_params(labelsize=8)
        _tidy(axes)
    for axes in places[len(curves.panels) :]:
        axes.set_visible(False)
    found = _handles(places)
    names = [name for name, _ in curves.legend if name in found]
    handles = [found[name] for name in names]
    canvas.legend(handles, names, loc="outside lower center", ncols=5, frameon=False, fontsize=8.5)
    canvas.suptitle(title, fontsize=11, parse_math=False)
    return _saved(canvas)


def _draw(axes: Axes, figure: FrontFigure) -> None:
    axes.axhline(0, color="#8a9099", linewidth=0.8, linestyle="--", zorder=1)
    if figure.baseline:
        axes.axvline(figure.baseline.x, color="#8a9099", linewidth=0.8, linestyle="--", zorder=1)
    if figure.steps:
        xs, ys = zip(*figure.steps, strict=True)
        style, label = ("-", "front") if figure.firm else (":", "front, screening only")
        axes.plot(xs, ys, color="#1b1f24", linewidth=1.4, linestyle=style, label=label, zorder=2)
    counts, names = Counter(point.mark for point in figure.points), names_of(figure)
    for point in figure.points:
        look = LOOKS[point.mark]
        for xs, ys in (
            ((point.x, point.x), (point.low, point.high)),
            ((point.x_low, point.x_high), (point.gain, point.gain)),
        ):
            if is_barred(point.mark, counts[point.mark]) and np.isfinite([*xs, *ys]).all():
                width = 0.6 if look.hollow else 1.1
                axes.plot(xs, ys, color=look.color, alpha=point.opacity, zorder=2, linewidth=width)
        if corner := names.get(point.architecture):
            _name(axes, point, corner)
    _draw_marks(axes, figure.points)
    axes.set(xlim=figure.x_range, ylim=figure.y_range, xlabel=figure.axis.title, ylabel=figure.y_title)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:+.{figure.digits}f}".replace("-", "−"))
    _tidy(axes)
    if figure.second_y:
        shift = figure.second_y.offset
        right = axes.secondary_yaxis(
            "right", functions=(lambda y: np.asarray(y) + shift, lambda y: np.asarray(y) - shift)
        )
        right.set_ylabel("mAP50-95 (baseline + gain)")
        right.yaxis.set_major_formatter(f"{{x:.{figure.digits}f}}")
    if not figure.points:
        axes.text(0.5, 0.5, "nothing to draw yet", transform=axes.transAxes, ha="center", va="center")


def _draw_marks(axes: Axes, points: Sequence[Point]) -> None:
    """Draw all points, those that look alike at once: a thousand of them one by one take a second."""
    alike: dict[tuple[Mark, float], list[Point]] = {}
    for point in points:
        alike.setdefault((point.mark, point.opacity), []).append(point)
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
            label=look.legend,
            zorder=4,
        )


def _name(axes: Axes, point: Point, corner: Corner) -> None:
    axes.annotate(
        f"{point.architecture} ({point.shorter})" if point.shorter else point.architecture,
        (point.x, point.gain),
        xytext=(-6 if corner.left else 6, 4 if corner.above else -10),
        horizontalalignment="right" if corner.left else "left",
        textcoords="offset points",
        fontsize=8,
        parse_math=False,
        zorder=5,
    )


# Okabe and Ito's, distinguishable to colour-blind people as well; as many as there are samplers.
_OF_SAMPLERS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_ABOUT: dict[str, dict[str, str | None]] = {"png": {"Software": MADE_BY}, "svg": {"Date": None, "Creator": MADE_BY}}


def draw_sampler_curves(curves: pd.DataFrame, title: str, kind: str) -> bytes:
    """Draw how fast samplers find a table's front: medians with interquartile bands.

    `curves` is as `harness.search.simulation_summary.curves` gives it; `kind`: png or svg.
    """
    canvas = _canvas(7, 4.6, 200)
    axes = canvas.subplots()
    for color, (sampler, rows) in zip(_OF_SAMPLERS, curves.groupby("sampler", sort=False), strict=False):
        axes.fill_between(rows["trainings"], rows["low"], rows["high"], color=color, alpha=0.18, linewidth=0)
        axes.plot(rows["trainings"], rows["median"], color=color, linewidth=1.6, label=sampler)
    axes.set(xlabel="trainings", ylabel="hypervolume, share of the true front's", ylim=(None, 1.005))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(title, fontsize=10, parse_math=False)
    _tidy(axes)
    axes.legend(frameon=False, loc="lower right", title="median and quartiles over seeds", title_fontsize=8)
    return _saved(canvas, kind, _ABOUT[kind])


_OF_VERDICTS = {Verdict.BETTER: "#009E73", Verdict.WORSE: "#D55E00", Verdict.UNDECIDED: "#0072B2"}
# A longer name is cut: the report's tables have it whole.
_LETTERS = 60


def draw_forest(forests: Sequence[tuple[str, pd.DataFrame]], title: str) -> bytes:
    """Draw forests one below the other at print quality; of each its title and rows (`harness.analysis.contrasts`)."""
    drawn = [(name, rows[rows["verdict"] != Verdict.UNMEASURED]) for name, rows in forests]
    heights = [max(1, len(rows)) + 2.5 for _, rows in drawn]
    canvas = _canvas(9, 0.23 * sum(heights) + 0.8, 160)
    axes = canvas.subplots(len(drawn), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, (name, rows) in zip(axes, drawn, strict=True):
        _draw_forest(axis, name, rows)
    canvas.suptitle(title, fontsize=11, parse_math=False)
    return _saved(canvas)


def _draw_forest(axes: Axes, name: str, rows: pd.DataFrame) -> None:
    low, high = forest_range(rows)
    for place, (_, row) in enumerate(rows.iterrows()):
        color = _OF_VERDICTS[Verdict(row["verdict"])]
        axes.plot([row["low_corrected"], row["high_corrected"]], [place, place], color=color, linewidth=0.9)
        axes.plot([row["low"], row["high"]], [place, place], color=color, linewidth=3, solid_capstyle="butt")
        axes.plot([row["mean"]], [place], marker="o", markersize=4.5, color=color, markeredgecolor="white")
    labels = [text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…" for text in rows["name"]]
    axes.set_yticks(range(len(rows)), labels, fontsize=8, parse_math=False)
    axes.axvline(0, color="#8a9099", linewidth=0.9, linestyle="--", zorder=0)
    axes.set(ylim=(len(rows) - 0.4, -0.6), xlim=(low - 0.03 * (high - low), high + 0.03 * (high - low)))
    axes.set_xlabel("difference in mAP50-95 (thick: 95 % interval, thin: corrected for all of the table)", fontsize=8)
    axes.set_title(name, fontsize=9.5, loc="left", fontweight="bold", parse_math=False)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:+.4g}".replace("-", "−"))
    axes.tick_params(axis="x", labelsize=8)
    _tidy(axes, "x")
    axes.spines["left"].set_visible(False)
    if rows.empty:
        axes.text(0.5, 0.5, "nothing to draw yet", transform=axes.transAxes, ha="center", va="center")


# Of the boxes on an image; those of the page.
_OF_BOXES = {"correct": "#00c48c", "false": "#ff6a1f", "missed": "#ffe14d"}
_PANE, _GAP, _ACROSS = 220, 10, 3


def draw_gallery(found: Gallery) -> bytes:
    """Draw the first candidate's images as one JPEG: pairs of the baseline and the candidate, the better ones first."""
    shots = found.compared[0].shots
    rows = max(1, -(-len(shots) // _ACROSS))
    width, height = 2 * _PANE + 3 * _GAP, _PANE + 3 * _GAP
    sheet = Image.new("RGB", (width * _ACROSS, height * rows), "white")
    for at, shot in enumerate(shots):
        left, top = at % _ACROSS * width + _GAP, at // _ACROSS * height
        better = "better" if shot.difference > 0 else "worse"
        ImageDraw.Draw(sheet).text((left, top + 6), f"baseline | candidate: {better}", fill="#1b1f24")
        for side, each in enumerate(shot.sides):
            pane = _with_boxes(found.pictures[shot.number], each, found.threshold)
            sheet.paste(pane, (left + side * (_PANE + _GAP), top + 2 * _GAP))
    return jpeg(sheet)


def _with_boxes(picture: Picture, found: Found, threshold: float) -> Image.Image:
    """Draw one image with the boxes of one detector."""
    with Image.open(io.BytesIO(picture.thumbnail)) as opened:
        image = opened.resize([max(1, round(_PANE * side / max(opened.size))) for side in opened.size])
    draw, sides = ImageDraw.Draw(image), np.tile(image.size, 2)
    sure = np.argsort(found.confidence, kind="stable")  # the surest on top
    sure = sure[found.confidence[sure] >= threshold]
    missed = np.setdiff1d(np.arange(len(picture.objects)), found.object_of[sure])
    boxes = [("missed", box) for box in picture.objects[missed]]
    correct = found.object_of[sure] >= 0
    boxes += [("correct" if hit else "false", box) for hit, box in zip(correct, found.boxes[sure], strict=True)]
    for kind, box in boxes:
        draw.rectangle(list(map(float, box * sides)), outline=_OF_BOXES[kind], width=2)
    return image
