"""A finished search in one object: what a script reads, and the sentence a person reads last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.analysis.analysis import analyse
from harness.analysis.contrasts import Pair, contrasts
from harness.analysis.power import NoNumber
from harness.analysis.statistics import Verdict
from harness.architecture import BASELINE
from harness.record.state import State
from harness.record.study import StudyRecord
from harness.report import words
from harness.report.ablation import ablation_content
from harness.report.answer import answer
from harness.report.search import SearchContent


def closing(record: StudyRecord, content: SearchContent | None = None) -> dict[str, Any]:
    """The contract of `clo search --json`, without the folder.

    Args:
        record: The study.
        content: What its report says, where that is known already; of a thousand candidates it saves most of a second.

    Returns:
        `finished` and `failed`: candidates with and without a complete training, interrupted ones in
        neither; `front`: identities on a front, best gain first; `pick`: whom the report recommends, the baseline
        where nobody gains enough, None where nothing can be; `picked`: its gain, `ci95`, verdict and evaluation seeds,
        None for the baseline; `answer`: the report's first sentences.
    """
    if record.ablation:
        return _of_ablation(record)
    if content:
        said, front = content.answer, content.front
    else:
        study = analyse(record)
        said, front = answer(study), study.front
    candidates = record.trials[record.trials.architecture != BASELINE]
    complete = set(candidates[candidates.state == State.COMPLETE].architecture)
    failed = set(candidates[~candidates.state.isin([State.COMPLETE, State.INTERRUPTED])].architecture) - complete
    return {
        "study": record.name,
        "finished": len(complete),
        "failed": len(failed),
        "front": [str(identity) for identity in front.index],
        "pick": said.pick.architecture if said.pick else None,
        "picked": asdict(said.pick.picked) if said.pick and said.pick.picked else None,
        "answer": f"{said.opening} {said.lead}".strip(),
    }


def _of_ablation(record: StudyRecord) -> dict[str, Any]:
    """The contract of `clo ablate --json`: the same, without a front and with every difference."""
    said = ablation_content(record)
    done = record.trials.state == State.COMPLETE
    tables = {}
    for name, rows in (("gains", said.gains), ("worths", said.worths)):
        known = rows.astype(object).where(rows.notna(), None)  # what is unknown is null
        many = known["readings_needed"].replace(math.inf, str(NoNumber.TOO_MANY))  # JSON has no number for it
        tables[name] = known.assign(readings_needed=many)
    return {
        "study": record.name,
        "finished": int(done.sum()),
        "failed": int((~done & ~(record.trials.state == State.INTERRUPTED)).sum()),
        "answer": f"{said.page.headline} {said.page.lead}".strip(),
        **{name: rows.to_dict("records") for name, rows in tables.items()},
    }


@dataclass(frozen=True, kw_only=True)
class LongTraining:
    """The paired result of one architecture's long trainings.

    Attributes:
        gain_map50_95: Its mAP50-95 minus the baseline's, mean over the seeds that both have; NaN where none has.
        gain_low: Lower end of the 95 % interval, of these seeds alone; NaN with fewer than two.
        gain_high: Upper end.
        seeds: How many seeds both have.
        verdict: `better`, `worse`, `undecided` or `unmeasured`; `reference` of the baseline itself.
    """

    architecture: str
    epochs: int
    map50_95: float
    baseline_map50_95: float
    gain_map50_95: float
    gain_low: float
    gain_high: float
    seeds: int
    verdict: str

    def to_dict(self) -> dict[str, str | float | None]:
        """For JSON; NaN becomes None."""
        values = asdict(self).items()
        return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in values}

    def __str__(self) -> str:
        after = f"After {words.count(self.epochs, 'epoch')}"
        if self.architecture == BASELINE:
            own = f"{words.plain(self.map50_95, 4)} ({words.count(self.seeds, 'seed')})"
            return f"{after} the baseline reaches mAP50-95 {own}; nothing is compared with it."
        interval = words.interval(self.gain_low, self.gain_high, 4, sign=True)
        return (
            f"{after} {self.architecture} reaches mAP50-95 {words.plain(self.map50_95, 4)}, the "
            f"baseline {words.plain(self.baseline_map50_95, 4)}: a gain of {words.signed(self.gain_map50_95, 4)} "
            f"{interval} over {words.count(self.seeds, 'seed')}, {self.verdict}."
        )


def long_training(record: StudyRecord, architecture: str, epochs: int, seeds: Sequence[int]) -> LongTraining:
    """Read off a study what trainings of so many epochs and these seeds yielded."""
    rows = record.trials
    rows = rows[(rows["epochs"] == epochs) & rows["seed"].isin(seeds)]
    pair = Pair(name=architecture, minuend=architecture, subtrahend=BASELINE, kind="long")
    found = contrasts(rows, [pair]).iloc[0]
    means = rows[rows["state"] == State.COMPLETE].groupby("architecture")["map50_95"].mean()
    gain, low, high, verdict = found["mean"], found["low"], found["high"], str(found["verdict"])
    if architecture == BASELINE:  # it is compared with nothing, least of all with itself
        gain = low = high = float("nan")
        verdict = Verdict.REFERENCE
    return LongTraining(
        architecture=architecture,
        epochs=epochs,
        map50_95=float(means.get(architecture, float("nan"))),
        baseline_map50_95=float(means.get(BASELINE, float("nan"))),
        gain_map50_95=float(gain),
        gain_low=float(low),
        gain_high=float(high),
        seeds=int(found["readings"]),
        verdict=verdict,
    )
