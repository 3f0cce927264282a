"""The claims that training decides: read off the contrasts of finished ablations.

All comparisons of a study that the ledger reads are one family: their intervals are corrected together. A verdict needs
every comparison that its rule names (`required`); where one is missing it says which. A study that
starts every arm from one trained base sees small differences; one that starts from scratch is how people train, and
scatters ten times as much. Both are shown where both exist.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.analysis.contrasts import contrasts, model_pairs
from harness.architecture import BASELINE
from harness.claims.published import PublishedBaseline, published_baseline
from harness.claims.required import Case, Comparison, cases, is_called
from harness.claims.to_decide import what_is_left
from harness.claims.verdict import OVER_ALL, Figure, Finding, Verdict
from harness.record.settings import EMBEDDED, data_name
from harness.record.state import State
from harness.record.study import StudyRecord

# Lower end of "1 to 3 %", read as points of mAP50-95.
CLAIMED = 0.01
_CAPTION = (
    "Every comparison: paired difference in mAP50-95 with its 95 % interval, corrected for all comparisons that the "
    "ledger reads from the study; readings are seeds, or bases where there are several"
)


class Evidence:
    """The finished ablations that the accuracy claims are read from."""

    def __init__(self, records: Sequence[StudyRecord]) -> None:
        self.records = [record for record in records if record.ablation]
        self.comparisons = [each for record in self.records for each in _comparisons(record)]
        found = ((record.name, published_baseline(record)) for record in self.records)
        self.baselines = {name: baseline for name, baseline in found if baseline}

    def cases(self, model: str, against: Sequence[str], title: str) -> list[Case]:
        """Return a case for each study that tries the model, with all that a rule names; see `required`."""
        return cases(self.records, self.comparisons, model, against, title)

    def of(self, models: Sequence[str], against: Sequence[str]) -> list[Comparison]:
        """Return the comparisons of models with arms whose names end so, as far as they were measured."""
        return [
            each
            for each in self.comparisons
            if any(is_called(each.model, end) for end in models)
            and any(is_called(each.against, end) for end in against)
            and each.row["readings"]
        ]


def _comparisons(record: StudyRecord) -> Iterator[Comparison]:
    published = published_baseline(record)
    names = {arm.identity: arm.name for arm in record.arms}
    rows = contrasts(record.trials, model_pairs(record))
    complete = record.trials[(record.trials.architecture == BASELINE) & (record.trials.state == State.COMPLETE)]
    for row in rows.to_dict("records"):
        yield Comparison(
            study=record.name,
            start="from scratch" if record.ablation and record.ablation.file.from_scratch else "from the trained base",
            data=data_name(str(record.settings.data)),
            model=names[str(row["minuend"])],
            against=names[str(row["subtrahend"])],
            row={str(name): value for name, value in row.items()},
            baseline=float(complete.map50_95.mean()),
            published=published,
        )


def attnconv_beats_convolution(evidence: Evidence) -> Finding:
    """Compare AttnConv with a convolution in its place."""
    return _better(evidence, ["operator conv"])


def attnconv_beats_local_attention(evidence: Evidence) -> Finding:
    """Compare AttnConv with local self-attention in its place, of either kind."""
    return _better(evidence, ["operator neighbourhood", "operator window"])


def gate_nonlinearity(evidence: Evidence) -> Finding:
    """Compare the published gate with a linear one; the other gates are shown."""
    return _better(evidence, ["gate none"], shown=["gate tanh", "gate sigmoid", "gate softmax"])


def convffn_accuracy(evidence: Evidence) -> Finding:
    """Compare ConvFFN with the plain FFN; no FFN is shown."""
    return _better(evidence, ["ffn plain"], shown=["ffn none"])


def backbone_gain(evidence: Evidence) -> Finding:
    """Compare Clo blocks in the backbone, in both interpretations, with the baseline and its placebos."""
    return _gain(evidence, "backbone-last", others=["backbone", "backbone-bare"])


def head_gain(evidence: Evidence) -> Finding:
    """Compare Clo blocks in the head, in both interpretations, with the baseline and its placebos."""
    return _gain(evidence, "head", others=[])


def _better(evidence: Evidence, against: Sequence[str], shown: Sequence[str] = ()) -> Finding:
    """Judge whether the model whose parts are ablated beats all of these arms; what is shown decides nothing."""
    found = evidence.cases(_IN_PARTS, against, "AttnConv")
    verdicts = {case.verdict(0.0) for case in found}
    if Verdict.REFUTED in verdicts:
        verdict = Verdict.REFUTED
    else:
        verdict = Verdict.REPRODUCED if verdicts == {Verdict.REPRODUCED} else Verdict.UNDECIDED
    return _finding(
        found,
        claimed=0.0,
        verdict=verdict,
        said="; ".join(
            [
                *(f"{each.model} {_short(each)}: {interval(each)}" for case in found for each in case.measured),
                *(str(each) for case in found for each in case.missing),
            ]
        )
        + " mAP50-95",
        beside=evidence.of([_IN_PARTS], shown),
    )


_FULL = "nox -s reproduce -- --data coco.yaml --device 0,1,2,3 --epochs 300 --seeds 3"
# The model that the protocols try with other operators, gates and feed-forward networks.
_IN_PARTS = "head"
# Endings of the names of the arms that a gain must be over, besides the baseline.
PLACEBOS = ("base widened to its params", "base widened to its macs")


def _gain(evidence: Evidence, model: str, others: Sequence[str]) -> Finding:
    """Judge whether a model gains one point or more over baseline and both placebos, in either interpretation."""
    against = [BASELINE, *PLACEBOS]
    titles = ((model, "Clo block with residuals"), (f"{model}-bare", "bare CloAttention layer"))
    found = [case for name, title in titles for case in evidence.cases(name, against, title)]
    verdicts = {case.verdict(CLAIMED) for case in found}
    if Verdict.REPRODUCED in verdicts:
        verdict = Verdict.REPRODUCED
    else:
        verdict = Verdict.REFUTED if verdicts == {Verdict.REFUTED} else Verdict.UNDECIDED
    return _finding(
        found,
        claimed=CLAIMED,
        verdict=verdict,
        said="; ".join(f"{case.name}: {_of_case(case)}" for case in found),
        beside=evidence.of(others, against),
    )


def _of_case(case: Case) -> str:
    """Describe an interpretation of the insertion in half a sentence: verdict, gain, what decides, what is missing."""
    verdict = case.verdict(CLAIMED)
    says_so = [each for each in case.measured if each.verdict(CLAIMED) is verdict]
    shown = [*case.measured[:1], *(each for each in says_so[:1] if each is not case.measured[0])]
    said = [f"{_short(each)} {interval(each)}" for each in shown]
    return f"{verdict} ({'; '.join([*said, *map(str, case.missing)])})"


def _finding(
    found: Sequence[Case], *, claimed: float, verdict: Verdict, said: str, beside: Sequence[Comparison]
) -> Finding:
    """Build the finding that a rule comes to.

    Args:
        found: What the rule rests on.
        claimed: At least so much is claimed.
        verdict: What follows.
        said: The evidence in a sentence, without its end.
        beside: What decides nothing and is shown.
    """
    deciding = [each for case in found for each in case.measured]
    return Finding(
        verdict=verdict,
        sentence=f"{_where(deciding)}{said}." if deciding else "Nothing has been trained for it yet.",
        figures=_figures(deciding),
        rows=(
            *(
                each.cells(claimed) | {OVER_ALL: str(case.verdict(claimed))}
                for case in found
                for each in case.measured
            ),
            *({"model": case.model, "minus": each.arm, "missing": each.why} for case in found for each in case.missing
              if deciding),
            *(each.cells(claimed) for each in beside),
        ),
        caption=_CAPTION,
        to_decide=what_is_left(found, claimed) if verdict is Verdict.UNDECIDED else "",
        command=_FULL,
        scope=_scope(deciding),
    )  # fmt: skip


def _where(compared: Sequence[Comparison]) -> str:
    """Format what the verdict is about: the data, never more."""
    data = sorted({each.data for each in compared})
    beside = "; ".join(str(baseline) for baseline in _baselines(compared))
    return f"On {' and '.join(data)}{f' ({beside})' if beside else ''}: " if data else ""


def _scope(compared: Sequence[Comparison]) -> str:
    """Name the data that are not the claim's: all but COCO, whose studies have a published baseline beside them."""
    return " and ".join(sorted({each.data for each in compared if each.published is None}))


def _baselines(compared: Sequence[Comparison]) -> list[PublishedBaseline]:
    """Return the published baselines of their studies, each once."""
    return [*{each.study: each.published for each in compared if each.published}.values()]


def _short(each: Comparison) -> str:
    return f"minus {each.against.rpartition(': ')[2]}"


def interval(each: Comparison) -> str:
    """Show a difference with its corrected interval, or why it has none."""
    ends = f"[{each.row['low_corrected']:+.4f}, {each.row['high_corrected']:+.4f}]"
    return f"{each.row['mean']:+.4f} {f'({each.unknown})' if each.unknown else ends}"


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


# By the name that a claim gives its check.
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


def decide(check: str, records: Sequence[StudyRecord]) -> Finding:
    """Decide a claim for each data set by itself: a gain on one says nothing of another, and noise is each one's own.

    Args:
        check: A key of `ACCURACY_CHECKS`.
        records: Finished ablations, of any data.

    Returns:
        The finding on COCO where there is one, else on the digits, else on the first there is; the others' in its
        `elsewhere`, planted tasks before a user's own data. What was not trained for the claim is not among them.
    """
    by_data: dict[str, list[StudyRecord]] = {}
    for record in sorted(records, key=_rank):
        by_data.setdefault(data_name(str(record.settings.data)), []).append(record)
    rule = ACCURACY_CHECKS[check]
    found = [rule(Evidence(own)) for own in by_data.values()]
    first, *others = [each for each in found if each.figures] or found[:1] or [rule(Evidence(()))]
    return replace(first, elsewhere=tuple(others))


def _rank(record: StudyRecord) -> tuple[bool, int, str]:
    name = data_name(str(record.settings.data))
    return published_baseline(record) is None, EMBEDDED.index(name) if name in EMBEDDED else len(EMBEDDED), name
