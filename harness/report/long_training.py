"""What a long training of one architecture says: paired with the baseline, seed by seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from harness.analysis.contrasts import Pair, contrasts
from harness.analysis.statistics import Verdict
from harness.architecture import BASELINE
from harness.record.state import State
from harness.record.study import StudyRecord
from harness.report import words


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
        absent = {name for name, value in asdict(self).items() if isinstance(value, float) and math.isnan(value)}
        return {name: None if name in absent else value for name, value in asdict(self).items()}

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
