"""Which choices matter for accuracy and each cost, in words and tables; and every architecture as a line through them.

In the drawing (parallel coordinates) lines are ordered by gain at a choice, so that a choice whose lines fan upwards is
seen without being counted.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd

from harness.analysis.effects import marginal_effects
from harness.architecture import Architecture
from harness.architecture.choices import NO_BLOCK
from harness.record.settings import Objective
from harness.record.study import Choices
from harness.report import tables, words
from harness.report.figures import FAINT, FrontFigure, Mark
from harness.report.interactive import LAYOUT
from harness.report.tables import Cell, Column, Row, Table, cell, worded

# Rows of each table of effects, and the most important choices of each column of shares; files hold the rest.
EFFECTS_SHOWN, IMPORTANCES_SHOWN = 12, 5
_NAMES = {Objective.MAP50_95: "mAP50-95", Objective.LATENCY: "latency", Objective.PARAMS: "parameters"}
_UNITS = {Objective.MAP50_95: "0 to 1", Objective.LATENCY: "ms, the baseline's times the measured ratio"}


@dataclass(frozen=True, kw_only=True)
class Matters:
    """What a study says of its choices: the findings, how to read them, and tables of the clearest."""

    importances: pd.DataFrame
    effects: pd.DataFrame
    said: tuple[str, ...]
    tables: tuple[Table, ...]


def what_matters(choices: Choices, digits: int) -> Matters:
    """Compute importances and effects of a study's choices, once it has enough architectures; `digits`: of an mAP."""
    from harness.analysis.importance import FEWEST, importances, resamples_of  # imports Optuna

    count = len(choices.chosen)
    enough = count >= FEWEST
    shares = importances(choices)
    effects = marginal_effects(choices.chosen, choices.outcomes if enough else choices.outcomes[:0])
    if not enough:
        too_few = (
            f"What matters cannot be told yet: {words.count(count, 'architecture')} with a complete first training, "
            f"the baseline included, and it takes {FEWEST}."
        )
        return Matters(importances=shares, effects=effects, said=(too_few,), tables=())
    by_objective = {name: effects[effects["objective"] == name] for name in choices.minimized}
    tables = [_importance_table(shares)]
    tables += [_effect_table(rows, name, choices.minimized[name], digits) for name, rows in by_objective.items()]
    said = [_clearest(rows, name, count, digits) for name, rows in by_objective.items()]
    return Matters(
        importances=shares,
        effects=effects,
        said=(*said, *_READING, _SHARES.format(resamples=resamples_of(count))),
        tables=tuple(table for table in tables if table.rows),
    )


_READING = (
    "An effect is the mean of the architectures with a choice minus the mean of those that were asked and chose "
    "otherwise: a kernel is compared with the other kernels at that place, not with having no block there. It "
    "proves no cause: the search chose what to train, and choices that it liked to combine share their effects.",
    "Intervals of effects are 95 %, uncorrected (Welch); “better” and “worse” need Holm's correction over all choices "
    "and say which side of the objective is meant. All effects are in effects.csv.",
)
_SHARES = (
    "Importance is a share of 100 %, ± its standard deviation over {resamples} resamples of the architectures. "
    "fANOVA: of the variance that the kinds of block at the sites explain, each by itself. PED-ANOVA: of how far "
    "the best tenth's choices differ from all, over all choices. Shares add up to 100 % even where there is only "
    "noise, and each is then about one over their number: whether a choice does anything, the effects say. All "
    "shares are in importance.csv."
)


def _clearest(effects: pd.DataFrame, objective: str, count: int, digits: int) -> str:
    """Say how many choices make a difference to an objective, and which makes the largest."""
    looked, sure = len(effects), effects[effects["significant"].astype(bool)]
    start = f"{_name(objective)}: "
    if not looked:
        return f"{start}no choice has enough architectures with it and without it to be compared."
    if sure.empty:
        return (
            f"{start}none of {words.count(looked, 'choice')} makes a difference that {count} architectures show at "
            "95 % confidence, corrected for looking at all of them."
        )
    largest: Any = sure.loc[[sure["effect"].abs().idxmax()]].iloc[0]
    verb = "makes" if len(sure) == 1 else "make"
    unit = "ms" if objective == Objective.LATENCY else _name(objective)
    return (
        f"{start}{len(sure)} of {words.count(looked, 'choice')} {verb} a difference at "
        f"95 % confidence, corrected for looking at all of them; the largest is that of {_choice(largest)}: "
        f"{_number(objective, largest['effect'], digits)} {unit} {_ends(objective, largest, digits)}, "
        f"{largest['n_with']} architectures with it and {largest['n_without']} without."
    )


def _importance_table(shares: pd.DataFrame) -> Table:
    """Tabulate the most important choices: a row for each, a column for each objective and method."""
    pairs = list(dict.fromkeys(zip(shares["objective"], shares["method"], strict=True)))
    found = {pair: shares[(shares["objective"] == pair[0]) & (shares["method"] == pair[1])] for pair in pairs}
    by_column = {pair: rows.set_index("parameter") for pair, rows in found.items()}
    names = dict.fromkeys(name for rows in by_column.values() for name in rows.index[:IMPORTANCES_SHOWN])
    columns = [Column(name=_name(objective), unit=f"{method}, share ± spread") for objective, method in pairs]
    return Table(
        key="importance",
        caption="The most important choices",
        columns=(worded("Choice", "of what is at a site"), *columns),
        rows=tuple(
            tables.row("share", cell(_spoken(name)), *(_share(rows, name) for rows in by_column.values()))
            for name in names
        ),
    )


def _share(rows: pd.DataFrame, name: str) -> Cell:
    """Make the cell of one share; a dash where the method does not ask for the choice."""
    if name not in rows.index:
        return cell(words.DASH, sort=math.nan)
    row: Any = rows.loc[name]
    return cell(words.share(row["importance"], row["spread"]), sort=float(row["importance"]))


def _effect_table(effects: pd.DataFrame, objective: str, minimized: bool, digits: int) -> Table:
    """Tabulate the clearest effects on one objective: the lowest corrected p first."""
    clearest = effects.sort_values(["p_holm", "p_value"], kind="stable")[:EFFECTS_SHOWN]
    more = f", {len(clearest)} of {len(effects)}" if len(clearest) < len(effects) else ""
    return Table(
        key=f"effects-{objective}",
        caption=f"What choices do to {_name(objective)}: the clearest effects{more}",
        columns=(
            worded("Choice", "against the others asked about there"),
            worded("Verdict", "95 % confidence, corrected"),
            Column(name="Effect", unit=f"{_UNITS.get(Objective(objective), 'an image')}, 95 % interval"),
            Column(name="Architectures", unit="with and without it"),
        ),
        rows=tuple(_effect(row, objective, minimized, digits) for _, row in clearest.iterrows()),
    )


def _effect(row: Any, objective: str, minimized: bool, digits: int) -> Row:
    better = (row["effect"] < 0) == minimized
    kind, verdict = ("gain", "better") if better else ("loss", "worse")
    if not row["significant"]:
        kind, verdict = "undecided", "undecided"
    tested, effect = words.p_value(row["p_holm"]), float(row["effect"])
    return tables.row(
        kind,
        cell(_choice(row)),
        cell(verdict, f"Holm-corrected {tested}" if tested else ""),
        cell(_number(objective, effect, digits), _ends(objective, row, digits), sort=effect),
        cell(f"{row['n_with']} / {row['n_without']}", sort=float(row["n_with"])),
    )


def _choice(row: Any) -> str:
    """Name a choice: `neck.P4 kernel 7`, `no block at neck.P4`."""
    site, _, name = str(row["parameter"]).partition(":")
    if name == "kind":
        return f"no block at {site}" if row["level"] == NO_BLOCK else f"{site} {row['level']}"
    return f"{_spoken(row['parameter'])} {row['level']}"


def _spoken(parameter: str) -> str:
    """Name a parameter as `neck.P4 kernel`: site, then what is chosen there."""
    return parameter.replace(":", " ").replace("_", " ")


def _name(objective: str) -> str:
    return _NAMES.get(Objective(objective), "MACs")


def _number(objective: str, value: float, digits: int) -> str:
    """Format a value with its sign, without its unit."""
    if objective == Objective.MAP50_95:
        return words.signed(value, digits)
    return words.signed(value, 3) if objective == Objective.LATENCY else words.signed_amount(value)


def _ends(objective: str, row: Any, digits: int) -> str:
    ends = [_number(objective, row[end], digits) for end in ("low", "high") if math.isfinite(row[end])]
    return f"[{', '.join(ends)}]" if len(ends) > 1 else "no interval"


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
    choices = {each.architecture: _choices_of(architectures[each.architecture]) for each in points}
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


def _choices_of(architecture: Architecture) -> dict[str, str]:
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
