"""How fast samplers find a table's front, as a picture: medians with interquartile bands."""

from __future__ import annotations

import io

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from harness.record.own_files import MADE_BY

_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's, told apart by colour-blind people as well; as many as there are samplers."""
_ABOUT = {"png": {"Software": MADE_BY}, "svg": {"Date": None, "Creator": MADE_BY}}


def draw_curves(curves: pd.DataFrame, title: str, kind: str) -> bytes:
    """Draw them.

    Args:
        curves: As `harness.search.simulation_summary.curves` gives them.
        title: Above; untrusted, so never read as mathematics.
        kind: png or svg.
    """
    canvas = Figure(figsize=(7, 4.6), dpi=200, layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.subplots()
    for color, (sampler, rows) in zip(_COLORS, curves.groupby("sampler", sort=False), strict=False):
        axes.fill_between(rows["trainings"], rows["low"], rows["high"], color=color, alpha=0.18, linewidth=0)
        axes.plot(rows["trainings"], rows["median"], color=color, linewidth=1.6, label=sampler)
    axes.set(xlabel="trainings", ylabel="hypervolume, share of the true front's", ylim=(None, 1.005))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(title, fontsize=10, parse_math=False)
    axes.grid(color="#e6e8eb", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right", title="median and quartiles over seeds", title_fontsize=8)
    out = io.BytesIO()
    canvas.savefig(out, format=kind, facecolor="white", metadata=_ABOUT[kind])
    return out.getvalue()
