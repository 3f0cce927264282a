"""All that a report says, before any renderer: HTML, Markdown and the picture are made from this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from harness.analysis.statistics import Standing, gain_noise, summarise
from harness.record.study import StudyRecord
from harness.report import notes, phrases, tables, words
from harness.report.answer import Answer, answer
from harness.report.budget import Budget, budget
from harness.report.comparison import Comparison, comparison
from harness.report.evidence import Evidence, Reader, latency_evidence
from harness.report.fidelity import unknown_fidelity
from harness.report.figures import AXES, FrontFigure, front_figure, marked, with_placebos
from harness.report.matters import Matters, what_matters
from harness.report.notes import Pairs
from harness.report.page import Section
from harness.report.placebo import forest_section, placebo_points
from harness.report.progress import Progress, how_far
from harness.report.tables import Table
from harness.report.tied import Ties, ties_on


@dataclass(frozen=True, kw_only=True)
class Content:
    """A report as data.

    Attributes:
        study: Its name; untrusted, as is everything that came from outside.
        answer: What stands at the top.
        figures: One for each cost.
        uncounted: What is not in the figures, and why; empty where nothing is missing.
        budgets: What each budget buys, one for each figure that has a choice.
        ties: Members of the fronts that the noise does not tell apart.
        comparison: Architectures side by side.
        ablations: Ablations of the search's own architectures.
        front: The front's rows of the summary with `front_latency` and `front_macs`.
        front_table: The front with its differences to the baseline.
        candidate_table: Every architecture.
        failure_table: Trainings that did not finish; without rows where all did.
        matters: Which choices matter.
        progress: How far the search has come.
        noise: How much a seed scatters.
        judging: The rules of the verdicts.
        measured: What each number is.
        latency: The rounds behind the latencies.
        unknowns: What cannot be concluded.
        commands: What to type for the study.
        row_commands: What to type for each architecture on a front.
        provenance: Settings and surroundings.
    """

    study: str
    answer: Answer
    figures: tuple[FrontFigure, ...]
    uncounted: str
    budgets: tuple[Budget, ...]
    ties: Ties
    comparison: Comparison
    ablations: tuple[Section, ...]
    front: pd.DataFrame
    front_table: Table
    candidate_table: Table
    failure_table: Table
    matters: Matters
    progress: Progress
    noise: str
    judging: tuple[str, ...]
    measured: Pairs
    latency: Evidence
    unknowns: tuple[str, ...]
    commands: Pairs
    row_commands: Mapping[str, Pairs]
    provenance: Pairs


def content(
    record: StudyRecord,
    fidelity: str | None = None,
    rounds: Reader | None = None,
    ablations: Sequence[StudyRecord] = (),
) -> Content:
    """Everything the report says about a study, however far it has come.

    Args:
        record: The study.
        fidelity: What is known of how its short trainings rank (`known_fidelity`); by default that nothing is.
        rounds: What reads the single rounds of an architecture's latency, which are not in storage.
        ablations: Those of the search's own architectures; `placebo.why_not` says nothing against any.
    """
    summary = summarise(record.trials, record.look)
    noise = gain_noise(record.trials)
    digits = words.digits_for(noise)
    figures = tuple(front_figure(record, summary, axis, digits) for axis in AXES)
    best = front_rows(summary, figures)
    ties = ties_on(best, record.trials)
    on_table = summary[(summary["standing"] != Standing.UNMEASURED) | (summary["seeds"] + summary["failed"] > 0)]
    said = answer(record, summary, noise)
    candidate = said.pick.architecture if said.pick and said.pick.is_candidate else ""
    return Content(
        study=record.name,
        answer=said,
        figures=tuple(
            with_placebos(
                marked(figure, candidate, ties.letters, ties.tied),
                [point for each in ablations for point in placebo_points(record, each, figure.axis, digits)],
            )
            for figure in figures
        ),
        uncounted=phrases.not_drawn(record, summary),
        budgets=tuple(found for figure in figures if (found := budget(record, summary, figure)) is not None),
        ties=ties,
        comparison=comparison(record, summary, best, candidate, ties.tied, digits),
        ablations=tuple(forest_section(record, each) for each in ablations),
        front=best,
        front_table=tables.candidates(
            record,
            best,
            digits,
            key="front",
            caption="On a front: beaten by nothing in accuracy and cost",
            ties=ties.letters,
            pick=candidate,
        ),
        candidate_table=tables.candidates(
            record,
            on_table,
            digits,
            key="candidates",
            caption="Every architecture that was tried",
            ties=ties.letters,
            pick=candidate,
        ),
        failure_table=tables.failures(record.trials),
        matters=what_matters(record.choices, digits),
        progress=how_far(record),
        noise=" ".join(filter(None, (phrases.noise_sentence(noise, summary), phrases.unequal_noise(record.trials)))),
        judging=notes.JUDGING,
        measured=(
            *notes.measured(record),
            *((("Fidelity of short trainings", fidelity.removeprefix("Fidelity: ")),) if fidelity else ()),
        ),
        latency=latency_evidence(record, map(str, best.index), rounds),
        unknowns=(*(() if fidelity else (unknown_fidelity(record.settings.epochs),)), *notes.unknowns(record)),
        commands=notes.commands(record),
        row_commands={str(name): notes.row_commands(record, str(name)) for name in best.index},
        provenance=notes.provenance(record),
    )


def front_rows(summary: pd.DataFrame, figures: tuple[FrontFigure, ...]) -> pd.DataFrame:
    """Rows of the summary that are on the front of at least one figure, by gain, and on which."""
    marked = summary.copy()
    for figure in figures:
        members = {point.architecture for point in figure.points if point.on_front}
        marked[f"front_{figure.axis.key}"] = marked.index.isin(members)
    flags = marked[[f"front_{figure.axis.key}" for figure in figures]]
    return marked[flags.any(axis=1)].sort_values("gain_map50_95", ascending=False, kind="stable")
