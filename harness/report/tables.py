"""The report's tables as data: HTML and Markdown draw the same cells."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.analysis.analysis import Analysis
from harness.analysis.statistics import Standing, ended
from harness.architecture import BASELINE
from harness.record.state import State
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

    `marks` are the readings, ascending; `low` to `high` is the interval of their mean, `mid`; at `one` a ratio is 1.
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
        tint: How strongly it is coloured beside others, −4 (far worse) to 4 (far better).
    """

    text: str
    details: tuple[str, ...] = ()
    sort: float | None = None
    spark: Spark | None = None
    strip: Strip | None = None
    tint: int = 0


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: its verdict or whatever else styles it, and whose whole row it is, which links it with the figures."""

    kind: str
    cells: tuple[Cell, ...]
    architecture: str = ""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column; `unit` stands below the name."""

    name: str
    unit: str = ""
    numeric: bool = True


def cell(text: str, *details: str, sort: float | None = None, spark: Spark | None = None) -> Cell:
    """Make a cell, without details that say nothing."""
    return Cell(text=text, details=tuple(filter(None, details)), sort=sort, spark=spark)


def counted(number: int, *details: str) -> Cell:
    """Make the cell of a number that is sorted by."""
    return cell(str(number), *details, sort=number)


def row(kind: str, *cells: Cell, architecture: str = "") -> Row:
    """Make a row."""
    return Row(kind=kind, cells=cells, architecture=architecture)


def worded(name: str, unit: str = "") -> Column:
    """Make a column of words."""
    return Column(name=name, unit=unit, numeric=False)


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
    worded("Architecture", "blocks added to the base"),
    worded("Verdict", "95 % confidence"),
    Column(name="Gain", unit="mAP50-95, 95 % interval"),
    Column(name="mAP50-95", unit="mean over all its seeds, 95 % interval"),
    Column(name="Latency", unit="× baseline, 95 % interval"),
    Column(name="MACs", unit="per image"),
    Column(name="Parameters", unit="in all"),
    worded("Evidence", "what the gain rests on"),
)


def candidates(
    study: Analysis,
    summary: pd.DataFrame,
    *,
    key: str,
    caption: str,
    ties: Mapping[str, Sequence[str]] | None = None,
    pick: str = "",
    named: Collection[str] = (),
) -> Table:
    """Tabulate architectures, the baseline first, then by evidence, epochs and gain.

    `summary` has the rows to show, `ties` each one's groups of those that are not distinguishable; `named` are
    those whose gains the head of the report names, beside the pick's.
    """
    trials = study.record.trials
    order = {Standing.BASELINE: 0, Standing.JUDGED: 1, Standing.SCREENING: 2, Standing.UNMEASURED: 3}
    rank = summary["standing"].map(order).where(summary.index != BASELINE, 0)
    keys = ["_rank", "epochs", "gain_map50_95"]  # gains of one kind together
    ordered = summary.assign(_rank=rank).sort_values(keys, ascending=[True, False, False], kind="stable")
    values = summary[["gain_map50_95", "gain_low", "gain_high"]].to_numpy(dtype=float).ravel()
    finite = [0.0, *(value for value in values if math.isfinite(value))]
    latencies = trials.reindex(columns=["architecture", "latency_ms_p50"])
    own = latencies[latencies["architecture"] == BASELINE]["latency_ms_p50"].dropna()
    remarks = {name: (f"tied: {', '.join(letters)}",) for name, letters in (ties or {}).items()}
    remarks[pick] = ("the pick", *remarks.get(pick, ()))
    for name, said in phrases.included(study.record).items():
        remarks[name] = (*remarks.get(name, ()), said)
    span, baseline_ms = (min(finite), max(finite)), float(own.iloc[0]) if len(own) else math.nan
    several = len(set(trials.loc[trials["state"] == State.COMPLETE, "epochs"])) > 1  # numbers of epochs
    rows = tuple(
        _candidate(study, str(name), each, span, baseline_ms, remarks.get(str(name), ()), {pick, *named}, several)
        for name, each in ordered.iterrows()
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
        columns=(worded("State"), worded("Reason"), Column(name="Trainings"), worded("Architectures")),
        rows=tuple(
            row(
                "failed",
                cell(state.replace("_", " ")),
                cell(reason or words.DASH),
                counted(number),
                cell(words.listed([str(name) for name in examples[state, reason]])),
            )
            for (state, reason), number in counts.most_common()
        ),
    )


def _candidate(
    study: Analysis,
    name: str,
    found: Any,
    span: tuple[float, float],
    baseline_ms: float,
    remarks: Sequence[str],
    named: Collection[str],
    several: bool,
) -> Row:
    record, digits = study.record, study.digits
    known, verdict, is_baseline = record.architectures.get(name), str(found["verdict"]), name == BASELINE
    gain_ends = words.interval(found["gain_low"], found["gain_high"], digits, sign=True)
    fronts = {(True, True): "both fronts", (True, False): "latency front", (False, True): "MACs front"}
    front = fronts.get((bool(found.get("front_latency", False)), bool(found.get("front_macs", False))), "")
    tested = words.p_value(found["p_holm"])
    return row(
        verdict,
        cell(name, known.describe() if known else ""),
        cell(phrases.verdict_of(found), *remarks, front, *phrases.beyond(found, record.constraints)),
        cell(
            words.signed(found["gain_map50_95"], digits),
            {"reference": "by definition", "unmeasured": ""}.get(verdict, gain_ends),
            _as_the_chosen(study, name, gain_ends) if name in named else "",
            f"after {words.epochs(found['epochs'])}" if several and pd.notna(found["epochs"]) else "",
            sort=found["gain_map50_95"],
            spark=None if is_baseline else spark(found, ("gain_map50_95", "gain_low", "gain_high"), span, 4),
        ),
        _accuracy(found, digits),
        _latency(found, baseline_ms, is_baseline=is_baseline),
        *(
            cell(
                words.amount(found[cost]),
                "" if is_baseline else words.percent(found[f"{cost}_ratio"]),
                sort=found[cost],
            )
            for cost in ("macs", "params")
        ),
        cell(
            str(found["gain_basis"]),
            f"Holm-corrected {tested}" if tested else "",
            f"{words.count(int(found['failed']), 'training')} failed: {found['reason']}" if found["failed"] else "",
            sort=found["gain_seeds"],
        ),
        architecture=name,
    )


def _as_the_chosen(study: Analysis, name: str, own: str) -> str:
    """Format the interval that the head of the report gives, which also holds for one chosen by its observed gain."""
    chosen: Any = study.inside.loc[name]
    ends = words.interval(chosen["gain_low"], chosen["gain_high"], study.digits, sign=True)
    return "" if ends == own else f"{ends}{phrases.corrected(chosen, study.inside)}"


def _accuracy(found: Any, digits: int) -> Cell:
    """Make the cell of means over seeds with their intervals."""
    if not math.isfinite(found["map50_95"]):
        return cell(words.DASH, sort=math.nan)
    (strict, ends), (lenient, other_ends) = (
        (words.plain(found[name], digits), words.interval(found[f"{name}_low"], found[f"{name}_high"], digits))
        for name in ("map50_95", "map50")
    )
    return cell(strict, ends, f"mAP50 {lenient}", other_ends, sort=found["map50_95"])


def _latency(found: Any, baseline_ms: float, *, is_baseline: bool) -> Cell:
    """Make the cell of the ratio to the baseline with its interval, and milliseconds.

    Milliseconds are the ratio times the baseline's median: raw medians were taken at different times, and
    on a machine whose speed drifts a slower model may read fewer of them. They are in trials.csv.
    """
    ratio = found["latency_ratio"]
    if not math.isfinite(ratio):
        return cell(words.DASH, "not measured", sort=math.nan)
    ends = words.interval(found["latency_ratio_low"], found["latency_ratio_high"], 2)
    milliseconds = words.milliseconds(ratio * baseline_ms)
    return cell(words.times(ratio), "by definition" if is_baseline else ends, milliseconds, sort=ratio)


def spark(
    found: Any, names: Sequence[str], span: tuple[float, float], edge: int, outer: Sequence[str] = ()
) -> Spark | None:
    """Place a mean and its interval on the strip of a table; None without a mean, or where all of the table's are one.

    Args:
        found: A row of a frame.
        names: Its columns of the mean and of the ends.
        span: What the strip holds, but for an `edge` at either side.
        edge: In hundredths.
        outer: The columns of a corrected interval's ends: the strip is a forest plot's.
    """
    low, high = span
    mid, *ends = (found[name] for name in (*names, *outer))
    if not math.isfinite(mid) or high <= low:
        return None

    def at(value: float) -> float:
        return round(min(100.0, max(0.0, edge + (100 - 2 * edge) * (value - low) / (high - low))), 2)

    left, right, outer_left, outer_right = [*(at(end) if math.isfinite(end) else None for end in ends), None, None][:4]
    return Spark(
        low=left, mid=at(mid), high=right, zero=at(0.0), outer_low=outer_left, outer_high=outer_right, wide=bool(outer)
    )
