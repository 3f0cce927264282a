"""What a rule needs before it may speak: each comparison that it names, measured or missing, and why.

A claim that a gain is one over everything is reproduced by everything, or not at all: a placebo that failed, cannot
be built or has not run yet is no comparison that went well. This is the one place that says which comparisons there
should be; the rules in `accuracy` say what follows from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.analysis.noise import ALPHA, NO_VARIATION
from harness.analysis.power import NoNumber, SampleSize, growing_df, sample_size
from harness.architecture import BASELINE
from harness.architecture.choices import Recipe
from harness.claims.published import PublishedBaseline
from harness.claims.verdict import Cell, Verdict, judge_gain
from harness.record.state import State
from harness.record.study import StudyRecord

_WORDS = {
    BASELINE: "the baseline",
    "base widened to its params": "the base widened to its parameters",
    "base widened to its macs": "the base widened to its MACs",
}
_AGAIN = "the same command, without --no-training, trains what is missing"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One contrast of one study, with what it is compared with.

    Attributes:
        study: Name of the study.
        start: How its arms start.
        data: Name of its data.
        model: Name of the model.
        against: Name of the arm that it is compared with.
        row: From `contrasts`.
        baseline: Mean mAP50-95 of the baseline.
        published: The baseline beside what is published for it, on COCO.
    """

    study: str
    start: str
    data: str
    model: str
    against: str
    row: Mapping[str, Any]
    baseline: float
    published: PublishedBaseline | None = None

    def verdict(self, claimed: float) -> Verdict:
        """Judge whether at least so much is gained."""
        return judge_gain(self.row["low_corrected"], self.row["high_corrected"], claimed)

    def needed(self, claimed: float) -> SampleSize:
        """Estimate how many readings of every arm distinguish a true difference of this size from the claimed one."""
        row = self.row
        return sample_size(
            row["sd"],
            row["df"],
            row["mean"] - claimed,
            growing_df(row["df"], row["readings"], row["df_per_reading"]),
            ALPHA / row["comparisons"],
        )

    @property
    def unknown(self) -> str:
        """Why its noise is not known, and so nothing of its size; empty where it is."""
        if not self.row["df"] > 0:
            return "the noise is unknown: one seed"
        return "" if self.row["sd"] > NO_VARIATION else "the noise is unknown: its seeds do not differ at all"

    def cells(self, claimed: float) -> dict[str, Cell]:
        """Return a row of the evidence."""
        relative, needed = claimed * self.baseline, self.needed(claimed).seeds
        return {
            "model": self.model,
            "minus": self.against,
            "start": self.start,
            "difference": self.row["mean"],
            "low": self.row["low_corrected"],
            "high": self.row["high_corrected"],
            "readings": int(self.row["readings"]),
            **({"verdict, points": str(self.verdict(claimed)), "verdict, per cent": str(self.verdict(relative))}
               if claimed else {"verdict": str(self.verdict(0.0))}),
            "readings needed": str(needed) if isinstance(needed, NoNumber) else needed,
            **({"baseline minus published": self.published.difference} if self.published else {}),
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A comparison that a rule names and that cannot be read.

    Attributes:
        model: Name of the model that is to be compared; its ending where no study has it.
        arm: What is missing, for people: the model, or what it is to be compared with.
        why: Why.
        remedy: What to do.
    """

    model: str
    arm: str
    why: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.arm} is missing ({self.why})"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model in a study, with all comparisons that a rule names.

    Attributes:
        name: What it is called, for people.
        model: Name of the model; its ending where no study has it.
        measured: Comparisons with at least one observation.
        missing: The others.
    """

    name: str
    model: str
    measured: tuple[Comparison, ...]
    missing: tuple[Missing, ...]

    def verdict(self, claimed: float) -> Verdict:
        """Judge "at least so much better than everything named".

        Reproduced where all comparisons are there and say so. One that lies below refutes it, whatever the missing
        ones would say: nothing that they could is better than everything.
        """
        verdicts = [each.verdict(claimed) for each in self.measured]
        if Verdict.REFUTED in verdicts:
            return Verdict.REFUTED
        if self.missing or set(verdicts) != {Verdict.REPRODUCED}:
            return Verdict.UNDECIDED
        return Verdict.REPRODUCED


def is_called(name: str, end: str) -> bool:
    """Return whether an arm is the one that a rule calls so: `yolov5n-clo-head` is `head`."""
    return name == end or name.endswith((f"-clo-{end}", f": {end}"))


def cases(
    records: Sequence[StudyRecord], comparisons: Sequence[Comparison], model: str, against: Sequence[str], title: str
) -> list[Case]:
    """Build a case for each study that puts the model to the test; where none does, one that lacks everything.

    Args:
        records: Ablations.
        comparisons: All that was read from them.
        model: Ending of the model's name.
        against: Endings of the names of the arms that the rule names.
        title: What the model is called, for people.
    """
    found = []
    for record in records:
        names = [arm.name for arm in record.arms]
        for name in (name for name in names if ":" not in name and is_called(name, model)):
            if any(_arm_of(record, name, end) or _left_out(record, name, end) for end in against):
                own = [each for each in comparisons if (each.study, each.model) == (record.name, name)]
                found.append(_case(record, own, name, against, title))
    if found:
        return found
    known = any(is_called(each.model, model) for each in comparisons)
    lacking = [_said(end) for end in against] if known else ["the model itself"]
    nowhere = tuple(Missing(model=model, arm=arm, why="no study here trains it", remedy=_AGAIN) for arm in lacking)
    return [Case(name=title, model=model, measured=(), missing=nowhere)]


def _case(record: StudyRecord, own: Sequence[Comparison], model: str, against: Sequence[str], title: str) -> Case:
    start = "from scratch" if record.ablation and record.ablation.file.from_scratch else "from the trained base"
    measured, missing = [], []
    for end in against:
        readable = [each for each in own if is_called(each.against, end) and each.row["readings"]]
        measured += readable
        if not readable:
            missing.append(_missing(record, model, end))
    return Case(name=f"{title}, {start}", model=model, measured=tuple(measured), missing=tuple(dict.fromkeys(missing)))


def _missing(record: StudyRecord, model: str, end: str) -> Missing:
    """Say why a model cannot be compared with an arm in a study that has the model."""
    arm = _arm_of(record, model, end)
    if arm is None:
        why = _left_out(record, model, end)
        if why:
            return Missing(model=model, arm=_said(end), why=why, remedy="no training decides the claim for this model")
        return Missing(model=model, arm=_said(end), why=f"study {record.name} was run without it", remedy=_AGAIN)
    identity = next(each.identity for each in record.arms if each.name == model)
    for said, rows in (("the model itself", _rows(record, identity)), (_said(end), _rows(record, arm))):
        if not (rows["state"] == State.COMPLETE).any():
            return Missing(model=model, arm=said, **_untrained(record, rows))
    return Missing(
        model=model, arm=_said(end), why=f"no seed of study {record.name} has both it and the model", remedy=_AGAIN
    )


def _untrained(record: StudyRecord, rows: pd.DataFrame) -> dict[str, str]:
    """Say why an arm has no complete training, and what to do."""
    ended = rows[~rows["state"].isin([State.COMPLETE, State.INTERRUPTED])]
    if ended.empty:
        return {"why": f"not trained yet in study {record.name}", "remedy": _AGAIN}
    last = ended.iloc[-1]
    why = f"all its trainings in study {record.name} ended as {str(last['state']).replace('_', ' ')}: {last['reason']}"
    if record.ablation and record.ablation.file.recipe is Recipe.PUBLISHED and last["state"] == "failed":
        return {"why": why, "remedy": "the same command tries it again"}
    remedy = f"once the cause is mended, move the folder of study {record.name} away and run the same command again"
    return {"why": why, "remedy": remedy}


def _arm_of(record: StudyRecord, model: str, end: str) -> str | None:
    """Return the identity of the arm that a model is to be compared with; None where the study has none."""
    for arm in record.arms:
        if arm.name == end == BASELINE or arm.name == f"{model}: {end}":
            return str(arm.identity)
    return None


def _left_out(record: StudyRecord, model: str, end: str) -> str:
    """Say why a study has no such arm, in its own words; empty where it says nothing."""
    start = f"'{model}: {end}' is left out: "
    said = [each for each in (record.ablation.left_out if record.ablation else ()) if each.startswith(start)]
    return f"study {record.name} leaves it out: {said[0].removeprefix(start)}" if said else ""


def _rows(record: StudyRecord, identity: str) -> pd.DataFrame:
    return record.trials[record.trials["architecture"] == identity]


def _said(end: str) -> str:
    return _WORDS.get(end, f"the arm '{end}'")
