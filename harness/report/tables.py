"""The report's tables as data: HTML and Markdown draw the same cells."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.analysis.analysis import Analysis
from harness.analysis.statistics import Standing, ended
from harness.architecture import BASELINE
from harness.record.state import State
from harness.record.study import StudyRecord
from harness.report import phrases, words


@dataclass(frozen=True, kw_only=True)
class Spark:
    """A gain and its interval as positions on a strip that all rows of a table share, 0 to 100.

    A forest plot's strip is wide and has a thinner bar, too, from `outer_low` to `outer_high`: the corrected interval.
    Where an interval is not known its ends are None, and nothing is drawn: one of no length would be a certain one.
    """

    low: float | None
    mid: float
    high: float | None
    zero: float
    outer_low: float | None = None
    outer_high: float | None = None
    wide: bool = False


@dataclass(frozen=True, kw_only=True)
class Strip:
    """Many readings and what was made of them, as positions on a strip that all rows of a table share, 0 to `width`.

    Attributes:
        marks: The readings, ascending.
        low: Where the interval of their mean begins.
        mid: The mean.
        high: Where its interval ends.
        one: Where a ratio is 1.
        width: Of the strip.
    """

    marks: tuple[float, ...]
    low: float
    mid: float
    high: float
    one: float
    width: int


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell.

    Attributes:
        text: What it says first.
        details: What it adds in a smaller voice, a line each: an interval, a difference.
        sort: What it is sorted by; the text where None, last where NaN.
        spark: A drawing of the interval, where there is one.
        strip: A drawing of single readings, where there are some.
        tint: How strongly it is coloured beside others, −4 (far below) to 4 (far above).
    """

    text: str
    details: tuple[str, ...] = ()
    sort: float | None = None
    spark: Spark | None = None
    strip: Strip | None = None
    tint: int = 0


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row.

    Attributes:
        kind: The verdict or whatever else styles it.
        cells: One for each column.
        architecture: Whose row it is, where it is one's whole row: it is linked with the figures.
    """

    kind: str
    cells: tuple[Cell, ...]
    architecture: str = ""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column; `unit` stands below the name."""

    name: str
    unit: str = ""
    numeric: bool = True


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with its caption."""

    key: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @property
    def told(self) -> tuple[int, ...]:
        """The columns that say something; others only draw."""
        return tuple(at for at in range(len(self.columns)) if any(row.cells[at].text for row in self.rows))


CANDIDATE_COLUMNS = (
    Column(name="Architecture", unit="blocks added to the base", numeric=False),
    Column(name="Verdict", unit="95 % confidence", numeric=False),
    Column(name="Gain", unit="mAP50-95, 95 % interval"),
    Column(name="mAP50-95", unit="mean, 0 to 1, 95 % interval"),
    Column(name="Latency", unit="× baseline, 95 % interval"),
    Column(name="MACs", unit="per image"),
    Column(name="Parameters", unit="in all"),
    Column(name="Evidence", unit="what the gain rests on", numeric=False),
)


def candidates(
    study: Analysis,
    summary: pd.DataFrame,
    *,
    key: str,
    caption: str,
    ties: Mapping[str, Sequence[str]] | None = None,
    pick: str = "",
) -> Table:
    """Architectures, the baseline first, then by evidence and gain.

    Args:
        study: What was found.
        summary: Its rows to show.
        key: The table's name in the page.
        caption: What the table shows.
        ties: Architecture to its groups of those that the noise does not tell apart.
        pick: The recommended candidate, if any.
    """
    record, digits = study.record, study.digits
    order = {Standing.BASELINE: 0, Standing.JUDGED: 1, Standing.SCREENING: 2, Standing.UNMEASURED: 3}
    rank = summary["standing"].map(order).where(summary.index != BASELINE, 0)
    ordered = summary.assign(_rank=rank).sort_values(["_rank", "gain_map50_95"], ascending=[True, False], kind="stable")
    span = _span(summary)
    baseline_ms = _baseline_ms(record)
    remarks = {name: (f"tied: {', '.join(letters)}",) for name, letters in (ties or {}).items()}
    remarks[pick] = ("the pick", *remarks.get(pick, ()))
    several = len(set(record.trials.loc[record.trials["state"] == State.COMPLETE, "epochs"])) > 1
    rows = tuple(
        _candidate(record, str(name), row, digits, span, baseline_ms, remarks.get(str(name), ()), several=several)
        for name, row in ordered.iterrows()
    )
    return Table(key=key, caption=caption, columns=CANDIDATE_COLUMNS, rows=rows)


def failures(trials: pd.DataFrame) -> Table:
    """Group the trainings that ended without a result by state and reason; one that still runs is not among them."""
    rows = ended(trials)
    rows = rows[rows["state"] != State.COMPLETE]
    counts = Counter(zip(rows["state"].astype(str), rows["reason"].fillna("").astype(str), strict=True))
    examples = rows.fillna({"reason": ""}).groupby(["state", "reason"])["architecture"].unique()
    return Table(
        key="failures",
        caption="Trainings that did not finish, by reason",
        columns=(
            Column(name="State", numeric=False),
            Column(name="Reason", numeric=False),
            Column(name="Trainings"),
            Column(name="Architectures", numeric=False),
        ),
        rows=tuple(
            Row(
                kind="failed",
                cells=(
                    Cell(text=state.replace("_", " ")),
                    Cell(text=reason or words.DASH),
                    Cell(text=str(number), sort=number),
                    Cell(text=words.listed([str(name) for name in examples[state, reason]])),
                ),
            )
            for (state, reason), number in counts.most_common()
        ),
    )


def _candidate(
    record: StudyRecord,
    name: str,
    row: Any,
    digits: int,
    span: tuple[float, float],
    baseline_ms: float,
    remarks: Sequence[str],
    *,
    several: bool,
) -> Row:
    """One architecture's row; `several`: not all of the study's trainings have the same number of epochs."""
    known = record.architectures.get(name)
    gain_ends = words.interval(row["gain_low"], row["gain_high"], digits, sign=True)
    is_baseline = name == BASELINE
    verdict = str(row["verdict"])
    failed = f"{words.count(int(row['failed']), 'training')} failed: {row['reason']}" if row["failed"] else ""
    cells = (
        Cell(text=name, details=(known.describe(),) if known else ()),
        Cell(text=verdict, details=(*remarks, *_standing(row), *phrases.beyond(row, record.constraints))),
        Cell(
            text=words.signed(row["gain_map50_95"], digits),
            details={"reference": ("by definition",), "unmeasured": ()}.get(verdict, (gain_ends,)),
            sort=row["gain_map50_95"],
            spark=None if is_baseline else _spark(row, span),
        ),
        _accuracy(row, digits),
        _latency(row, baseline_ms, is_baseline=is_baseline),
        _cost(row, "macs", is_baseline=is_baseline),
        _cost(row, "params", is_baseline=is_baseline),
        Cell(
            text=str(row["gain_basis"]),
            details=tuple(part for part in (_length(row) if several else "", _tested(row), failed) if part),
            sort=row["gain_seeds"],
        ),
    )
    return Row(kind=verdict, cells=cells, architecture=name)


def _length(row: Any) -> str:
    """Of how many epochs the trainings are."""
    return f"trained for {words.plain(row['epochs'], 0)} epochs" if pd.notna(row["epochs"]) else ""


def _standing(row: Any) -> tuple[str, ...]:
    """On one seed only, and on which fronts, where that is known."""
    screening = ("screening only",) if row["standing"] == Standing.SCREENING else ()
    fronts = {(True, True): "both fronts", (True, False): "latency front", (False, True): "MACs front"}
    shown = fronts.get((bool(row.get("front_latency", False)), bool(row.get("front_macs", False))))
    return (*screening, *((shown,) if shown else ()))


def _accuracy(row: Any, digits: int) -> Cell:
    """Means over seeds with their intervals."""
    strict, lenient = (
        (
            words.plain(row[name], digits),
            words.interval(row[f"{name}_low"], row[f"{name}_high"], digits),
        )
        for name in ("map50_95", "map50")
    )
    if not math.isfinite(row["map50_95"]):
        return Cell(text=words.DASH, sort=math.nan)
    details = (strict[1], f"mAP50 {lenient[0]}", lenient[1])
    return Cell(text=strict[0], details=details, sort=row["map50_95"])


def _baseline_ms(record: StudyRecord) -> float:
    """The baseline's own median latency."""
    rows = record.trials.reindex(columns=["architecture", "latency_ms_p50"])
    own = rows[rows["architecture"] == BASELINE]["latency_ms_p50"].dropna()
    return float(own.iloc[0]) if len(own) else math.nan


def _latency(row: Any, baseline_ms: float, *, is_baseline: bool) -> Cell:
    """The ratio to the baseline with its interval, and milliseconds.

    Milliseconds are the ratio times the baseline's median: raw medians were taken at different times, and
    on a machine whose speed drifts a slower model may read fewer of them. They are in trials.csv.
    """
    ratio = row["latency_ratio"]
    if not math.isfinite(ratio):
        return Cell(text=words.DASH, details=("not measured",), sort=math.nan)
    ends = words.interval(row["latency_ratio_low"], row["latency_ratio_high"], 2)
    return Cell(
        text=words.times(ratio, math.nan, math.nan),
        details=(
            "by definition" if is_baseline else ends,
            words.milliseconds(ratio * baseline_ms),
        ),
        sort=ratio,
    )


def _cost(row: Any, column: str, *, is_baseline: bool) -> Cell:
    """An exact count and its change."""
    change = () if is_baseline else (words.percent(row[f"{column}_ratio"]),)
    return Cell(text=words.amount(row[column]), details=change, sort=row[column])


def _tested(row: Any) -> str:
    """The corrected test, where there was one."""
    text = words.p_value(row["p_holm"])
    return f"Holm-corrected {text}" if text else ""


def _span(summary: pd.DataFrame) -> tuple[float, float]:
    """The gains that the table's strip must hold, zero included."""
    values = summary[["gain_map50_95", "gain_low", "gain_high"]].to_numpy(dtype=float).ravel()
    finite = [0.0, *(value for value in values if math.isfinite(value))]
    return min(finite), max(finite)


def _spark(row: Any, span: tuple[float, float]) -> Spark | None:
    """Positions on the strip."""
    low, high = span
    mid = row["gain_map50_95"]
    if not math.isfinite(mid) or high <= low:
        return None

    def at(value: float) -> float:
        return round(4 + 92 * (value - low) / (high - low), 2)

    left, right = (at(end) if math.isfinite(end) else None for end in (row["gain_low"], row["gain_high"]))
    return Spark(low=left, mid=at(mid), high=right, zero=at(0.0))
