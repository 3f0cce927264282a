"""Controls: whether the instrument finds what is there, and calls nothing where nothing is.

Two searches run through the very path of every other search. On `beacon` a block with global heads must gain, since the
detector cannot see what decides the classes (`harness.data.planted`); on `local` nothing can. What the first picks is
then trained long, under new seeds. An instrument that fails either is broken, whatever else it prints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from harness.ablation.train_chosen import ChosenOptions, train_chosen
from harness.analysis.chosen import corrected_for_choice
from harness.analysis.recommendation import recommended
from harness.analysis.statistics import Standing, Verdict, summarise
from harness.architecture import BASELINE, Architecture
from harness.common.last_control import keep_control
from harness.common.machine import resolve_device
from harness.common.resources import search_space_folder
from harness.jobs.progress import Observer
from harness.record.run_settings import RunSettings
from harness.record.settings import SearchSettings
from harness.record.study import StudyRecord
from harness.search.promotion import LONGER
from harness.search.run import search

BASE, SPACE = "nearsighted", "control"
PLANTED_TASK, NULL_TASK = "beacon", "local"
# mAP50-95 that a block with global heads gains at least on the planted task: four classes told instead of guessed.
LEAST_GAIN = 0.5
# Kernel that hardly reaches a mark. What it gains is said and not judged: the whole map's norm may tell, too.
LEAST_KERNEL = 3
# mAP50-95 above which the baseline knows the classes without a block: then the task is no control.
CHANCE = 0.35
# mAP50-95 by which the gain of long trainings may be smaller than that of short ones.
AS_GOOD = 0.05


class ControlSettings(RunSettings):
    """What `clo control` was asked to do.

    Attributes:
        quick: Whether the long training is left out.
    """

    quick: bool = False

    def of_task(self, task: str) -> SearchSettings:
        """Return the search on a task: a search's defaults but for base, data and space.

        A block that sees too little is among the candidates, whatever the sampler proposes.
        """
        return SearchSettings(
            base=BASE,
            data=task,
            space=SPACE,
            include=(str(search_space_folder() / "controls" / "local-only.yaml"),),
            base_epochs=8,
            study=f"control-{task}{'-quick' * self.quick}",
            **{name: getattr(self, name) for name in RunSettings.model_fields},
        )


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of the control's table.

    Attributes:
        task: The data set.
        what: What must hold.
        found: What was found, with its numbers.
        passed: Whether it holds.
    """

    task: str
    what: str
    found: str
    passed: bool


@dataclass(frozen=True, kw_only=True)
class Control:
    """What came of it.

    Attributes:
        checks: In the order of the work.
        planted: The study on the planted task.
        null: The study on the null task.
    """

    checks: tuple[Check, ...]
    planted: StudyRecord
    null: StudyRecord

    @property
    def passed(self) -> bool:
        """Tell whether all checks hold."""
        return all(check.passed for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Return the contract of `clo control --json`."""
        return {"passed": self.passed, "checks": [asdict(check) for check in self.checks]}


def run_control(
    settings: ControlSettings, observer: Observer, command: list[str], written: Callable[[StudyRecord], object]
) -> Control:
    """Run what of the control is not there yet, judge it, and keep the result for the reports that follow.

    Args:
        settings: What was asked for.
        observer: Told what happens.
        command: The command line, for the record.
        written: Given each study when it is done.

    Raises:
        UserError: A training cannot be run.
        KeyboardInterrupt: Ctrl-C; everything finished is in storage.
    """
    planted = search(settings.of_task(PLANTED_TASK), observer, command)
    written(planted)
    checks = planted_checks(planted)
    picked = picked_of(planted)
    if picked is not None and not settings.quick:
        epochs = LONGER * int(planted.trials["epochs"].min())
        chosen = ChosenOptions(
            identity=picked, epochs=epochs, device=settings.device, workers=settings.workers,
            threads=settings.threads, results=settings.results,
        )  # fmt: skip
        planted = train_chosen(planted, chosen, observer).record
        written(planted)
        checks = (*checks, long_check(planted, picked, epochs))
    null = search(settings.of_task(NULL_TASK), observer, command)
    written(null)
    found = Control(checks=(*checks, null_check(null)), planted=planted, null=null)
    keep_control(resolve_device(settings.device), passed=found.passed, quick=settings.quick)
    return found


def picked_of(record: StudyRecord) -> str | None:
    """Return the candidate that a search recommends, by the report's rule; None where it is the baseline."""
    summary = _short(record)
    return recommended(summary, "latency_ratio", record.min_gain) if BASELINE in summary.index else None


def planted_checks(record: StudyRecord) -> tuple[Check, ...]:
    """Judge the search on the planted task."""
    summary = _short(record)
    picked = picked_of(record)
    chance = _baseline(summary)
    gains = summary["gain_map50_95"].drop(BASELINE)
    is_local = pd.Series({name: sees_too_little(record.architectures[name]) for name in gains.index}, dtype=bool)
    blind = gains[is_local[is_local].index].dropna()
    said_of_blind = f"{blind.max():+.3f}" if len(blind) else "not observed"
    highest = (
        f"highest observed gain {gains.max():+.3f}" if gains.notna().any() else "no candidate was trained to its end"
    )
    return (
        _check("the baseline guesses the classes", f"mAP50-95 {chance:.3f}", chance <= CHANCE),
        _check(
            f"a candidate's observed gain is {LEAST_GAIN:g} or more",
            f"{highest}; {trainings_that_show(record)}; kernel {LEAST_KERNEL} without global heads: {said_of_blind}",
            bool(gains.max() >= LEAST_GAIN),
        ),
        *_pick_checks(record, summary, picked),
    )


def _pick_checks(record: StudyRecord, summary: pd.DataFrame, picked: str | None) -> tuple[Check, ...]:
    what = f"the pick is called a gain of {LEAST_GAIN:g} or more on evaluation seeds", "the pick has global heads"
    if picked is None:
        return tuple(_check(each, "the pick is the baseline", passed=False) for each in what)
    row: Any = summary.loc[picked]
    said = f"{picked}: {row['gain_map50_95']:+.3f} [{row['gain_low']:+.3f}, {row['gain_high']:+.3f}]"
    described = record.architectures[picked].describe()
    return (
        _check(what[0], said, bool(row["verdict"] == Verdict.GAIN and row["gain_map50_95"] >= LEAST_GAIN)),
        _check(what[1], described, has_global_heads(record.architectures[picked])),
    )


def trainings_that_show(record: StudyRecord) -> str:
    """Say how many short trainings of blocks with global heads show 80 % of the largest gain."""
    rows = record.trials[record.trials["epochs"] == record.settings.epochs]
    rows = rows[rows["gain_map50_95"].notna() & rows["architecture"].ne(BASELINE)]
    rows = rows[[has_global_heads(record.architectures[name]) for name in rows["architecture"]]]
    shown = int((rows["gain_map50_95"] >= 0.8 * rows["gain_map50_95"].max()).sum())
    return f"{shown} of {len(rows)} trainings with global heads show 80 % of the largest gain"


def long_check(record: StudyRecord, picked: str, epochs: int) -> Check:
    """Judge the pick's long training, under seeds that the search did not use."""
    rows = record.trials[(record.trials["architecture"] == picked) & record.trials["gain_map50_95"].notna()]
    short, long = (rows[rows["epochs"] == each]["gain_map50_95"] for each in (record.settings.epochs, epochs))
    return _check(
        f"it is as good after {epochs} epochs under new seeds",
        f"{long.mean():+.3f} of {len(long)} seeds, {short.mean():+.3f} after {record.settings.epochs} epochs",
        bool(long.mean() >= short.mean() - AS_GOOD),
    )


def null_check(record: StudyRecord) -> Check:
    """Judge the search on the null task."""
    summary = _short(record)
    judged = summary[summary["standing"] == Standing.JUDGED]
    called = judged[judged["verdict"] == Verdict.GAIN]
    named = f": {', '.join(map(str, called.index))}" if len(called) else ""
    chance = _baseline(summary)
    return Check(
        task=NULL_TASK,
        what="nothing is called a gain",
        found=f"{len(called)} of {len(judged)} judged{named}; the baseline reaches mAP50-95 {chance:.3f}",
        passed=called.empty and not judged.empty,
    )


def has_global_heads(architecture: Architecture) -> bool:
    """Tell whether a block of it looks at the whole map."""
    return any(placement.global_heads > 0 for placement in architecture.placements)


def sees_too_little(architecture: Architecture) -> bool:
    """Tell whether none of its blocks reaches further than the narrowest kernel."""
    kernels = [kernel for placement in architecture.placements for kernel in placement.kernel_sizes]
    return not has_global_heads(architecture) and max(kernels, default=0) <= LEAST_KERNEL


def _short(record: StudyRecord) -> pd.DataFrame:
    """Summarise the search's own trainings, intervals corrected for the choice; long ones came after the pick."""
    trials = record.trials[record.trials["epochs"] == record.settings.epochs]
    return corrected_for_choice(summarise(trials, record.look))


def _baseline(summary: pd.DataFrame) -> float:
    row: Any = summary.loc[BASELINE]
    return float(row["map50_95"])


def _check(what: str, found: str, passed: bool) -> Check:
    return Check(task=PLANTED_TASK, what=what, found=found, passed=passed)
