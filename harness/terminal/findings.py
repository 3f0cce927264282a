"""What a study has found so far, ready to be drawn: reckoned once a training, never while drawing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from harness.record.study import StudyRecord
from harness.report import words
from harness.report.ablation import ablation_content
from harness.report.progress import growth
from harness.terminal.arms import arms_table
from harness.terminal.front import failures, front_table

_BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int) -> str:
    """The values from left to right, the lowest as the lowest block and the highest as the full one.

    Args:
        values: Finite; where there are more than `width`, a block stands for the last of its share.
        width: Most letters.
    """
    if not values or width < 1:
        return ""
    letters = min(width, len(values))
    shown = [values[math.ceil((place + 1) * len(values) / letters) - 1] for place in range(letters)]
    low, high = min(shown), max(shown)
    if high <= low:
        return _BLOCKS[0] * letters
    return "".join(_BLOCKS[round((value - low) / (high - low) * (len(_BLOCKS) - 1))] for value in shown)


_WIDTH = 24


@dataclass(frozen=True, kw_only=True)
class Findings:
    """A study at one moment.

    Attributes:
        table: The front; of an ablation the arms. A line a row.
        hypervolume: How it grew, as a line; empty where nothing can be told, and for an ablation.
        failures: A line a reason.
    """

    table: Table
    hypervolume: str
    failures: tuple[str, ...]


def find(record: StudyRecord) -> Findings:
    """What there is to be shown of a study."""
    if record.ablation:
        table = arms_table(record, ablation_content(record).page, "gains", whole=False)
        return Findings(table=table, hypervolume="", failures=failures(record))
    return Findings(
        table=front_table(record, wrap=False), hypervolume=hypervolume_line(record), failures=failures(record)
    )


def hypervolume_line(record: StudyRecord) -> str:
    """`hypervolume ▁▃█ 0.00123 mAP50-95 × latency after 12 trainings`; empty where there is none."""
    grown = growth(record)
    if grown is None or grown.steps.empty:
        return ""
    values = [float(value) for value in grown.steps["hypervolume"]]
    after = words.count(len(values), "training")
    return f"hypervolume {sparkline(values, _WIDTH)} {values[-1]:.3g} {grown.unit} after {after}"
