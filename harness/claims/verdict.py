"""What a check finds: a verdict that one can quote, and the numbers that it follows from.

Nothing here needs torch, so that a report can read findings that another machine made.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

# Column of the evidence: a model's verdict over everything that it is compared with; what decides nothing has none.
OVER_ALL = "over all"
# One entry of a table; a float that is not finite counts as absent.
Cell = str | int | float | bool | None


class Verdict(StrEnum):
    """What became of a claim."""

    REPRODUCED = "reproduced"
    REFUTED = "refuted"
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number of the evidence.

    Attributes:
        name: What was measured.
        value: The number.
        low: Lower end of its interval; NaN where it has none.
        high: Upper end.
        unit: Its unit; empty for a pure number.
    """

    name: str
    value: float
    low: float = math.nan
    high: float = math.nan
    unit: str = ""

    @property
    def has_interval(self) -> bool:
        """Whether both ends are known."""
        return math.isfinite(self.low) and math.isfinite(self.high)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The answer to one claim.

    Attributes:
        verdict: The answer in a word.
        sentence: The answer in a sentence, with its main number.
        figures: The numbers that the verdict follows from.
        rows: A table of the evidence, each row by column.
        caption: What the table shows.
        to_decide: What it would take; not empty where the verdict is `undecided`.
        command: The exact command for what is left.
        scope: The data that the verdict is about, where it is not about those that the claim names; else empty.
        elsewhere: The answers of other data to the same claim.

    Raises:
        ValueError: The verdict is `undecided` and nothing says what it would take.
    """

    verdict: Verdict
    sentence: str
    figures: tuple[Figure, ...] = ()
    rows: tuple[Mapping[str, Cell], ...] = ()
    caption: str = ""
    to_decide: str = ""
    command: str = ""
    scope: str = ""
    elsewhere: tuple[Finding, ...] = ()

    @property
    def told(self) -> str:
        """The verdict with what it is about, such as `refuted on digits`."""
        return f"{self.verdict} on {self.scope}" if self.scope else str(self.verdict)

    def __post_init__(self) -> None:
        if self.verdict is Verdict.UNDECIDED and not self.to_decide:
            raise ValueError(f"undecided ('{self.sentence}') without to_decide; it says what a decision would take")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; what is not finite becomes None."""
        return {
            **asdict(self),
            "verdict": str(self.verdict),
            "figures": [_jsonable(asdict(figure)) for figure in self.figures],
            "rows": [_jsonable(row) for row in self.rows],
            "elsewhere": [each.to_dict() for each in self.elsewhere],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Finding:
        """Build a finding from `to_dict`'s data; None becomes NaN in figures and stays None in the table."""
        figures = tuple(_figure(one) for one in data["figures"])
        rows = tuple(dict(row) for row in data["rows"])
        own = {"verdict": Verdict(data["verdict"]), "figures": figures, "rows": rows}
        return cls(**{**data, **own, "elsewhere": tuple(map(cls.from_dict, data.get("elsewhere", ())))})


def judge_gain(low: float, high: float, claimed: float) -> Verdict:
    """Judge "gains at least this much": does the whole interval lie on one side of it?

    Args:
        low: Lower end of the gain's interval, corrected for multiple comparison; NaN where there is none.
        high: Upper end.
        claimed: Lower end of what is claimed, in the same unit.

    Returns:
        `reproduced` where the interval lies above `claimed`, `refuted` where it lies below, else `undecided`; an
        interval that touches it does not lie on one side.

    Raises:
        ValueError: The ends are in the wrong order.
    """
    if low > high:
        raise ValueError(f"the interval {low} to {high} has its ends in the wrong order")
    if math.isnan(low) or math.isnan(high) or low <= claimed <= high:
        return Verdict.UNDECIDED
    return Verdict.REPRODUCED if low > claimed else Verdict.REFUTED


def judge(holds: bool) -> Verdict:
    """Judge what was counted, or measured down to rounding: it holds or it does not."""
    return Verdict.REPRODUCED if holds else Verdict.REFUTED


def _figure(data: Mapping[str, Any]) -> Figure:
    numbers = {end: math.nan if data[end] is None else data[end] for end in ("value", "low", "high")}
    return Figure(name=data["name"], unit=data["unit"], **numbers)


def _jsonable(row: Mapping[str, Cell]) -> dict[str, Cell]:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
