"""The rule by which a block pays: what a comparison under fresh seeds must show, over the baseline and over placebos.

- *pays*: the gain is as large as matters, and the corrected intervals of the gain over the baseline, and over the base
  widened to as many parameters and to as many MACs, lie above 0.
- *does not pay*: one of these intervals lies below the gain that matters: there is none such, or size gives it, too.
- *undecided*: anything else, an interval that is missing included.

Intervals are on new images like these, where that is known, and hold together with 95 % (`contrasts`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from harness.analysis.contrasts import contrasts, model_pairs
from harness.analysis.new_images import Target
from harness.analysis.noise import ALPHA
from harness.analysis.power import POWER, growing_df, in_table, seeds_needed
from harness.analysis.recommendation import ROUNDING
from harness.common.errors import UserError, sentence
from harness.judge.plan import Option
from harness.record.study import StudyRecord
from harness.record.surroundings import Control
from harness.record.tables import is_study, read_study

# What a verdict's page needs besides the tables of its studies.
KEPT = "judged.json"


class Verdict(StrEnum):
    """What a person is told."""

    PAYS = "pays"
    DOES_NOT_PAY = "does not pay"
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A verdict, and what it rests on.

    Attributes:
        verdict: By the rule above.
        why: One sentence.
        rows: The comparisons: `contrasts` of the model with the baseline and with each placebo.
        seeds_needed: Fresh seeds of every arm that would decide it on these images; see `seeds_to_decide`. NaN where
            nothing is undecided, or the noise is not known.
    """

    verdict: Verdict
    why: str
    rows: pd.DataFrame
    seeds_needed: float = float("nan")


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What came of it, however far it came.

    Attributes:
        block: As it was named.
        hours: That there were.
        spent: Hours that were used, in all runs of the command.
        option: The search that was planned.
        record: The search, with the long trainings.
        architecture: What was judged: what the search recommends, else the candidate with the largest judged gain;
            None where nothing was judged.
        confirm: The comparison under fresh seeds; None where there is none.
        finding: The verdict.
        control: The last control of this version on this device.
        notes: What was left out, and what was chosen for the person.
        command: What was typed.
        stopped: Whether Ctrl-C ended it.
    """

    block: str
    hours: float
    spent: float
    option: Option
    record: StudyRecord
    architecture: str | None
    confirm: StudyRecord | None
    finding: Finding
    control: Control
    notes: tuple[str, ...]
    command: str
    stopped: bool = False

    def kept(self) -> Mapping[str, Any]:
        """Return what `read_judged` needs besides the tables."""
        return _Kept(**{name: getattr(self, name) for name in _Kept.model_fields}).model_dump(mode="json")


class _Kept(BaseModel):
    """The fields of `Judged` that its studies' tables do not tell."""

    model_config = ConfigDict(extra="forbid")

    block: str
    hours: float
    spent: float
    option: Option
    architecture: str | None
    control: Control
    notes: tuple[str, ...]
    command: str


def read_judged(folder: Path) -> Judged:
    """Read what a verdict was made of: `judged.json` there, and the tables of the search above it and its comparison.

    Raises:
        UserError: Something of it is missing or damaged.
    """
    path = folder / KEPT
    try:
        own = _Kept.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        raise UserError(f"{path}: is not as clo-nas writes it ({sentence(error.errors()[0])})") from error
    record = read_study(folder.parent)
    if own.architecture is not None and own.architecture not in record.architectures:
        raise UserError(f"{path}: architecture {own.architecture} is not one of study {record.name}")
    beside = folder.parent.with_name(f"{folder.parent.name}-confirm")
    confirm = read_study(beside) if is_study(beside) else None
    finding = judged(confirm, own.architecture, record.min_gain)
    return Judged(**dict(own), record=record, confirm=confirm, finding=finding)


def judged(confirm: StudyRecord | None, architecture: str | None, min_gain: float) -> Finding:
    """Apply the rule.

    Args:
        confirm: The comparison: models, their placebos and the baseline.
        architecture: Identity of the model that is judged.
        min_gain: The smallest difference in mAP50-95 that matters.
    """
    if architecture is None:
        return Finding(
            verdict=Verdict.UNDECIDED, why="No candidate was trained under enough seeds.", rows=pd.DataFrame()
        )
    pairs = [] if confirm is None else [pair for pair in model_pairs(confirm) if _is_of(pair.name, architecture)]
    if confirm is None or not pairs:
        return Finding(
            verdict=Verdict.UNDECIDED,
            why="The comparison under fresh seeds is missing: the same command makes it.",
            rows=pd.DataFrame(),
        )
    rows = contrasts(confirm.trials, pairs)
    left_out = confirm.ablation.left_out if confirm.ablation else ()
    missing = [said for said in left_out if f"/{architecture}: " in said]
    verdict, why = by_rule(rows, min_gain, missing=missing)
    needed = seeds_to_decide(rows, min_gain) if verdict is Verdict.UNDECIDED else float("nan")
    return Finding(verdict=verdict, why=why, rows=rows, seeds_needed=needed)


def seeds_to_decide(rows: pd.DataFrame, min_gain: float) -> float:
    """Return the seeds of every arm that decide by the rule in four of five comparisons, on these images.

    The truth is taken to be what was measured: it *pays* where all differences are told from 0 and the gain is as large
    as matters, it *does not pay* where the difference furthest below the gain that matters is told from that.

    Args:
        rows: From `contrasts`, the one with the baseline first.
        min_gain: The smallest difference in mAP50-95 that matters.

    Returns:
        Infinite where no number that anyone trains does; NaN where the noise is not known.
    """
    ways = [_seeds(row, min_gain, POWER) for _, row in rows.iterrows() if row["mean"] < min_gain]
    if rows.iloc[0]["mean"] >= min_gain and (rows["mean"] > 0).all():
        each = 1 - (1 - POWER) / len(rows)  # all have to be told
        ways.append(max(_seeds(row, 0.0, each) for _, row in rows.iterrows()))
    known = [way for way in ways if not math.isnan(way)]
    return min(known, default=math.nan)


def _seeds(row: Any, target: float, power: float) -> float:
    """Compute the seeds needed to distinguish a difference of `contrasts`, as measured, from a target this often."""
    freedom = growing_df(row["df"], row["readings"], row["df_per_reading"])
    return in_table(seeds_needed(row["sd"], row["mean"] - target, freedom, ALPHA / row["comparisons"], power))


def _is_of(arm: str, architecture: str) -> bool:
    """Return whether an arm of a comparison is STUDY/ID of that architecture, or was made of it."""
    return arm.partition(": ")[0].rpartition("/")[2] == architecture


def by_rule(rows: pd.DataFrame, min_gain: float, *, missing: Sequence[str] = ()) -> tuple[Verdict, str]:
    """Return the verdict of some comparisons, the one with the baseline first, and why.

    Args:
        rows: From `contrasts`.
        min_gain: The smallest difference in mAP50-95 that matters.
        missing: A sentence for each comparison that could not be made.
    """
    over = rows.iloc[0]
    known = rows[rows["high_corrected"].notna()]
    where = "on new images like these" if over["target"] == Target.NEW_IMAGES else "on these images"
    low = known[known["high_corrected"] < min_gain]
    if len(low):
        row = low.iloc[0]
        if row["name"] == over["name"]:
            return Verdict.DOES_NOT_PAY, f"Its gain over the baseline is below {min_gain:g} mAP50-95 {where}."
        return (
            Verdict.DOES_NOT_PAY,
            f"It gains less than {min_gain:g} mAP50-95 over the {str(row['name']).rpartition(': ')[2]}: size gives "
            "as much.",
        )
    if missing or len(known) < len(rows):
        said = missing[0] if missing else "a comparison has no interval yet: one seed, or a training failed"
        return Verdict.UNDECIDED, f"Not everything can be compared: {said}."
    if over["mean"] >= min_gain - ROUNDING and (known["low_corrected"] > 0).all():
        return Verdict.PAYS, f"It gains over the baseline, and over the base widened to its size, {where}."
    return (
        Verdict.UNDECIDED,
        f"Neither a gain nor that there is none of {min_gain:g} mAP50-95 can be told from the noise {where}.",
    )
