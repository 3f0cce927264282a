"""The claims that training decides: read off the contrasts of finished ablations.

All comparisons of a study that the ledger reads are one family: their intervals are corrected together. A study that
starts every arm from one trained base sees small differences; one that starts from scratch is how people train, and
scatters ten times as much. Both are shown where both exist.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.analysis.ablation import arms_of, model_pairs
from harness.analysis.contrasts import contrasts
from harness.analysis.power import seeds_needed
from harness.architecture import BASELINE
from harness.claims.published import PublishedBaseline, published_baseline
from harness.claims.verdict import Cell, Figure, Finding, Verdict, judge_gain
from harness.records import StudyRecord

CLAIMED = 0.01
"""Lower end of "1 to 3 %", read as points of mAP50-95."""
_CAPTION = (
    "Every comparison: paired difference in mAP50-95 with its 95 % interval, corrected for all comparisons that the "
    "ledger reads from the study; readings are seeds, or bases where there are several"
)


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
        """Whether at least so much is gained."""
        return judge_gain(self.row["low_corrected"], self.row["high_corrected"], claimed)

    def needed(self, claimed: float, family: int) -> int | None:
        """Readings that it takes to tell a true difference of this size from what is claimed."""
        row = self.row
        distance = abs(row["mean"] - claimed)
        if not row["sd"] > 0 or math.isnan(distance):
            return None
        return seeds_needed(row["sd"], distance, df=row["df"], alpha=0.05 / family)

    def cells(self, claimed: float, family: int) -> dict[str, Cell]:
        """A row of the evidence."""
        relative = claimed * self.baseline
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
            "readings needed": self.needed(claimed, family),
            **({"baseline minus published": self.published.difference} if self.published else {}),
        }  # fmt: skip


class Evidence:
    """The finished ablations that the accuracy claims are read from."""

    def __init__(self, records: Sequence[StudyRecord]) -> None:
        self.records = [record for record in records if record.ablation]
        self.comparisons = [each for record in self.records for each in _comparisons(record)]
        found = ((record.name, published_baseline(record)) for record in self.records)
        self.baselines = {name: baseline for name, baseline in found if baseline}
        self.family = max([1, *(len(list(_comparisons(record))) for record in self.records)])

    def of(self, models: Sequence[str], against: Sequence[str]) -> list[Comparison]:
        """Those of models whose names end so, with arms whose names end so, as far as they were measured."""
        return [
            each
            for each in self.comparisons
            if _ends(each.model, models) and _ends(each.against, against) and each.row["readings"]
        ]


def _ends(name: str, ends: Sequence[str]) -> bool:
    return any(name == end or name.endswith((f"-clo-{end}", f": {end}")) for end in ends)


def _comparisons(record: StudyRecord) -> Iterator[Comparison]:
    published = published_baseline(record)
    names = {arm["identity"]: arm["name"] for arm in arms_of(record)}
    rows = contrasts(record.trials, model_pairs(record))
    complete = record.trials[(record.trials.architecture == BASELINE) & (record.trials.state == "complete")]
    for row in rows.to_dict("records"):
        yield Comparison(
            study=record.name,
            start="from scratch" if record.ablation["file"]["from_scratch"] else "from the trained base",
            data=str(record.settings["data"]),
            model=names[str(row["minuend"])],
            against=names[str(row["subtrahend"])],
            row={str(name): value for name, value in row.items()},
            baseline=float(complete.map50_95.mean()),
            published=published,
        )


def attnconv_beats_convolution(evidence: Evidence) -> Finding:
    """AttnConv minus convolution in its place."""
    return _better(evidence, ["operator conv"])


def attnconv_beats_local_attention(evidence: Evidence) -> Finding:
    """AttnConv minus local self-attention in its place, of either kind."""
    return _better(evidence, ["operator neighbourhood", "operator window"])


def gate_nonlinearity(evidence: Evidence) -> Finding:
    """The published gate minus a linear one; the other gates are shown."""
    return _better(evidence, ["gate none"], shown=["gate tanh", "gate sigmoid", "gate softmax"])


def convffn_accuracy(evidence: Evidence) -> Finding:
    """ConvFFN minus the plain FFN; no FFN is shown."""
    return _better(evidence, ["ffn plain"], shown=["ffn none"])


def backbone_gain(evidence: Evidence) -> Finding:
    """Clo blocks in the backbone, in both readings, against the baseline and its placebos."""
    return _gain(evidence, "backbone-last", others=["backbone", "backbone-bare"])


def head_gain(evidence: Evidence) -> Finding:
    """Clo blocks in the head, in both readings, against the baseline and its placebos."""
    return _gain(evidence, "head", others=[])


def _better(evidence: Evidence, against: Sequence[str], shown: Sequence[str] = ()) -> Finding:
    """Whether a model beats all of these arms; what is shown decides nothing."""
    deciding = evidence.of(_MODELS, against)
    beside = evidence.of(_MODELS, shown)
    verdicts = [each.verdict(0.0) for each in deciding]
    verdict = (
        Verdict.UNDECIDED
        if not verdicts
        else Verdict.REFUTED
        if Verdict.REFUTED in verdicts
        else Verdict.REPRODUCED
        if set(verdicts) == {Verdict.REPRODUCED}
        else Verdict.UNDECIDED
    )
    said = "; ".join(f"{each.model} {_short(each)}: {_interval(each)}" for each in deciding)
    return Finding(
        verdict=verdict,
        sentence=f"{_where(deciding)}{said} mAP50-95." if said else "Nothing has been trained for it yet.",
        figures=_figures(deciding),
        rows=tuple(each.cells(0.0, evidence.family) for each in (*deciding, *beside)),
        caption=_CAPTION,
        to_decide=_to_decide(evidence, deciding, 0.0) if verdict is Verdict.UNDECIDED else "",
        command=_FULL,
        scope=_scope(deciding),
    )


_FULL = "nox -s reproduce -- --data coco.yaml --device 0,1,2,3 --epochs 300 --seeds 3"
_MODELS = ("backbone-last", "backbone", "head")
_PLACEBOS = ("base widened to its params", "base widened to its macs")


def _gain(evidence: Evidence, model: str, others: Sequence[str]) -> Finding:
    """Whether a model gains at least one point against the baseline and against both placebos, in either reading."""
    readings: dict[str, list[Comparison]] = {}
    for name, reading in ((model, "Clo block with residuals"), (f"{model}-bare", "bare CloAttention layer")):
        for each in evidence.of([name], [BASELINE, *_PLACEBOS]):
            readings.setdefault(f"{reading}, {each.start}", []).append(each)
    verdicts = {reading: _of_reading(compared) for reading, compared in readings.items()}
    verdict = (
        Verdict.REPRODUCED
        if Verdict.REPRODUCED in verdicts.values()
        else Verdict.REFUTED
        if verdicts and set(verdicts.values()) == {Verdict.REFUTED}
        else Verdict.UNDECIDED
    )
    deciding = [each for compared in readings.values() for each in compared]
    beside = evidence.of(others, [BASELINE, *_PLACEBOS])
    open_ones = [
        each for reading, compared in readings.items() if verdicts[reading] is Verdict.UNDECIDED for each in compared
    ]
    said = "; ".join(
        f"{reading}: {verdicts[reading]} ({_short(compared[0])} {_interval(compared[0])})"
        for reading, compared in readings.items()
    )
    return Finding(
        verdict=verdict,
        sentence=f"{_where(deciding)}{said}." if said else "Nothing has been trained for it yet.",
        figures=_figures(deciding),
        rows=tuple(each.cells(CLAIMED, evidence.family) for each in (*deciding, *beside)),
        caption=_CAPTION,
        to_decide=_to_decide(evidence, open_ones, CLAIMED) if verdict is Verdict.UNDECIDED else "",
        command=_FULL,
        scope=_scope(deciding),
    )


def _of_reading(compared: Sequence[Comparison]) -> Verdict:
    """Reproduced where all comparisons say so, refuted where one does: a gain has to be one over everything."""
    verdicts = [each.verdict(CLAIMED) for each in compared]
    if Verdict.REFUTED in verdicts:
        return Verdict.REFUTED
    return Verdict.REPRODUCED if set(verdicts) == {Verdict.REPRODUCED} else Verdict.UNDECIDED


def _where(compared: Sequence[Comparison]) -> str:
    """What the verdict is about: the data, never more."""
    data = sorted({each.data for each in compared})
    beside = "; ".join(str(baseline) for baseline in _baselines(compared))
    return f"On {' and '.join(data)}{f' ({beside})' if beside else ''}: " if data else ""


def _scope(compared: Sequence[Comparison]) -> str:
    """Data that are not the claim's: all but COCO, whose studies have a published baseline beside them."""
    return " and ".join(sorted({Path(each.data).stem for each in compared if each.published is None}))


def _baselines(compared: Sequence[Comparison]) -> list[PublishedBaseline]:
    """Of their studies, each once."""
    return [*{each.study: each.published for each in compared if each.published}.values()]


def _short(each: Comparison) -> str:
    return f"minus {each.against.rpartition(': ')[2]}"


def _interval(each: Comparison) -> str:
    return f"{each.row['mean']:+.4f} [{each.row['low_corrected']:+.4f}, {each.row['high_corrected']:+.4f}]"


def _figures(compared: Sequence[Comparison]) -> tuple[Figure, ...]:
    beside = tuple(
        Figure(
            name=f"The protocol's own {baseline.base} minus the published {baseline.model.published_as}",
            value=baseline.difference,
            unit="mAP50-95",
        )
        for baseline in _baselines(compared)
    )
    return beside + tuple(
        Figure(
            name=f"{each.model} {_short(each)}, {each.start}",
            value=each.row["mean"],
            low=each.row["low_corrected"],
            high=each.row["high_corrected"],
            unit="mAP50-95",
        )
        for each in compared
    )


def _to_decide(evidence: Evidence, compared: Sequence[Comparison], claimed: float) -> str:
    """How many seeds, for those comparisons that are open."""
    if not compared:
        return "the trainings themselves: run the command below"
    needed = [each.needed(claimed, evidence.family) for each in compared if each.verdict(claimed) is Verdict.UNDECIDED]
    if not needed or None in needed:
        why = (
            "which lies almost exactly on what is claimed: more seeds first have to show on which side it falls"
            if claimed
            else "which is nothing for any practical purpose"
        )
        return f"more than 10,000 seeds for at least one comparison, if its true difference is the measured one, {why}"
    most = max(number for number in needed if number is not None)
    return f"{most} seeds an arm for the hardest of the open comparisons, if its true difference is the measured one"


ACCURACY_CHECKS = {
    f"accuracy.{check.__name__}": check
    for check in (
        attnconv_beats_convolution,
        attnconv_beats_local_attention,
        gate_nonlinearity,
        convffn_accuracy,
        backbone_gain,
        head_gain,
    )
}
"""By the name that a claim gives its check."""
