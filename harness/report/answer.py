"""The answer in words: does anything beat the baseline, by how much, for what, and how sure is that.

It is the head of a search's page, with what one asks next, and what to type.

Nothing is computed here that `harness.analysis` did not compute: a test holds each number of the answer
against the summary.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pandas as pd

from harness.analysis.analysis import Analysis
from harness.analysis.noise import Noise
from harness.analysis.progress import AHEAD, enough
from harness.analysis.statistics import Standing, Verdict, ended
from harness.architecture import BASELINE
from harness.record.state import State
from harness.record.study import StudyRecord
from harness.record.surroundings import EFFECT_WAS_PLANTED
from harness.report import notes, phrases, words
from harness.report.notes import Pairs
from harness.report.page import Page, Section
from harness.report.pick import Pick, pick


class Outcome(StrEnum):
    """What kind of answer there is."""

    GAIN = "gain"
    NO_GAIN = "no gain"
    UNJUDGED = "unjudged"
    OUTSIDE = "outside the bounds"
    BASELINE_ONLY = "baseline only"
    NO_BASELINE = "no baseline"
    NOTHING = "nothing"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What stands at the top of a report.

    Attributes:
        pick: What to take; None where nothing can be recommended.
        lead: The figures behind the headline; `baseline` is that part of it which is of the baseline alone.
        remarks: What else a reader must know: screening, losses, failures, progress.
        seeds: That of them which says on which seeds the verdicts rest.
        images: That of them which says what other validation images would change.
        best: The architecture with the largest gain among those that beat the baseline, or, where none
            does, among those judged; of those that were trained longest.
    """

    outcome: Outcome
    pick: Pick | None
    headline: str
    lead: str
    baseline: str
    remarks: tuple[str, ...]
    seeds: str
    images: str
    best: str | None

    @property
    def opening(self) -> str:
        """What to take, and what was found."""
        return f"{self.pick.headline} {self.headline}" if self.pick else self.headline


def answer(study: Analysis) -> Answer:
    """Put a study's result into words.

    Candidates beyond a bound of the search are counted apart; the answer is about the others.
    """
    record, summary, inside, noise = study.record, study.summary, study.inside, study.noise
    outside = phrases.beyond_bounds(record, summary)
    outcome = _outcome(inside, noise, is_bounded=bool(outside))
    best = _best(inside, outcome)
    headline, lead = _statement(record, inside, noise, outcome, best)
    detects = phrases.detects_something(summary.loc[BASELINE]) or outcome is Outcome.GAIN
    picked = pick(study) if detects else None
    seeds = _tested(summary)
    images = phrases.image_sentence(inside, noise.digits, record.environment.val_images)
    return Answer(
        outcome=outcome,
        pick=picked,
        headline=headline,
        lead=lead,
        baseline=f"{_of_baseline(inside, noise.digits)}." if lead.startswith(_BASELINE) else "",
        remarks=tuple(filter(None, [seeds, *_remarks(study, outcome, images), outside])),
        seeds=seeds,
        images=images,
        best=best,
    )


def _outcome(summary: pd.DataFrame, noise: Noise, *, is_bounded: bool) -> Outcome:
    """Choose the kind of answer that a summary allows; `is_bounded` if rows beyond a bound are left out of it."""
    if (summary["verdict"] == Verdict.GAIN).any():
        return Outcome.GAIN
    if (summary["standing"] == Standing.JUDGED).any() and noise.usable:
        return Outcome.NO_GAIN
    if summary["standing"].isin(phrases.COMPARED).any():
        return Outcome.UNJUDGED
    if summary.loc[BASELINE, "standing"] == Standing.BASELINE:
        return Outcome.OUTSIDE if is_bounded else Outcome.BASELINE_ONLY
    return Outcome.NO_BASELINE if (summary[State.COMPLETE.value] > 0).any() else Outcome.NOTHING


def _best(summary: pd.DataFrame, outcome: Outcome) -> str | None:
    pool = {
        Outcome.GAIN: summary["verdict"] == Verdict.GAIN,
        Outcome.NO_GAIN: summary["standing"] == Standing.JUDGED,
        Outcome.UNJUDGED: summary["standing"].isin(phrases.COMPARED),
    }.get(outcome)
    if pool is None:
        return None
    longest = pool & (summary["epochs"] == summary.loc[pool, "epochs"].max())
    return str(summary.loc[longest, "gain_map50_95"].idxmax())


_NOTHING_COMPARED = {
    Outcome.OUTSIDE: (
        "No candidate is within the bounds.",
        "{baseline}. Every candidate that was measured is beyond a bound.",
    ),
    Outcome.BASELINE_ONLY: ("Only the baseline has been measured.", "{baseline}. No candidate has finished."),
    Outcome.NO_BASELINE: (
        "The baseline is missing, so nothing can be compared.",
        "Candidates have finished, but no row of the baseline has the same seed and epochs.",
    ),
}


def _statement(
    record: StudyRecord, summary: pd.DataFrame, noise: Noise, outcome: Outcome, best: str | None
) -> tuple[str, str]:
    digits = noise.digits
    base: Any = summary.loc[BASELINE]
    baseline = _of_baseline(summary, digits)
    region = " within the bounds" if record.constraints.bounds else ""
    if not phrases.detects_something(base) and outcome is not Outcome.GAIN:
        seeds = "its only seed" if base["seeds"] == 1 else f"all of its {base['seeds']} seeds"
        return (
            "The baseline detects nothing, so no difference to it says anything.",
            f"{baseline}, under {seeds}. Look at the labels of the data and their classes, then at how long the "
            "baseline is trained, and on how many images.",
        )
    where = phrases.of_gains(summary)
    if best is None:
        nothing = "No training has finished.", "There is no accuracy to report."
        headline, lead = _NOTHING_COMPARED.get(outcome, nothing)
        return headline, lead.format(baseline=baseline)
    row: Any = summary.loc[best]
    gain, named = phrases.chosen_gain_of(row, summary, digits), phrases.name_of(record, best)
    named += phrases.after(row, summary)
    if outcome is Outcome.UNJUDGED:
        compared = int(summary["standing"].isin(phrases.COMPARED).sum())
        return (
            "No gain can be claimed yet.",
            f"{baseline}. Of {words.count(compared, 'architecture')}{region} compared with it, {named} reads highest: "
            f"{gain}. The highest of several noisy readings is too high on average. "
            + phrases.noise_sentence(noise, summary),
        )
    judged = int((summary["standing"] == Standing.JUDGED).sum())
    every = words.count(judged, "judged architecture") + region
    if outcome is Outcome.GAIN:
        winners = int((summary["verdict"] == Verdict.GAIN).sum())
        verb = "beats" if winners == 1 else "beat"
        largest = "Its gain is" if winners == 1 else "The largest gain is"
        return (
            f"{winners} of {every} {verb} the baseline{where} at 95 % confidence{_screened(summary)}.",
            f"{baseline}. {largest} {gain}{phrases.price_of(row)}: that of {named}.",
        )
    largest = "Its gain is" if judged == 1 else "The largest judged gain is"
    who = f"None of {every} is" if judged > 1 else f"The one architecture{region} that was judged is not"
    return (
        f"{who} shown to beat the baseline{where}{_screened(summary)}.",
        f"{baseline}. {largest} {gain}, of {named}. " + phrases.noise_sentence(noise, summary),
    )


_BASELINE = "The baseline reaches mAP50-95 "


def _of_baseline(summary: pd.DataFrame, digits: int) -> str:
    base: Any = summary.loc[BASELINE]
    return f"{_BASELINE}{phrases.map_of(base, digits)}{phrases.after(base, summary)}"


def _screened(summary: pd.DataFrame) -> str:
    """Say how many had no say: ` (7 more were only screened, under one seed)`."""
    rows = summary[summary["standing"] == Standing.SCREENING]
    if rows.empty:
        return ""
    seeds = "under one seed" if (rows["gain_seeds"] == 1).all() else "under seeds that picked"
    return f" ({len(rows)} more {'was' if len(rows) == 1 else 'were'} only screened, {seeds})"


def _tested(summary: pd.DataFrame) -> str:
    """Say what the verdicts rest on: all of the study's, whatever its bounds."""
    judged, tests = (int(each.sum()) for each in (summary["standing"] == Standing.JUDGED, summary["p_value"].notna()))
    if not tests:
        return ""
    rest = (
        " A candidate that was only screened can be ruled out, not in."
        if (summary["standing"] == Standing.SCREENING).any()
        else ""
    )
    correction = f", with Holm's correction for {tests} tests" if tests > 1 else ""
    return f"{words.count(judged, 'candidate')} tested at 5 % under seeds that did not pick{correction}.{rest}"


def _remarks(study: Analysis, outcome: Outcome, images: str) -> list[str]:
    """List what else must be known to interpret the headline correctly."""
    record, summary, noise = study.record, study.inside, study.noise
    remarks = [EFFECT_WAS_PLANTED] if EFFECT_WAS_PLANTED in record.environment.data_cautions else []
    trials = record.trials
    remarks += filter(None, [phrases.luck_of_many(trials, noise), images])
    for each in study.breakthroughs:
        longest = trials.loc[(trials["architecture"] == each.architecture) & trials["gain_map50_95"].notna(), "epochs"]
        remarks.append(phrases.breakthrough(each, int(longest.max()) if longest.max() > each.epochs else 0))
    if losses := int((summary["verdict"] == Verdict.LOSS).sum()):
        verb = "is" if losses == 1 else "are"
        remarks.append(f"{losses} {verb} worse than the baseline: the whole 95 % interval lies below zero.")
    if failures := failure_counts(trials):
        listed = ", ".join(f"{number} {state.replace('_', ' ')}" for state, number in failures.items())
        remarks.append(f"{words.count(sum(failures.values()), 'training')} did not finish ({listed}); see Failures.")
    if running := len(trials) - len(ended(trials)):
        remarks.append(f"{words.count(running, 'training')} had not ended when this was written.")
    remarks += filter(None, [phrases.going_on(record.expected_gains, within_noise=outcome is Outcome.NO_GAIN)])
    wanted, tried = record.settings.trials, _tried(record)
    if _is_unfinished(record) and wanted is not None:
        remarks.append(f"The search is not done: {tried} of {words.count(wanted, 'candidate')} tried so far.")
    return remarks


def _tried(record: StudyRecord) -> int:
    return int(record.trials.loc[record.trials["architecture"] != BASELINE, "architecture"].nunique())


def _is_unfinished(record: StudyRecord) -> bool:
    """Return whether fewer candidates were tried than asked for, and than there are."""
    wanted, there_are = record.settings.trials, record.space.feasible or record.space.size or math.inf
    return isinstance(wanted, int) and _tried(record) < min(wanted, there_are)


def failure_counts(trials: pd.DataFrame) -> dict[str, int]:
    """Count the trainings that ended in each state other than complete, the most frequent first."""
    states = ended(trials)["state"].astype(str)
    return dict(Counter(states[states != State.COMPLETE]).most_common())


_PLANTED = (
    "Synthetic control: these data were made to test the instrument. They say nothing of photographs; there is "
    "nothing to take home."
)


def headed(study: Analysis, said: Answer, sections: tuple[Section, ...]) -> Page:
    """Return a search's page, its answer on top: what to take where that can be said, then what was found."""
    record, pick, headline, lead = study.record, said.pick, said.headline, said.lead
    then: Pairs = ()
    if pick and pick.is_candidate:
        headline, lead = pick.headline, pick.why
        second = said.baseline if said.best == pick.architecture and said.baseline else said.lead
        then = (("rule", pick.rule), ("headline", said.headline), ("second", second))
    elif pick:
        headline, lead = pick.headline, f"{said.headline} {pick.why}".strip()
        then = (("rule", pick.rule), ("second", said.lead))
    is_control = _is_of_control(record)
    if is_control:
        then = (("banner", _PLANTED), *then)
    return Page(
        name=record.name,
        kind="clo-nas control study" if is_control else "clo-nas study",
        outcome=said.outcome.value.replace(" ", "-"),
        headline=headline,
        lead=lead,
        then=then,
        asked=tuple(_asked(study, said, sections)),
        following=_following(record, said),
        remarks=tuple(each for each in said.remarks if each not in {said.seeds, said.images, EFFECT_WAS_PLANTED}),
        sections=sections,
    )


def _is_of_control(record: StudyRecord) -> bool:
    """Return whether its data were made to test the instrument."""
    return EFFECT_WAS_PLANTED in record.environment.data_cautions


def _asked(study: Analysis, said: Answer, sections: Sequence[Section]) -> Iterator[tuple[str, str, str]]:
    """Yield what one asks after the headline, with where more of it is said."""
    record, found = study.record, {section.key: section for section in sections}
    if said.pick and said.pick.is_candidate:
        row: Any = study.summary.loc[said.pick.architecture]
        yield ("What does it cost?", phrases.whole_price(row, record.trials), "front")
    elif said.pick and said.best:
        row = study.summary.loc[said.best]
        yield ("What would the largest gain cost?", f"{said.best}: {phrases.whole_price(row, record.trials)}", "all")
    on_seeds, on_images = _elsewhere(study, said)
    if said.seeds:
        yield ("On other seeds?", f"{on_seeds} {said.seeds}", "judging")
    if said.images:
        yield ("On other images?", f"{on_images} {said.images}", "evidence")
    trust = phrases.of_control(record.environment.control)
    if _is_of_control(record):
        trust = "This study is its test: the data were made for it, and clo control says whether the answer is right."
    yield ("Can the instrument be trusted?", trust, "reproduce")
    limits = found["unknown"].sentences
    yield ("What is not known?", f"{limits[0]} {words.count(len(limits) - 1, 'further limit')} below.", "unknown")


def _elsewhere(study: Analysis, said: Answer) -> tuple[str, str]:
    """Return yes or no, and why: on other seeds, and on new images where their part of the noise is known."""
    if said.pick and said.pick.picked:
        seeds, images = (
            words.count(said.pick.picked.seeds, "seed"),
            "its interval on new images like these leaves out 0",
        )
        return f"Yes: a gain on {seeds} that did not pick it.", f"Yes: {images}."
    gaining = int((study.summary["verdict"] == Verdict.GAIN).sum())
    if not gaining:
        return "No: none is shown to gain.", "There is no gain to carry over."
    yes = f"Yes: {gaining} gain{'s' * (gaining == 1)}"
    return f"{yes}.", f"{yes} there."


def _following(record: StudyRecord, said: Answer) -> Pairs:
    """Return the one command to type next; none where the report knows of nothing better than to stop."""
    if _is_of_control(record):
        return ()
    typed = notes.command_of(record.environment)
    if said.pick and said.pick.is_candidate:
        commands = notes.row_commands(record, said.pick.architecture)
        done = record.trials.loc[record.trials["state"] == State.COMPLETE, "epochs"]
        is_long = len(set(done)) > 1 and not record.settings.rungs
        wanted = "Export" if is_long else "Train on a full schedule, beside the baseline"
        return tuple(pair for pair in commands if pair[0] == wanted)
    if _is_unfinished(record) and typed:
        return (("Finish this search", notes.in_its_folder(record, typed)),)
    pays = bool(record.expected_gains) and not enough(1.0, record.expected_gains, phrases.WORTH_GOING_ON)
    if pays and said.outcome is not Outcome.NO_GAIN and typed:
        return (("Try ten more candidates", notes.in_its_folder(record, f"{typed} --more {AHEAD}")),)
    control = record.environment.control
    if control is None or not control.passed:
        return (("See whether this instrument finds an effect here", f"{record.environment.program} control"),)
    return ()
