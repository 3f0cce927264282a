"""The head of a search's page: what to take, what one asks next, and what to type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from harness.analysis.analysis import Analysis
from harness.analysis.progress import AHEAD, enough
from harness.analysis.statistics import Verdict
from harness.record.state import State
from harness.record.study import StudyRecord
from harness.record.surroundings import EFFECT_WAS_PLANTED
from harness.report import notes, phrases, words
from harness.report.answer import Answer, Outcome, is_unfinished
from harness.report.notes import Pairs
from harness.report.page import Page, Section

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
    is_control = is_of_control(record)
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


def is_of_control(record: StudyRecord) -> bool:
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
    if said.seeds:
        yield ("On other seeds?", f"{_on_other_seeds(study, said)} {said.seeds}", "judging")
    if said.images:
        yield ("On other images?", f"{_on_other_images(study, said)} {said.images}", "evidence")
    trust = phrases.of_control(record.environment.control)
    if is_of_control(record):
        trust = "This study is its test: the data were made for it, and clo control says whether the answer is right."
    yield ("Can the instrument be trusted?", trust, "reproduce")
    limits = found["unknown"].sentences
    yield ("What is not known?", f"{limits[0]} {words.count(len(limits) - 1, 'further limit')} below.", "unknown")


def _on_other_seeds(study: Analysis, said: Answer) -> str:
    """Return yes or no, and why."""
    if said.pick and said.pick.picked:
        return f"Yes: a gain on {words.count(said.pick.picked.seeds, 'seed')} that did not pick it."
    gaining = int((study.summary["verdict"] == Verdict.GAIN).sum())
    return f"Yes: {gaining} gain{'s' * (gaining == 1)}." if gaining else "No: none is shown to gain."


def _on_other_images(study: Analysis, said: Answer) -> str:
    """Return yes or no: a verdict is about new images where their part is known."""
    if said.pick and said.pick.picked:
        return "Yes: its interval on new images like these leaves out 0."
    gaining = int((study.summary["verdict"] == Verdict.GAIN).sum())
    return f"Yes: {gaining} gain{'s' * (gaining == 1)} there." if gaining else "There is no gain to carry over."


def _following(record: StudyRecord, said: Answer) -> Pairs:
    """The one command to type next; none where the report knows of nothing better than to stop."""
    if is_of_control(record):
        return ()
    typed = notes.command_of(record.environment)
    if said.pick and said.pick.is_candidate:
        commands = notes.row_commands(record, said.pick.architecture)
        done = record.trials.loc[record.trials["state"] == State.COMPLETE, "epochs"]
        is_long = len(set(done)) > 1 and not record.settings.rungs
        wanted = "Export" if is_long else "Train on a full schedule, beside the baseline"
        return tuple(pair for pair in commands if pair[0] == wanted)
    if is_unfinished(record) and typed:
        return (("Finish this search", notes.in_its_folder(record, typed)),)
    pays = bool(record.expected_gains) and not enough(1.0, record.expected_gains, phrases.WORTH_GOING_ON)
    if pays and said.outcome is not Outcome.NO_GAIN and typed:
        return (("Try ten more candidates", notes.in_its_folder(record, f"{typed} --more {AHEAD}")),)
    control = record.environment.control
    if control is None or not control.passed:
        return (("See whether this instrument finds an effect here", f"{record.environment.program} control"),)
    return ()
