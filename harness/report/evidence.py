"""What latencies rest on: every round of the front's members and of the baseline beside its own copy, drawn.

The rounds are in files beside the report; everything else is in storage.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from harness.architecture import BASELINE
from harness.record.study import StudyRecord
from harness.record.tables import of_one
from harness.report import tables, words
from harness.report.tables import Cell, Column, Row, Strip, Table, cell, worded

METADATA_KEY = b"clo_nas_latency"
"""Where `harness.latency.raw_samples` puts the figures: named again, since that imports torch."""
_PASSES = 2
"""Of each model in a round, in either order."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Rounds:
    """One architecture's measurement beside the baseline; the baseline's own is beside its copy.

    Attributes:
        ratios: Time of the two passes over that of the baseline's two, a round each, in the order of measuring.
        ratio: What was made of them, with its 95 % interval.
    """

    ratios: NDArray[np.float64]
    ratio: float
    low: float
    high: float


Reader = Callable[[str], Rounds | None]
"""Architecture to its rounds; None where there are none to be read."""


def read_rounds(folder: Path, architecture: str) -> Rounds | None:
    """The rounds of `<architecture>.parquet`; None where there is no such file, or it is no measurement."""
    return of_one(architecture, lambda: _rounds(folder / f"{architecture}.parquet"))


def _rounds(file: Path) -> Rounds | None:
    """Those of a file; None where they are no sound measurement."""
    table = pq.read_table(file, columns=["round", "position", "model", "latency_ms"])
    figures = json.loads(table.schema.metadata[METADATA_KEY])
    passes = table.to_pandas().sort_values(["round", "position"])
    candidate, baseline = (
        passes.loc[passes["model"] == model, "latency_ms"].to_numpy(dtype=float).reshape(-1, _PASSES)
        for model in ("candidate", "baseline")
    )
    ratios = candidate.sum(axis=1) / baseline.sum(axis=1)
    low, high = map(float, figures["ratio_ci95"])
    ratio = float(figures["ratio"])
    sound = len(ratios) and np.isfinite([*ratios, ratio, low, high]).all() and passes["latency_ms"].min() > 0
    return Rounds(ratios=ratios, ratio=ratio, low=low, high=high) if sound else None


MOST_ROWS, MOST_MARKS = 16, 300
"""Architectures, and rounds of each as even quantiles: a picture shows no more, and the page stays small."""
WIDTH = 320
"""Of a strip, in the drawing's own unit."""
_EDGE = 6.0
_SHOWN = (5, 95)
"""Percentiles that the common scale holds: one round on a busy machine does not press all others together."""

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


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Latency rounds to be shown.

    `said` tells how to read them, or why they are not shown; it is empty where no latency was measured.
    """

    said: tuple[str, ...] = ()
    table: Table | None = None


def latency_evidence(record: StudyRecord, front: Iterable[str], read: Reader | None) -> Evidence:
    """The rounds of the baseline's A/A check and of the members of the front.

    A file that holds another measurement than storage speaks of, as one from an earlier study of the same name, is
    left out.

    Args:
        record: The study.
        front: Members, best first.
        read: What reads an architecture's rounds; None where there is nothing to read from.
    """
    told = _told(record)
    wanted = [name for name in (BASELINE, *(name for name in front if name != BASELINE)) if name in told]
    if not wanted:
        return Evidence()
    shown = wanted[:MOST_ROWS]
    found = {
        name: rounds
        for name in shown
        if read
        and (rounds := read(name))
        and any(math.isclose(rounds.ratio, each, rel_tol=1e-6) for each in told[name])
    }
    if not found:
        return Evidence(said=(_UNREADABLE,))
    notes = []
    if missing := [name for name in shown if name not in found]:
        notes.append(f"Not drawn, for want of a file of the same measurement: {', '.join(missing)}.")
    if len(wanted) > len(shown):
        notes.append(f"{len(wanted) - len(shown)} further members of the front are not drawn.")
    return Evidence(said=(*_READING, *notes), table=_table(found))


def _told(record: StudyRecord) -> dict[str, Sequence[float]]:
    """Architecture to the ratios that storage has of it; the baseline's is that of its A/A check."""
    rows = record.trials.reindex(columns=["architecture", "latency_ratio"]).dropna()
    by_name = rows[rows["architecture"] != BASELINE].groupby("architecture")["latency_ratio"]
    told: dict[str, Sequence[float]] = {str(name): list(values) for name, values in by_name}
    check = record.environment.latency_aa_check
    return told | ({BASELINE: [check.ratio]} if check else {})


def _table(found: Mapping[str, Rounds]) -> Table:
    """One scale for all rows: 1, all intervals, and the rounds but for the outermost."""
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
    quarter, three = map(float, np.percentile(rounds.ratios, [25, 75]))
    is_check = name == BASELINE
    return tables.row(
        "reference" if is_check else "measured",
        cell(name, "beside its own copy: A/A" if is_check else ""),
        Cell(text="", sort=three - quarter, strip=_strip(rounds, low, high)),
        cell(f"{rounds.ratio:.3f}×", words.interval(rounds.low, rounds.high, 3), sort=rounds.ratio),
        cell(words.interval(quarter, three, 3), sort=three - quarter),
        tables.counted(len(rounds.ratios)),
        architecture="" if is_check else name,
    )


def _strip(rounds: Rounds, low: float, high: float) -> Strip:
    def at(value: float) -> float:
        share = (value - low) / (high - low)
        return round(_EDGE + (WIDTH - 2 * _EDGE) * min(1.0, max(0.0, share)), 1)

    marks = np.sort(rounds.ratios)
    if len(marks) > MOST_MARKS:
        marks = np.quantile(marks, (np.arange(MOST_MARKS) + 0.5) / MOST_MARKS)
    return Strip(
        marks=tuple(at(float(each)) for each in marks),
        low=at(rounds.low),
        mid=at(rounds.ratio),
        high=at(rounds.high),
        one=at(1.0),
        width=WIDTH,
    )
