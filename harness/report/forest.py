"""A forest plot as a print: matplotlib without its global state."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from harness.analysis.contrasts import Verdict
from harness.report.ablation import forest_range

_COLORS = {Verdict.BETTER: "#009E73", Verdict.WORSE: "#D55E00", Verdict.UNDECIDED: "#0072B2"}
_LETTERS = 60
"""A longer name is cut: the report's tables have it whole."""


def draw_forest(forests: Sequence[tuple[str, pd.DataFrame]], title: str) -> bytes:
    """Forests one below the other at print quality.

    Args:
        forests: Title and rows (`harness.analysis.contrasts`) of each.
        title: Above them; untrusted, so never read as mathematics.
    """
    drawn = [(name, rows[rows["verdict"] != Verdict.UNMEASURED]) for name, rows in forests]
    heights = [max(1, len(rows)) + 2.5 for _, rows in drawn]
    canvas = Figure(figsize=(9, 0.23 * sum(heights) + 0.8), dpi=160, layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.subplots(len(drawn), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, (name, rows) in zip(axes, drawn, strict=True):
        _draw(axis, name, rows)
    canvas.suptitle(title, fontsize=11, parse_math=False)
    out = io.BytesIO()
    canvas.savefig(out, format="png", facecolor="white")
    return out.getvalue()


def _draw(axes: Axes, name: str, rows: pd.DataFrame) -> None:
    low, high = forest_range(rows)
    for place, (_, row) in enumerate(rows.iterrows()):
        color = _COLORS[Verdict(row["verdict"])]
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
    axes.grid(axis="x", color="#e6e8eb", linewidth=0.6)
    axes.spines[["top", "right", "left"]].set_visible(False)
    if rows.empty:
        axes.text(0.5, 0.5, "nothing to draw yet", transform=axes.transAxes, ha="center", va="center")
