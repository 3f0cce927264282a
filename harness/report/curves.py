"""Learning curves of the baseline and of candidates: losses, rates and mAP by step, every seed and their mean.

An architecture that learnt under some of its seeds only is one whose lines part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from harness.architecture import BASELINE
from harness.record.state import State
from harness.record.study import StudyRecord
from harness.record.tables import of_one
from harness.report import words
from harness.report.images import Floats, Key
from harness.training.curve import curve_path

Reader = Callable[[Key], pd.DataFrame | None]
# Of a line: a small plot shows no more. Each is the mean of the steps around it.
POINTS = 40
# By place of the colour: the baseline's first.
DASHES = ("dash", "solid", "dot", "dashdot", "longdash")
_MAP, _RATE, _OF_BLOCKS = "ultralytics_map50_95", "learning_rate", "learning_rate_blocks"
# Column of a curve to what it is.
_QUANTITIES = {
    _MAP: "mAP50-95, by Ultralytics' validator",
    "cls_loss": "cls_loss: classes",
    "box_loss": "box_loss: boxes",
    "dfl_loss": "dfl_loss: distributions of the boxes' sides",
    "l1_loss": "l1_loss: the boxes' sides",
    _RATE: "learning rate of the base",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """One architecture in one panel.

    Attributes:
        architecture: Its identity.
        place: Of its colour, the baseline's 0.
        x: Steps, or epochs; (points,).
        seeds: A row a training; (seeds, points).
    """

    architecture: str
    place: int
    x: Floats
    seeds: Floats


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One quantity after one number of epochs."""

    key: str
    title: str
    x_title: str
    lines: tuple[Line, ...]

    @property
    def of_ends(self) -> bool:
        """Whether there is one reading a seed."""
        return all(len(line.x) == 1 for line in self.lines)


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Panels beside each other; `legend` is identity and what it is, in the order of colours."""

    kind: ClassVar[str] = "curves"

    panels: tuple[Panel, ...]
    legend: tuple[tuple[str, str], ...]


def read_curve(folder: Path, key: Key) -> pd.DataFrame | None:
    """Read the curve of a training; None where there is no such file, or it is none."""
    curve = of_one(key[0], lambda: pd.read_parquet(curve_path(folder, *key)))
    return curve if curve is not None and len(curve) and {"epoch", "step"} <= set(curve) else None


def learning_curves(record: StudyRecord, shown: Sequence[str], read: Reader | None) -> Curves | None:
    """Read the curves of the baseline and of candidates that are `shown`; None where none can be read.

    Architectures are compared after as many epochs: first after those that the most of their trainings have, then
    after the most epochs, where these are others.
    """
    trials = record.trials
    names = [BASELINE, *(name for name in shown if name != BASELINE)]
    rows = trials[(trials["state"] == State.COMPLETE) & trials["architecture"].isin(names)]
    if read is None or rows.empty:
        return None
    lengths = rows.groupby("epochs").size().sort_index()
    wanted = dict.fromkeys(map(int, (lengths.idxmax(), lengths.index.max())))
    panels: list[Panel] = []
    for epochs in wanted:
        curves: dict[str, list[pd.DataFrame]] = {name: [] for name in names}
        keys = rows.loc[rows["epochs"] == epochs, ["architecture", "base_seed", "seed"]].fillna({"base_seed": 0})
        for name, base_seed, seed in keys.itertuples(index=False, name=None):
            if (found := read((name, epochs, int(base_seed), int(seed)))) is not None:
                curves[name].append(found)
        if sum(bool(each) for each in curves.values()) > 1:
            panels += _panels(epochs, curves, several=len(wanted) > 1)
    if not panels:
        return None
    drawn = {line.architecture for panel in panels for line in panel.lines}
    about = {name: record.architectures[name].describe() for name in names if name in record.architectures}
    legend = tuple((name, "" if name == BASELINE else about.get(name, "")) for name in names if name in drawn)
    return Curves(panels=tuple(panels), legend=legend)


def _panels(epochs: int, curves: dict[str, list[pd.DataFrame]], *, several: bool) -> Iterator[Panel]:
    """Yield a panel for each quantity that was kept."""
    by_step = all(curve["step"].notna().all() for each in curves.values() for curve in each)
    x, x_title = ("step", "optimiser step") if by_step else ("epoch", "epoch")
    after = f", {words.count(epochs, 'epoch')}" if several else ""
    for column, title in _QUANTITIES.items():
        known = {  # where a quantity is known, and what it is; (rows, 2)
            name: [curve.reindex(columns=[x, column]).dropna().to_numpy(dtype=float) for curve in each]
            for name, each in curves.items()
        }
        kept = {name: [values for values in each if len(values)] for name, each in known.items()}
        at_the_end = max((len(values) for each in kept.values() for values in each), default=0) == 1
        lines = []
        for place, (name, each) in enumerate(kept.items()):
            if each and at_the_end:  # what was read once, above the place of the architecture
                at, seeds = np.array([float(place)]), np.array([values[-1:, 1] for values in each])
            elif each:
                at, seeds = _on_grid(each)
            else:
                continue
            lines.append(Line(architecture=name, place=place, x=at, seeds=seeds))
        if lines:
            yield Panel(
                key=f"{column}-{epochs}",
                title=f"{title}{_of_blocks(curves) if column == _RATE else ''}{after}",
                x_title="one mark a seed, after its last step" if at_the_end else x_title,
                lines=tuple(lines),
            )


def _of_blocks(curves: dict[str, list[pd.DataFrame]]) -> str:
    """Say how many times the base's learning rate that of the blocks is; empty where it is unknown."""
    every = pd.concat([curve.reindex(columns=[_RATE, _OF_BLOCKS]) for each in curves.values() for curve in each])
    factor = float((every[_OF_BLOCKS] / every[_RATE]).median())
    return "" if math.isnan(factor) else f" (blocks: × {factor:.3g})"


def _on_grid(curves: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Resample curves of one architecture at common places: (points,), (seeds, points)."""
    first, last = max(values[0, 0] for values in curves), min(values[-1, 0] for values in curves)
    edges = np.linspace(first, last, min(POINTS, *map(len, curves)) + 1)
    return (edges[:-1] + edges[1:]) / 2, np.array([_means(values, edges) for values in curves])


def _means(values: Floats, edges: Floats) -> Floats:
    """Average the second column between edges of the first one."""
    place = np.clip(np.searchsorted(edges, values[:, 0], side="right") - 1, 0, len(edges) - 2)
    count = np.bincount(place, minlength=len(edges) - 1)
    means = np.bincount(place, values[:, 1], minlength=len(edges) - 1) / np.maximum(count, 1)
    middle = (edges[:-1] + edges[1:]) / 2
    return np.interp(middle, middle[count > 0], means[count > 0])
