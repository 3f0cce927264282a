"""What an ablation says, in a report of its own or inside that of a search whose architecture it takes apart.

So do studies that are a scale for a search's pick: random members of its space, and the next size of its base's
family (`harness.ablation.scale`).

A gain that the base widened to the same size gives too is one of size, not of the block. The ablation has its own
baseline, trained as long under the same seeds as its arms: its differences stand beside the search's, unmixed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.analysis.contrasts import Verdict, gains, worths
from harness.analysis.noise import ALPHA, NO_VARIATION
from harness.analysis.power import NoNumber, from_table, growing_df, sample_size
from harness.analysis.statistics import ended
from harness.architecture import BASELINE
from harness.record.arms import Role
from harness.record.form import TrainedArm
from harness.record.state import State
from harness.record.study import StudyRecord
from harness.report import notes, phrases, tables, words
from harness.report.page import Page, Section, Tile
from harness.report.tables import Column, Row, Table, cell, worded

_RULES = (
    "Difference: one arm's mAP50-95 minus another's under the same seed and from the same base; the mean over them.",
    "Thick bar: 95 % interval, Student's t, from the difference's own scatter between seeds, moderated towards that of "
    "differences of one kind: those between arms that both start as the base's own function, and others. Where the "
    "base itself was trained several times, one base is one reading.",
    "Thin bar: the interval corrected for all differences of its table (Bonferroni), with the scatter of its kind and "
    "with its own, whichever is wider: all of them hold at once with 95 %. “better” and “worse” need the whole thin "
    "bar on one side of zero.",
    "On new images like these: intervals and verdicts also hold what another sample of as many validation images would "
    "change, from how much each image moves the difference. On these images: over readings alone, where the trainings "
    "did not keep that.",
    "The baseline is trained as long as every arm, so that no gain is one of more training. The widened bases have as "
    "many parameters, or MACs, as the model: a gain that they give too is one of size.",
)
_ONE_BASE = "All arms start from one trained base: `--bases 3` says whether another base agrees."


@dataclass(frozen=True, kw_only=True)
class AblationContent:
    """An ablation as data: its page, every arm against the baseline, every model against what was made of it."""

    page: Page
    gains: pd.DataFrame
    worths: pd.DataFrame


def ablation_content(record: StudyRecord) -> AblationContent:
    """Build everything that is to be said of an ablation, however far it has come."""
    gained, worth = gains(record), worths(record)
    digits = digits_of(gained)
    headline, lead, outcome = _answer(record, gained, worth, digits)
    failures = tables.failures(record.trials)
    states = ended(record.trials)["state"]
    done = int((states == State.COMPLETE).sum())
    sections = [
        Section(
            title="Every arm against the baseline",
            key="gains",
            note="What each arm gains over the base that was trained as long. Right of the dashed line is better.",
            tables=(contrast_table(record, gained, digits, key="gains", caption="Gain over the baseline, mAP50-95"),),
            picture="forest.png",
            picture_says="Forest plot: each arm's gain over the baseline, and what each part of the model is worth",
        ),
        Section(
            title="What each part is worth",
            key="worths",
            note="The model minus the arm that lacks or changes one thing: right of the dashed line the model is "
            "better as it is. Against the widened bases: what the blocks give beyond their size.",
            tables=(contrast_table(record, worth, digits, key="worths", caption="Model minus arm, mAP50-95"),),
        ),
        *([Section(title="Failures", key="failures", tables=(failures,))] if failures.rows else []),
        Section(title="How sure this is", key="sure", sentences=(*_noise(gained), *_RULES)),
        Section(
            title="What is not known",
            key="unknown",
            sentences=(
                *(record.ablation.left_out if record.ablation else ()),
                f"One data set ({record.settings.data or 'not recorded'}), one kind of base and a budget of "
                f"{record.settings.epochs} epochs: a difference here need not be one elsewhere, or after "
                "long training.",
                *(() if record.ablation and len(record.ablation.file.bases) > 1 else (_ONE_BASE,)),
            ),
        ),
        Section(title="Reproduce", key="reproduce", commands=notes.commands(record, "ablation")),
        Section(title="Provenance", key="provenance", pairs=notes.settings_and_surroundings(record)),
    ]
    page = Page(
        name=record.name,
        kind="clo-nas ablation",
        outcome=outcome,
        headline=headline,
        lead=lead,
        tiles=_tiles(record, gained, worth, digits),
        remarks=(f"{done} trainings are complete, {len(states) - done} failed.",),
        sections=tuple(sections),
    )
    return AblationContent(page=page, gains=gained, worths=worth)


def _answer(record: StudyRecord, gained: pd.DataFrame, worth: pd.DataFrame, digits: int) -> tuple[str, str, str]:
    """Return headline, lead and outcome: of the best model distinguishable from the baseline, else of the best."""
    if record.ablation and (search := record.ablation.file.ruler_of):
        base = record.settings.base
        return f"{base} alone: what search {search} is held against.", f"Its gain stands in the report of {search}.", ""
    models = [arm.name for arm in record.arms if arm.role == Role.MODEL]
    rows = gained[gained["name"].isin(models)]
    measured = rows[rows["verdict"] != Verdict.UNMEASURED]
    if measured.empty:
        return "No model has been compared with the baseline yet.", "Its trainings are missing or failed.", ""
    firm = measured[measured["verdict"] != Verdict.UNDECIDED]
    row = (firm if len(firm) else measured).sort_values("mean", ascending=False).iloc[0]
    nobody = f"{row['name']} is not" if len(measured) == 1 else f"None of {len(measured)} models is"
    everywhere = phrases.on(measured["target"])
    said = {
        Verdict.BETTER: f"{row['name']} beats the baseline{phrases.on([row['target']])}.",
        Verdict.WORSE: f"{row['name']} is worse than the baseline{phrases.on([row['target']])}.",
        Verdict.UNDECIDED: f"{nobody} told from the baseline{everywhere}, given this noise.",
    }[Verdict(row["verdict"])]
    parts = [f"{each['name']} {_ends(each, digits)}" for _, each in measured.iterrows()]
    parts += _beyond_size(row["name"], worth, digits) if len(measured) == 1 else []
    lead = "Gain over the baseline in mAP50-95, with its corrected 95 % interval: " + "; ".join(parts) + "."
    told = worth[worth["verdict"].isin([Verdict.BETTER, Verdict.WORSE])]
    lead += f" Of {words.count(len(worth), 'change')} to the models {len(told)} are told from none."
    return said, lead, str(row["verdict"])


def _beyond_size(model: str, worth: pd.DataFrame, digits: int) -> list[str]:
    """Say what the model has over the base widened to its size."""
    mine = worth[worth["name"].str.startswith(f"{model}: base widened") & (worth["verdict"] != Verdict.UNMEASURED)]
    return [f"over the {each['name'].removeprefix(f'{model}: ')} {_ends(each, digits)}" for _, each in mine.iterrows()]


def _tiles(record: StudyRecord, gained: pd.DataFrame, worth: pd.DataFrame, digits: int) -> tuple[Tile, ...]:
    found = []
    for arm in record.arms:
        if arm.role in {Role.MODEL, Role.PLACEBO}:
            is_model = arm.role == Role.MODEL
            rows = gained if is_model else worth
            row = rows[rows["name"] == arm.name].iloc[0]
            label = f"{arm.name} minus baseline" if is_model else f"{arm.model} minus {arm.name.split(': ')[-1]}"
            found.append(Tile(label=label, value=words.signed(row["mean"], digits), detail=_interval(row, digits)))
    return tuple(found[:4])


def _interval(row: Any, digits: int) -> str:
    return words.interval(row["low_corrected"], row["high_corrected"], digits, sign=True)


def _ends(row: Any, digits: int) -> str:
    return words.with_interval(row["mean"], row["low_corrected"], row["high_corrected"], digits)


def digits_of(rows: pd.DataFrame) -> int:
    """Count the decimals that the smallest scatter makes meaningful."""
    known = [sd for sd in rows["sd"] if math.isfinite(sd) and sd > 0]
    return min(5, max(3, math.ceil(-math.log10(min(known))))) if known else 3


def _noise(rows: pd.DataFrame) -> tuple[str, ...]:
    """Describe the scatter behind the intervals, and what is not known of it."""
    measured = rows[rows["verdict"] != Verdict.UNMEASURED]
    known = measured[measured["sd"] > NO_VARIATION]
    said = [f"{row['sd']:.4f} ({row['df']:.0f} degrees of freedom)" for _, row in known.sort_values("sd").iterrows()]
    ends = " to ".join(dict.fromkeys((*said[:1], *said[-1:])))
    sentences = [f"Standard deviation of one paired difference: {ends} mAP50-95."] if ends else []
    single, alike = int(measured["sd"].isna().sum()), int((measured["sd"] <= NO_VARIATION).sum())
    if single:
        sentences.append(
            f"Of {words.count(single, 'difference')} the noise is unknown: one seed. They have no interval, and "
            "nothing can be told of their size; a second seed of every arm is needed first."
        )
    if alike:
        sentences.append(
            f"Of {words.count(alike, 'difference')} the noise is unknown: the seeds do not differ at all, which is no "
            "evidence of precision. They have no interval."
        )
    return (*sentences, *_seeds_promised(measured))


def _seeds_promised(measured: pd.DataFrame) -> tuple[str, ...]:
    """Say what power the table's numbers of seeds have, given how uncertain the estimated noise is."""
    shown = []
    for _, row in measured[(measured["verdict"] == Verdict.UNDECIDED) & (measured["readings"] > 0)].iterrows():
        freedom = growing_df(row["df"], row["readings"], row["df_per_reading"])
        needed = sample_size(row["sd"], row["df"], row["mean"], freedom, ALPHA / row["comparisons"])
        if math.isfinite(needed.expected_power):
            shown.append(needed.expected_power)
    if not shown:
        return ()
    ends = dict.fromkeys(words.part(power) for power in (min(shown), max(shown)))
    return (
        "The number of seeds that would tell a difference from 0 is for one as large as measured, with power 80 % of "
        "the corrected test if that standard deviation is the true one; over what it may be, given its degrees of "
        f"freedom, the power is {' to '.join(ends)} on average.",
    )


def contrast_table(record: StudyRecord, rows: pd.DataFrame, digits: int, *, key: str, caption: str) -> Table:
    """Return differences as a table with a forest; `rows` are of `contrasts`, named as arms of the record are."""
    arms, scale = {arm.name: arm for arm in record.arms}, forest_range(rows)
    return Table(
        key=key,
        caption=caption,
        columns=(
            worded("Arm", "what it is there for"),
            worded("Verdict", "corrected, 95 %"),
            Column(name="Difference", unit="mAP50-95; 95 % interval, and corrected"),
            worded("Forest", "thick: 95 %, thin: corrected"),
            Column(name="Parameters", unit="against the baseline"),
            Column(name="MACs", unit="against the baseline"),
            Column(name="Seeds", unit="or bases; of so many that would tell it from 0"),
        ),
        rows=tuple(_row(arms[row["name"]], arms[BASELINE], row, digits, scale) for _, row in rows.iterrows()),
    )


def _row(arm: TrainedArm, base: TrainedArm, row: Any, digits: int, scale: tuple[float, float]) -> Row:
    interval = words.interval(row["low"], row["high"], digits, sign=True)
    drawn = tables.spark(row, ("mean", "low", "high"), scale, 2, ("low_corrected", "high_corrected"))
    needed = from_table(row["readings_needed"])
    of = f"of {needed}" if isinstance(needed, NoNumber) else f"of {needed:,}"
    of = "noise unknown" if needed is NoNumber.UNKNOWN else of
    return tables.row(
        str(row["verdict"]),
        cell(
            arm.name.removeprefix(f"{arm.model}: "),
            f"{arm.role}; of {arm.model}" if arm.model and arm.role != Role.MODEL else arm.role,
        ),
        cell(str(row["verdict"])),
        cell(words.signed(row["mean"], digits), interval, _interval(row, digits), sort=row["mean"]),
        cell("", spark=drawn),
        cell(words.percent(arm.params / base.params), sort=arm.params),
        cell(words.percent(arm.macs / base.macs), sort=arm.macs),
        tables.counted(int(row["readings"]), of if row["verdict"] == Verdict.UNDECIDED else ""),
    )


def forest_range(rows: pd.DataFrame) -> tuple[float, float]:
    """Compute what a forest shows: zero and the differences but for far outliers, whose bars leave the picture."""
    means = rows["mean"].dropna()
    if means.empty:
        return -0.01, 0.01
    middle = float(means.abs().median())
    ends = rows[["low", "high", "low_corrected", "high_corrected"]].melt()["value"].dropna()
    widths = (rows["high_corrected"] - rows["low_corrected"]).dropna()
    limit = max(6 * middle, 2 * float(widths.median()) if len(widths) else 0.0, 1e-4)
    values = [0.0, *means, *ends]
    return max(-limit, min(values)), min(limit, max(values)) if max(values) > 0 else limit / 10
