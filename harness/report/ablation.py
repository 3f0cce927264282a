"""What an ablation says: the answer in words, its forest, and how it came about, before any renderer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.analysis.contrasts import Verdict, gains, worths
from harness.analysis.noise import ALPHA, NO_VARIATION
from harness.analysis.power import NoNumber, Seeds, from_table, growing_df, sample_size
from harness.analysis.statistics import ended
from harness.architecture import BASELINE
from harness.record.arms import Role
from harness.record.form import TrainedArm
from harness.record.state import State
from harness.record.study import StudyRecord
from harness.report import notes, phrases, tables, words
from harness.report.answer import Tile
from harness.report.page import Page, Section
from harness.report.tables import Cell, Column, Row, Spark, Table

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


@dataclass(frozen=True, kw_only=True)
class AblationContent:
    """An ablation as data.

    Attributes:
        page: What its page says.
        gains: Every arm against the baseline; see `harness.analysis.contrasts`.
        worths: Every model against what was made of it.
    """

    page: Page
    gains: pd.DataFrame
    worths: pd.DataFrame


def ablation_content(record: StudyRecord) -> AblationContent:
    """Everything that is to be said of an ablation, however far it has come."""
    gained, worth = gains(record), worths(record)
    digits = _digits(gained)
    headline, lead, outcome = _answer(record, gained, worth, digits)
    failures = tables.failures(record.trials)
    states = ended(record.trials)["state"]
    done = int((states == State.COMPLETE).sum())
    sections = [
        Section(
            title="Every arm against the baseline",
            key="gains",
            note="What each arm gains over the base that was trained as long. Right of the dashed line is better.",
            tables=(_table(record, gained, digits, key="gains", caption="Gain over the baseline, mAP50-95"),),
            picture="forest.png",
            picture_says="Forest plot: each arm's gain over the baseline, and what each part of the model is worth",
        ),
        Section(
            title="What each part is worth",
            key="worths",
            note="The model minus the arm that lacks or changes one thing: right of the dashed line the model is "
            "better as it is. Against the widened bases: what the blocks give beyond their size.",
            tables=(_table(record, worth, digits, key="worths", caption="Model minus arm, mAP50-95"),),
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
                *(
                    ()
                    if record.ablation and len(record.ablation.file.bases) > 1
                    else ("All arms start from one trained base: `--bases 3` says whether another base agrees.",)
                ),
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
    """Headline, lead and outcome: of the first model that is told from the baseline, else of the first."""
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
    everywhere = phrases.on(measured["target"])
    said = {
        Verdict.BETTER: f"{row['name']} beats the baseline{phrases.on([row['target']])}.",
        Verdict.WORSE: f"{row['name']} is worse than the baseline{phrases.on([row['target']])}.",
        Verdict.UNDECIDED: f"{_named(measured)} told from the baseline{everywhere}, given this noise.",
    }[Verdict(row["verdict"])]
    parts = [
        "; ".join(
            [f"{each['name']} {_ends(each, digits)}"]
            + (_beyond_size(each["name"], worth, digits) if len(measured) == 1 else [])
        )
        for _, each in measured.iterrows()
    ]
    lead = "Gain over the baseline in mAP50-95, with its corrected 95 % interval: " + "; ".join(parts) + "."
    told = worth[worth["verdict"].isin([Verdict.BETTER, Verdict.WORSE])]
    lead += f" Of {words.count(len(worth), 'change')} to the models {len(told)} are told from none."
    return said, lead, str(row["verdict"])


def _beyond_size(model: str, worth: pd.DataFrame, digits: int) -> list[str]:
    """What the model has over the base widened to its size."""
    mine = worth[worth["name"].str.startswith(f"{model}: base widened") & (worth["verdict"] != Verdict.UNMEASURED)]
    return [f"over the {each['name'].removeprefix(f'{model}: ')} {_ends(each, digits)}" for _, each in mine.iterrows()]


def _named(rows: pd.DataFrame) -> str:
    names = list(rows["name"])
    return f"{names[0]} is not" if len(names) == 1 else f"None of {len(names)} models is"


def _tiles(record: StudyRecord, gained: pd.DataFrame, worth: pd.DataFrame, digits: int) -> tuple[Tile, ...]:
    found = []
    for arm in record.arms:
        if arm.role == Role.MODEL:
            row = gained[gained["name"] == arm.name].iloc[0]
            found.append(
                Tile(
                    label=f"{arm.name} minus baseline",
                    value=words.signed(row["mean"], digits),
                    detail=_interval(row, digits),
                )
            )
        if arm.role == Role.PLACEBO:
            row = worth[worth["name"] == arm.name].iloc[0]
            found.append(
                Tile(
                    label=f"{arm.model} minus {arm.name.split(': ')[-1]}",
                    value=words.signed(row["mean"], digits),
                    detail=_interval(row, digits),
                )
            )
    return tuple(found[:4])


def _interval(row: Any, digits: int) -> str:
    return words.interval(row["low_corrected"], row["high_corrected"], digits, sign=True)


def _ends(row: Any, digits: int) -> str:
    return f"{words.signed(row['mean'], digits)} {_interval(row, digits)}"


def _digits(rows: pd.DataFrame) -> int:
    """Decimals that the smallest scatter makes meaningful."""
    known = [sd for sd in rows["sd"] if math.isfinite(sd) and sd > 0]
    return min(5, max(3, math.ceil(-math.log10(min(known))))) if known else 3


def _noise(rows: pd.DataFrame) -> tuple[str, ...]:
    """The scatter behind the intervals, and what is not known of it."""
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
    """What the estimated noise makes of the numbers of seeds in the table."""
    powers = []
    for _, row in measured[(measured["verdict"] == Verdict.UNDECIDED) & (measured["readings"] > 0)].iterrows():
        freedom = growing_df(row["df"], row["readings"], row["df_per_reading"])
        powers.append(
            sample_size(row["sd"], row["df"], row["mean"], freedom, ALPHA / row["comparisons"]).expected_power
        )
    shown = [power for power in powers if math.isfinite(power)]
    if not shown:
        return ()
    ends = dict.fromkeys(words.part(power) for power in (min(shown), max(shown)))
    return (
        "The number of seeds that would tell a difference from 0 is for one as large as measured, with power 80 % of "
        "the corrected test if that standard deviation is the true one; over what it may be, given its degrees of "
        f"freedom, the power is {' to '.join(ends)} on average.",
    )


def _table(record: StudyRecord, rows: pd.DataFrame, digits: int, *, key: str, caption: str) -> Table:
    arms = {arm.name: arm for arm in record.arms}
    at = _strip(rows)
    return Table(
        key=key,
        caption=caption,
        columns=(
            Column(name="Arm", unit="what it is there for", numeric=False),
            Column(name="Verdict", unit="corrected, 95 %", numeric=False),
            Column(name="Difference", unit="mAP50-95; 95 % interval, and corrected"),
            Column(name="Forest", unit="thick: 95 %, thin: corrected", numeric=False),
            Column(name="Parameters", unit="against the baseline"),
            Column(name="MACs", unit="against the baseline"),
            Column(name="Seeds", unit="or bases; of so many that would tell it from 0"),
        ),
        rows=tuple(_row(arms[row["name"]], arms[BASELINE], row, digits, at) for _, row in rows.iterrows()),
    )


def _row(arm: TrainedArm, base: TrainedArm, row: Any, digits: int, at: _Strip) -> Row:
    needed = from_table(row["readings_needed"])
    undecided = row["verdict"] == Verdict.UNDECIDED
    return Row(
        kind=str(row["verdict"]),
        cells=(
            Cell(
                text=arm.name.removeprefix(f"{arm.model}: "),
                details=(arm.role if arm.role == Role.MODEL else f"{arm.role}; of {arm.model}",),
            ),
            Cell(text=str(row["verdict"])),
            Cell(
                text=words.signed(row["mean"], digits),
                details=(words.interval(row["low"], row["high"], digits, sign=True), _interval(row, digits)),
                sort=row["mean"],
            ),
            Cell(text="", spark=at.spark(row)),
            Cell(text=words.percent(arm.params / base.params), sort=arm.params),
            Cell(text=words.percent(arm.macs / base.macs), sort=arm.macs),
            Cell(
                text=str(int(row["readings"])),
                details=(_needed(needed),) if undecided else (),
                sort=row["readings"],
            ),
        ),
    )


def _needed(readings: Seeds) -> str:
    if readings is NoNumber.UNKNOWN:
        return "noise unknown"
    return f"of {readings}" if isinstance(readings, NoNumber) else f"of {readings:,}"


@dataclass(frozen=True, kw_only=True)
class _Strip:
    """The scale that all rows of a forest share."""

    low: float
    high: float

    def spark(self, row: Any) -> Spark | None:
        """A row's positions."""
        if not math.isfinite(row["mean"]):
            return None
        low, high, outer_low, outer_high = (
            self._at(row[name]) if math.isfinite(row[name]) else None
            for name in ("low", "high", "low_corrected", "high_corrected")
        )
        return Spark(
            low=low,
            mid=self._at(row["mean"]),
            high=high,
            zero=self._at(0.0),
            outer_low=outer_low,
            outer_high=outer_high,
            wide=True,
        )

    def _at(self, value: float) -> float:
        return round(min(100.0, max(0.0, 2 + 96 * (value - self.low) / (self.high - self.low))), 2)


def _strip(rows: pd.DataFrame) -> _Strip:
    """The scale of a table: all means and thick bars; one wild arm does not press the others together."""
    low, high = forest_range(rows)
    return _Strip(low=low, high=high)


def forest_range(rows: pd.DataFrame) -> tuple[float, float]:
    """What a forest shows: zero and the differences but for far outliers, whose bars leave the picture."""
    means = rows["mean"].dropna()
    if means.empty:
        return -0.01, 0.01
    middle = float(means.abs().median())
    ends = rows[["low", "high", "low_corrected", "high_corrected"]].melt()["value"].dropna()
    widths = (rows["high_corrected"] - rows["low_corrected"]).dropna()
    limit = max(6 * middle, 2 * float(widths.median()) if len(widths) else 0.0, 1e-4)
    values = [0.0, *means, *ends]
    return max(-limit, min(values)), min(limit, max(values)) if max(values) > 0 else limit / 10
