"""What a search says, as a page: every section is made of the study's analysis, before any renderer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from harness.analysis.analysis import Analysis, analyse
from harness.analysis.statistics import Standing
from harness.record.study import StudyRecord
from harness.report import notes, phrases, tables, words
from harness.report.answer import Answer, answer, headed
from harness.report.beside import forest_section, placebo_points, scale_sections
from harness.report.choices import Matters, parallel_coordinates, what_matters
from harness.report.comparison import MOST, Comparison, Ties, comparison, ties_on
from harness.report.curves import Reader as CurveReader
from harness.report.curves import learning_curves
from harness.report.evidence import Reader as RoundsReader
from harness.report.evidence import data_section, latency_section
from harness.report.fidelity import unknown_fidelity
from harness.report.figures import AXES, LOOKS, FrontFigure, front_figure, marked, with_placebos
from harness.report.images import SIDE, Gallery, Judged, best_threshold, gallery, judged
from harness.report.images import Reader as MatchesReader
from harness.report.page import Fronts, Page, Section
from harness.report.pick import budget
from harness.report.where import where_tables


@dataclass(frozen=True, kw_only=True)
class SearchContent:
    """A search as data: its page and answer, a figure for each cost, and the front's rows of the summary."""

    page: Page
    answer: Answer
    figures: tuple[FrontFigure, ...]
    front: pd.DataFrame
    matters: Matters


# Of matches that are read: more tell little more, and those of a large validation set fill the memory.
MOST_SEEDS = 8


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What lies beside a study's record and is shown in its report; by default nothing does.

    Attributes:
        fidelity: What is known of how its short trainings rank (`known_fidelity`).
        rounds: What reads the single rounds of an architecture's latency.
        curves: What reads a training's learning curve.
        matches: What reads a training's matches of the validation images.
        pictures: Folder with images of an earlier report.
        originals: Whether images may be read from where they were; not of a stranger's tables.
        ablations: Those of the search's own architectures; `ablation.why_not` says nothing against any.
        random: The study of random members of its space.
        larger: The study of the next size of its base.
    """

    fidelity: str | None = None
    rounds: RoundsReader | None = None
    curves: CurveReader | None = None
    matches: MatchesReader | None = None
    pictures: Path = Path()
    originals: bool = True
    ablations: Sequence[StudyRecord] = ()
    random: StudyRecord | None = None
    larger: StudyRecord | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Seen:
    """What the sections are made of; `pick` is the recommended candidate, or empty."""

    study: Analysis
    beside: Beside
    said: Answer
    pick: str
    ties: Ties
    figures: tuple[FrontFigure, ...]
    compared: Comparison
    matters: Matters
    failed: tables.Table

    @property
    def record(self) -> StudyRecord:
        return self.study.record

    def candidates(self, rows: pd.DataFrame, key: str, caption: str) -> tables.Table:
        """Tabulate some rows of the summary."""
        ties, named = self.ties.letters, (str(self.said.best),)
        return tables.candidates(self.study, rows, key=key, caption=caption, ties=ties, pick=self.pick, named=named)


def search_content(record: StudyRecord, beside: Beside | None = None) -> SearchContent:
    """Build all the report says about a study, however far it has come, with what is not in storage `beside` it."""
    seen = _seen(analyse(record), beside or Beside())
    sections = tuple(section for make in _SECTIONS for section in make(seen))
    return SearchContent(
        page=headed(seen.study, seen.said, sections),
        answer=seen.said,
        figures=seen.figures,
        front=seen.study.front,
        matters=seen.matters,
    )


def _seen(study: Analysis, beside: Beside) -> _Seen:
    record, said, ties = study.record, answer(study), ties_on(study.front, study.record.trials)
    pick = said.pick.architecture if said.pick and said.pick.is_candidate else ""
    figures = tuple(
        with_placebos(
            marked(front_figure(study, axis), pick, ties.letters, ties.tied),
            [point for each in beside.ablations for point in placebo_points(record, each, axis, study.digits)],
        )
        for axis in AXES
    )
    return _Seen(
        study=study,
        beside=beside,
        said=said,
        pick=pick,
        ties=ties,
        figures=figures,
        compared=comparison(study, pick, ties.tied, {pick, said.best}),
        matters=what_matters(record.choices, study.digits),
        failed=tables.failures(record.trials),
    )


_READING = (
    "Up and to the left is better. The line is the front: below it everything is beaten. Bars are 95 % intervals; "
    "faint points are beaten by others; dashed lines mark the baseline."
)


def _front(seen: _Seen) -> Iterator[Section]:
    study = seen.study
    reasons = "Reasons stand under Failures." if seen.failed.rows else ""
    not_drawn = phrases.not_drawn(seen.record, study.summary)
    kind = " of as many epochs" if len(phrases.lengths(study.summary)) > 1 else ""
    yield Section(
        title="The front",
        key="front",
        note=" ".join(filter(None, (_READING, not_drawn, reasons))),
        picture="pareto.png",
        picture_says="Gain in mAP50-95 against latency and against MACs, the front and the baseline marked",
        drawing=Fronts(
            figures=seen.figures,
            legend=tuple(_legend(seen)),
            budgets=tuple(found for axis in AXES if (found := budget(study, front_figure(study, axis))) is not None),
        ),
        tables=(seen.candidates(study.front, "front", f"On a front: beaten by nothing{kind} in accuracy and cost"),),
    )


def _legend(seen: _Seen) -> Iterator[tuple[str, str]]:
    """Yield role and meaning of the marks that the figures hold, the line first."""
    if lines := [figure.firm for figure in seen.figures if figure.steps]:
        lengths = phrases.lengths(seen.study.summary)
        of = f" of those after {lengths[-1]} epochs" if len(lengths) > 1 else ""
        yield "front", f"front{of}" if all(lines) else f"front{of}, on one seed only: screening"
    drawn = {point.mark for figure in seen.figures for point in figure.points}
    yield from ((mark.name.lower(), LOOKS[mark].legend) for mark in reversed(LOOKS) if mark in drawn)
    if seen.ties.letters:
        yield "tie", "tied (letters in the table): not told apart, which does not make them equal"
    if seen.compared.chosen:
        yield "chosen", "side by side below"


def _of_matches(seen: _Seen) -> Iterator[Section]:
    """Yield what the matches of the validation images tell: of the first candidate all seeds, of the others one."""
    beside = seen.beside
    read = [
        judged(seen.record, name, beside.matches, most=1 if at else MOST_SEEDS)
        for at, name in enumerate(seen.compared.chosen)
        if beside.matches
    ]
    if found := [each for each in read if each]:
        yield _pictures(gallery(found, beside.pictures, originals=beside.originals))
        yield _where(found[0])


def _pictures(found: Gallery) -> Section:
    first = found.compared[0].architecture
    gone = f" {words.count(found.gone, 'image')} that differ more cannot be read any more." if found.gone else ""
    return Section(
        title="What it does to images",
        key="images",
        note=f"The validation images on which a candidate and the baseline differ most: up to {SIDE} on which it is "
        f"better, up to {SIDE} on which it is worse, under one evaluation seed. ΔF1: the change of the image's F1 "
        f"at confidence {found.threshold:.2f} (that of the baseline's "
        "best F1), mean over IoU 0.50 to 0.95, so that a better fit counts; colours are of IoU 0.50. Boxes on one "
        "place are drawn within each other; the surest is named, and +2 is how many more there are. The images "
        f"are picked for their difference: they show of which kind it is, not how large.{gone}",
        picture="images.jpg",
        picture_says=f"Images with the boxes of the baseline and of {first}, the better ones first",
        drawing=found,
    )


def _where(found: Judged) -> Section:
    threshold = best_threshold(found)
    return Section(
        title=f"Where {found.architecture} differs",
        key="where",
        note=f"Exploratory: {found.architecture} and the baseline after {words.count(found.epochs, 'epoch')}, mean "
        f"over {words.count(len(found.seeds), 'seed')}. An object is found where a detection of its class, at least "
        f"{threshold:.2f} confident, is matched with it, at IoU 0.50 unless another one is named. Intervals are 95 % "
        "of a paired bootstrap over images; they are not corrected for being many, and some miss 0 by luck. Where "
        "they leave out 0, blue is better than the baseline and orange worse.",
        tables=tuple(where_tables(found.architecture, found.pairs, threshold)),
    )


def _beside(seen: _Seen) -> Iterator[Section]:
    yield from scale_sections(seen.study, seen.beside.random, seen.beside.larger, seen.pick or seen.said.best)
    yield from (forest_section(seen.record, each) for each in seen.beside.ablations)


def _side_by_side(seen: _Seen) -> Iterator[Section]:
    if seen.compared.chosen:
        yield Section(
            title="Side by side",
            key="comparison",
            note=f"Up to {MOST} architectures: check them in a table or press their points. In the drawing a filled "
            "site holds a block: its kind, then heads×kernel of the local groups and, as g, global heads/KV pool.",
            drawing=seen.compared,
        )


def _learning(seen: _Seen) -> Iterator[Section]:
    if curves := learning_curves(seen.record, seen.compared.chosen, seen.beside.curves):
        yield Section(
            title="Learning curves",
            key="curves",
            note="Thick: the mean over an architecture's seeds; thin: each seed; shaded: from the lowest to the "
            "highest. Lines that diverge are seeds that learnt and seeds that did not. They are of those named here, "
            "whoever is chosen above.",
            picture="curves.png",
            picture_says="Losses and learning rates by step, of the baseline and of those side by side",
            drawing=curves,
        )


_SHAPES = (
    "6×k5 local + 2 global (KV pool 4): six heads convolve with a kernel of 5 × 5 cells (AttnConv), two attend to the "
    "whole map, whose keys and values are averaged over 4 × 4 cells; attention is these alone, a block has a "
    "feed-forward network, too."
)


def _all(seen: _Seen) -> Iterator[Section]:
    summary = seen.study.summary
    tried = summary[(summary["standing"] != Standing.UNMEASURED) | (summary["seeds"] + summary["failed"] > 0)]
    drawing = parallel_coordinates(seen.figures[-1], seen.record.architectures)
    yield Section(
        title="All architectures",
        key="all",
        note="Each line is an architecture, from what it has at each place to its gain; at each choice the lines are "
        f"in the order of their gains. The colours are the front's{', the thick line is the pick' * bool(seen.pick)}. "
        f"{_SHAPES}"
        if drawing
        else _SHAPES,
        drawing=drawing,
        sentences=() if seen.matters.tables else seen.matters.said,
        tables=(seen.candidates(tried, "candidates", "Every architecture that was tried"),),
        filtered=True,
    )
    if seen.failed.rows:
        yield Section(title="Failures", key="failures", tables=(seen.failed,))
    if seen.matters.tables:
        yield Section(title="What matters", key="matters", sentences=seen.matters.said, tables=seen.matters.tables)


def _evidence(seen: _Seen) -> Iterator[Section]:
    """Yield what the numbers rest on: the data, how they were measured, latency's rounds, the rules."""
    study, fidelity = seen.study, seen.beside.fidelity
    yield from data_section(seen.record)
    noise = (phrases.noise_sentence(study.noise, study.summary), phrases.unequal_noise(seen.record.trials))
    measured = notes.measured(seen.record)
    if fidelity:
        measured = (*measured, ("Fidelity of short trainings", fidelity.removeprefix("Fidelity: ")))
    yield Section(
        title="How it was measured, and how sure this is",
        key="evidence",
        note=" ".join(filter(None, noise)),
        facts=measured,
    )
    yield from latency_section(seen.record, map(str, study.front.index), seen.beside.rounds)
    yield Section(title="Rules of the verdicts", key="judging", sentences=notes.JUDGING, minor=True)


def _provenance(seen: _Seen) -> Iterator[Section]:
    record = seen.record
    yield Section(
        title="Provenance and commands",
        key="reproduce",
        commands=notes.commands(record),
        of_each=tuple((str(name), notes.row_commands(record, str(name))) for name in seen.study.front.index),
        pairs=notes.provenance(record),
    )
    not_known = () if seen.beside.fidelity else (unknown_fidelity(record.settings.epochs),)
    yield Section(title="What is not known", key="unknown", sentences=(*not_known, *notes.unknowns(record)))


# In the order of the page.
_SECTIONS: tuple[Callable[[_Seen], Iterator[Section]], ...] = (
    _front, _of_matches, _beside, _side_by_side, _learning, _all, _evidence, _provenance,
)  # fmt: skip
