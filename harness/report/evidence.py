"""What the numbers rest on: the data as a table, and every round of the latencies, drawn.

The rounds are in files beside the report; everything else is in storage.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from harness.architecture import BASELINE
from harness.record.study import StudyRecord
from harness.record.tables import of_one
from harness.report import words
from harness.report.page import Section
from harness.report.tables import Cell, Column, Row, Strip, Table, cell, counted, row, worded

_SPLITS = {"train": "Training", "val": "Validation"}
_MOST_CLASSES = 20


def data_section(record: StudyRecord) -> Iterator[Section]:
    """Yield images, objects, classes, and how large boxes are as trained with; nothing of a study without that."""
    counts = record.environment.data_counts
    known = {title: counts[split] for split, title in _SPLITS.items() if split in counts}
    splits = list(known.values())
    if not known or any(each.box_side_px is None for each in splits):
        return
    first = splits[0]
    lines = [("Images", [_whole(each.images_used) for each in splits])]
    if first.images_unused:
        lines.append(("Images not used", [cell(f"{sum(each.images_unused.values()):,}") for each in splits]))
    lines += [
        ("Objects", [_whole(each.objects) for each in splits]),
        ("Objects an image: median, 95 % of the images, most", [_three(each.objects_per_image) for each in splits]),
        ("Side of a box, px: 5 % of the boxes, median, 95 %", [_three(each.box_side_px) for each in splits]),
    ]
    for stride in sorted(first.below_a_cell):
        shares = [each.below_a_cell.get(stride) for each in splits]
        cells = [cell(words.part(share or 0.0, 1), sort=share) for share in shares]
        lines.append((f"Boxes below one cell of stride {stride} px", cells))
    classes = sorted(first.objects_by_class, key=lambda name: -first.objects_by_class[name])
    for name in classes[:_MOST_CLASSES]:
        lines.append((f"Objects of class {name}", [_whole(each.objects_by_class.get(name, 0)) for each in splits]))
    if rest := classes[_MOST_CLASSES:]:
        sums = [sum(each.objects_by_class.get(name, 0) for name in rest) for each in splits]
        lines.append((f"Objects of {len(rest)} further classes", [cell(f"{number:,}") for number in sums]))
    columns = worded(""), *(Column(name=title) for title in known)
    rows = tuple(row("measured", cell(name), *cells) for name, cells in lines)
    yield Section(
        title="The data",
        key="data",
        note=f"Sides are square roots of areas, with the longer side of an image at {record.settings.imgsz} px. A cell "
        "is the smallest part of a map: a box below it shares its cell's prediction with its surroundings.",
        tables=(Table(key="data", caption=f"{record.settings.data or 'Data'}", columns=columns, rows=rows),),
    )


def _whole(number: int) -> Cell:
    return cell(f"{number:,}", sort=number)


def _three(values: tuple[float, float, float] | None) -> Cell:
    return cell(", ".join(f"{value:.3g}" for value in values or ()) or words.DASH)


# Where `harness.latency.raw_samples` puts the figures: named again, since that imports torch.
METADATA_KEY = b"clo_nas_latency"
# Of each model in a round, in either order.
_PASSES = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Rounds:
    """One architecture's measurement beside the baseline; the baseline's own is beside its copy.

    `ratios` are the time of the two passes over that of the baseline's two, a round each; `ratio` is made of them.
    """

    ratios: NDArray[np.float64]
    ratio: float
    low: float
    high: float


# Architecture to its rounds; None where there are none to be read.
Reader = Callable[[str], Rounds | None]


def read_rounds(folder: Path, architecture: str) -> Rounds | None:
    """Read the rounds of `<architecture>.parquet`; None where there is no such file, or it is no sound measurement."""

    def read() -> Rounds | None:
        table = pq.read_table(folder / f"{architecture}.parquet", columns=["round", "position", "model", "latency_ms"])
        figures = json.loads(table.schema.metadata[METADATA_KEY])
        passes = table.to_pandas().sort_values(["round", "position"])
        candidate, baseline = (
            passes.loc[passes["model"] == model, "latency_ms"].to_numpy(dtype=float).reshape(-1, _PASSES)
            for model in ("candidate", "baseline")
        )
        ratios = candidate.sum(axis=1) / baseline.sum(axis=1)
        ratio, low, high = map(float, (figures["ratio"], *figures["ratio_ci95"]))
        sound = len(ratios) and np.isfinite([*ratios, ratio, low, high]).all() and passes["latency_ms"].min() > 0
        return Rounds(ratios=ratios, ratio=ratio, low=low, high=high) if sound else None

    return of_one(architecture, read)


# Architectures, and rounds of each as even quantiles: a picture shows no more, and the page stays small.
MOST_ROWS, MOST_MARKS = 16, 300
# Of a strip, in the drawing's own unit.
WIDTH = 320
_EDGE = 6.0
# Percentiles that the common scale holds: one round on a busy machine does not press all others together.
_SHOWN = (5, 95)

_READING = (
    "Each thin mark is one round: candidate, baseline, baseline, candidate, and the two times of the one over the two "
    "of the other. The thick bar is the 95 % interval of the ratio, the mean of the middle half of the rounds; "
    "it says how well the mean is known and is far narrower than the rounds scatter. Marks beyond the scale lie at its "
    "edge. Two lumps of marks mean that the machine ran at two speeds.",
    "The baseline beside its own copy (A/A) shows what the method reads where there is no difference: a ratio of "
    "another row that is as near to 1 as this one's is no difference either.",
)
_UNREADABLE = (
    "The single rounds are not drawn: this report has no latency/<id>.parquet beside it that can be read and holds the "
    "measurements that the study speaks of."
)


def latency_section(record: StudyRecord, front: Iterable[str], read: Reader | None) -> Iterator[Section]:
    """Yield the rounds of the A/A check and of the front's members, best first; nothing where none was measured.

    A file that holds another measurement than storage speaks of, as one from an earlier study of the same name, is
    left out.
    """
    told = _told(record)
    wanted = [name for name in (BASELINE, *(name for name in front if name != BASELINE)) if name in told]
    if not wanted:
        return
    shown = wanted[:MOST_ROWS]
    found = {
        name: rounds
        for name in shown
        if read
        and (rounds := read(name))
        and any(math.isclose(rounds.ratio, each, rel_tol=1e-6) for each in told[name])
    }
    said = list(_READING if found else (_UNREADABLE,))
    if found and (missing := [name for name in shown if name not in found]):
        said.append(f"Not drawn, for want of a file of the same measurement: {', '.join(missing)}.")
    if found and len(wanted) > len(shown):
        said.append(f"{len(wanted) - len(shown)} further members of the front are not drawn.")
    yield Section(
        title="The rounds behind the latencies",
        key="rounds",
        tables=(_table(found),) if found else (),
        sentences=tuple(said),
        minor=True,
    )


def _told(record: StudyRecord) -> dict[str, Sequence[float]]:
    """Map architecture to the ratios that storage has of it; the baseline's is that of its A/A check."""
    rows = record.trials.reindex(columns=["architecture", "latency_ratio"]).dropna()
    by_name = rows[rows["architecture"] != BASELINE].groupby("architecture")["latency_ratio"]
    told: dict[str, Sequence[float]] = {str(name): list(values) for name, values in by_name}
    check = record.environment.latency_aa_check
    return told | ({BASELINE: [check.ratio]} if check else {})


def _table(found: Mapping[str, Rounds]) -> Table:
    """Tabulate rounds on one scale for all rows: 1, all intervals, and the rounds but for the outermost."""
    ends = [1.0]
    for each in found.values():
        ends += [each.low, each.high, *map(float, np.percentile(each.ratios, _SHOWN))]
    margin = 0.02 * (max(ends) - min(ends)) or 0.01
    low, high = min(ends) - margin, max(ends) + margin
    return Table(
        key="rounds",
        caption="Latency: every round, and what was made of them",
        columns=(
            worded("Architecture"),
            worded("Every round", f"from {low:.2f}× to {high:.2f}×; dashed: 1×"),
            Column(name="Ratio", unit="× baseline, 95 % interval"),
            Column(name="Middle half", unit="of the rounds, × baseline"),
            Column(name="Rounds", unit="of four passes"),
        ),
        rows=tuple(_row(name, each, low, high) for name, each in found.items()),
    )


def _row(name: str, rounds: Rounds, low: float, high: float) -> Row:
    def at(value: float) -> float:
        share = (value - low) / (high - low)
        return round(_EDGE + (WIDTH - 2 * _EDGE) * min(1.0, max(0.0, share)), 1)

    quarter, three = map(float, np.percentile(rounds.ratios, [25, 75]))
    is_check = name == BASELINE
    marks = np.sort(rounds.ratios)
    if len(marks) > MOST_MARKS:
        marks = np.quantile(marks, (np.arange(MOST_MARKS) + 0.5) / MOST_MARKS)
    strip = Strip(
        marks=tuple(at(float(each)) for each in marks),
        low=at(rounds.low),
        mid=at(rounds.ratio),
        high=at(rounds.high),
        one=at(1.0),
        width=WIDTH,
    )
    return row(
        "reference" if is_check else "measured",
        cell(name, "beside its own copy: A/A" if is_check else ""),
        Cell(text="", sort=three - quarter, strip=strip),
        cell(f"{rounds.ratio:.3f}×", words.interval(rounds.low, rounds.high, 3), sort=rounds.ratio),
        cell(words.interval(quarter, three, 3), sort=three - quarter),
        counted(len(rounds.ratios)),
        architecture="" if is_check else name,
    )
