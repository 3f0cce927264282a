"""What was trained beside a search and is shown in its report: its ablations, and a scale for its pick.

The scale is what random members of the space gain, and what the next size of the base gains and costs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from harness.analysis.analysis import Analysis
from harness.analysis.contrasts import Verdict, advantage, gains
from harness.analysis.ruler import ruler_row
from harness.analysis.statistics import Standing
from harness.architecture import BASELINE
from harness.architecture.choices import Recipe
from harness.record.arms import Role
from harness.record.form import TrainedArm
from harness.record.settings import unlike
from harness.record.state import State
from harness.record.study import StudyRecord
from harness.report import phrases, tables, words
from harness.report.ablation import ablation_content
from harness.report.figures import LATENCY, MACS, Axis, Mark, Point
from harness.report.page import Section
from harness.report.tables import Column, Row, Table, cell, worded


def why_not(search: StudyRecord, ablation: StudyRecord) -> str:
    """Say why a study is no ablation of an architecture of this search; empty where it is one."""
    if not ablation.ablation:
        return "it is no ablation"
    if reasons := unlike(search.settings.to_dict(), ablation.settings.to_dict(), but={"epochs"}):
        return reasons[0]
    if ablation.ablation.file.recipe is not Recipe.SHORT:
        return "it is trained by the published recipe"
    done = search.trials.loc[search.trials["state"] == State.COMPLETE, "epochs"]
    if len(done) and int(done.max()) != ablation.settings.epochs:
        return "its trainings have another number of epochs"
    if not _models(search, ablation):
        return "none of its models is an architecture of the search"
    return ""


def placebo_points(search: StudyRecord, ablation: StudyRecord, axis: Axis, digits: int) -> tuple[Point, ...]:
    """Return the placebos of the search's architectures whose gain and cost were measured.

    `why_not` says nothing of the ablation. A latency counts from the same kind of device alone.
    """
    models, gained = _models(search, ablation), gains(ablation).set_index("minuend")
    points = []
    for arm in ablation.arms:
        if arm.role != Role.PLACEBO or arm.model not in models:
            continue
        row: Any = gained.loc[arm.identity]
        x, low, high = _cost(search, ablation, arm, axis)
        if row["verdict"] == Verdict.UNMEASURED or not math.isfinite(x):
            continue
        gain = words.with_interval(row["mean"], row["low"], row["high"], digits)
        points.append(
            Point(
                architecture=arm.identity,
                mark=Mark.PLACEBO,
                on_front=False,
                x=x,
                x_low=low,
                x_high=high,
                gain=float(row["mean"]),
                low=float(row["low"]),
                high=float(row["high"]),
                notes=(
                    f"placebo of {models[arm.model]}: {arm.name.removeprefix(arm.model + ': ')}",
                    f"gain {gain} mAP50-95, {words.count(int(row['readings']), 'seed')}",
                    f"{words.amount(arm.macs)} MACs, {words.amount(arm.params)} parameters",
                    f"ablation {ablation.name}, over its own baseline",
                ),
            )
        )
    return tuple(points)


def forest_section(search: StudyRecord, ablation: StudyRecord) -> Section:
    """Build the ablation's answer and its forests; the models' rows are linked with the search's architectures."""
    said, models = ablation_content(ablation), _models(search, ablation)
    forests = [section.tables[0] for section in said.page.sections if section.key in {"gains", "worths"}]
    arms = {arm.name: arm for arm in ablation.arms}
    about = [[arms[name] for name in rows["name"]] for rows in (said.gains, said.worths)]
    others = sum(arm.role == Role.MODEL and arm.name not in models for arm in arms.values())
    missing = []
    if others:
        rest = "are in the ablation's own report; intervals and verdicts are corrected for them, too."
        missing.append(f"Rows of {words.count(others, 'other model')} {rest}")
    if placebo_points(search, ablation, MACS, 3) and not placebo_points(search, ablation, LATENCY, 3):
        rest = "was measured on this kind of device: they are in the figure of MACs alone."
        missing.append(f"No latency of the placebos {rest}")
    named = [f"{identity} ({name})" if name != identity else identity for name, identity in models.items()]
    return Section(
        title=f"The block, or its size? Ablation {ablation.name}",
        key=f"ablation-{ablation.name}",
        note=f"{said.page.headline} {said.page.lead}",
        sentences=(
            f"Of this search's architectures the ablation takes apart {words.listed(named)}, on the same base and data "
            "and with the same schedule. Placebos are the base itself, widened to an architecture's parameters or "
            "MACs: pentagons in the figures, on no front. What a placebo gains too is no gain of the block.",
            "Its differences are to its own baseline, of the same seeds; they judge no candidate of the search and are "
            "not mixed with their gains.",
            *missing,
            *said.page.remarks,
        ),
        tables=tuple(
            _linked(replace(table, key=f"{ablation.name}-{table.key}"), shown, models)
            for table, shown in zip(forests, about, strict=True)
        ),
    )


def _linked(table: Table, arms: Sequence[TrainedArm], models: dict[str, str]) -> Table:
    """Return the rows of the search's architectures, with the identity in the row that is about a whole one."""
    rows: list[Row] = []
    for row, arm in zip(table.rows, arms, strict=True):
        if arm.model in models and arm.role == Role.MODEL:
            first = replace(row.cells[0], details=(*row.cells[0].details, f"architecture {arm.identity}"))
            rows.append(replace(row, cells=(first, *row.cells[1:]), architecture=arm.identity))
        elif arm.model in models:
            rows.append(row)
    return replace(table, rows=tuple(rows))


def _models(search: StudyRecord, ablation: StudyRecord) -> dict[str, str]:
    """Map the name of each model of the ablation that the search has to its identity."""
    return {
        arm.name: arm.identity
        for arm in ablation.arms
        if arm.role == Role.MODEL and arm.identity in search.architectures
    }


def _cost(search: StudyRecord, ablation: StudyRecord, arm: TrainedArm, axis: Axis) -> tuple[float, float, float]:
    """Return an arm's place on a figure's axis with its interval, NaN where there is none."""
    if axis == MACS:
        return float(arm.macs) * 1e-6, math.nan, math.nan
    rows = ablation.trials[ablation.trials["architecture"] == arm.identity]
    is_alike = search.settings.device_kind == ablation.settings.device_kind
    columns = ("latency_ratio", "latency_ratio_low", "latency_ratio_high")
    x, low, high = (float(rows[name].median()) if is_alike and name in rows else math.nan for name in columns)
    return x, low, high


def scale_sections(
    study: Analysis, members: StudyRecord | None, larger: StudyRecord | None, shown: str | None
) -> Iterator[Section]:
    """Yield what the pick, or else the best, is held against, where that was trained under the search's own settings.

    `members` are random ones of its space, `larger` is the next size of its base, `shown` an architecture with a gain.
    """
    settings = study.record.settings.to_dict()
    if members and shown and not unlike(settings, members.settings.to_dict()):
        yield from _random(study, members, shown)
    if larger and not unlike(settings, larger.settings.to_dict(), but={"base", "base_fingerprint"}):
        yield from _ruler(study, larger, shown)


def _random(study: Analysis, members: StudyRecord, pick: str) -> Iterator[Section]:
    """Yield what it gains over random members of its space; nothing where too little was trained."""
    trials, epochs = study.record.trials, float(members.trials["epochs"].max())
    own = trials[(trials["architecture"] == pick) & (trials["epochs"] == epochs) & ~trials["selected_on"].astype(bool)]
    drawn = members.trials[members.trials["architecture"] != BASELINE].dropna(subset="gain_map50_95")
    by_member = drawn.groupby("architecture")["gain_map50_95"].mean().sort_values(ascending=False)
    looks = int((study.summary["standing"] == Standing.JUDGED).sum())
    found = advantage(own["gain_map50_95"].dropna().tolist(), by_member.tolist(), looks)
    if found is None:
        return
    digits = study.digits
    gain = words.with_interval(found.mean, found.low, found.high, digits)
    beaten = int((by_member < own["gain_map50_95"].mean()).sum())
    columns = worded("Architecture"), Column(name="Gain", unit="mAP50-95")
    rows = tuple(
        tables.row("measured", cell(name, members.architectures[name].describe()), cell(text, sort=float(each)))
        for name, text, each in ((str(name), words.signed(each, digits), each) for name, each in by_member.items())
    )
    table = Table(key="random", caption="Random members, each the mean over its seeds", columns=columns, rows=rows)
    yield Section(
        title="Against random members of the space",
        key="random",
        note="What did the search itself find? A random member of a good space may gain as much (Yang et al. 2020).",
        sentences=(
            f"{pick} gains {gain} mAP50-95 more than the mean of "
            f"{words.count(len(by_member), 'random member')} of the space, after {words.epochs(epochs)} "
            f"(Welch, adjusted for {words.count(looks, 'comparison')}; seeds and members vary). They gain "
            f"{words.signed(found.members, digits)} on average, with a standard deviation of "
            f"{words.plain(found.spread, digits)} between them; {beaten} of {len(by_member)} gain less than {pick}.",
        ),
        tables=(table,),
    )


def _ruler(study: Analysis, larger: StudyRecord, shown: str | None) -> Iterator[Section]:
    """Yield what the next size of the base gains and costs; nothing where fewer than two seeds can be compared."""
    found = ruler_row(study.record, larger)
    if found is None:
        return
    record, digits = study.record, study.digits
    base, next_size = str(record.settings.base), str(larger.settings.base)
    rows: list[tuple[str, str, Any]] = [(next_size, "the next size of the family", found)]
    gained = f"{next_size} gains {phrases.gain_of(found, digits)} mAP50-95 over {base}{phrases.price_of(found)}."
    if shown:
        own: Any = study.inside.loc[shown]
        rows.insert(0, (shown, record.architectures[shown].describe(), own))
        gained += f" {shown} gains {phrases.chosen_gain_of(own, study.inside, digits)}{phrases.price_of(own)}."
    said, alike = [gained], "from random weights"
    if not record.settings.from_scratch:
        alike = "from a base of its own, trained as the base was"
        said.append(f"One base of each size was trained: what another {next_size} would change is not in its interval.")
    columns = (
        worded("Model"),
        Column(name="Gain", unit="mAP50-95, 95 % interval"),
        Column(name="Latency", unit="× baseline, 95 % interval"),
        *(Column(name=name, unit="change") for name in ("MACs", "Parameters")),
    )
    scaled = tuple(_scaled(name, about, each, digits) for name, about, each in rows)
    yield Section(
        title="Against the next size of the family",
        key="ruler",
        note="Is a block worth more than simply taking the larger model? "
        f"{next_size} was trained {alike}, for {words.epochs(found['epochs'])} under "
        f"{words.count(int(found['gain_seeds']), 'seed')}, on the same data.",
        sentences=tuple(said),
        tables=(Table(key="ruler", caption=f"Gain and cost over {base}", columns=columns, rows=scaled),),
    )


def _scaled(name: str, about: str, found: Any, digits: int) -> Row:
    ratio = words.times(found["latency_ratio"])
    ends = words.interval(found["latency_ratio_low"], found["latency_ratio_high"], 2)
    gain_ends = words.interval(found["gain_low"], found["gain_high"], digits, sign=True)
    return tables.row(
        "measured",
        cell(name, about, f"after {words.epochs(found['epochs'])}"),  # an extended pick is trained longer
        cell(words.signed(found["gain_map50_95"], digits), gain_ends, sort=float(found["gain_map50_95"])),
        cell(ratio, "" if ratio == words.DASH else ends, sort=float(found["latency_ratio"])),
        *(
            cell(words.percent(found[f"{cost}_ratio"]), sort=float(found[f"{cost}_ratio"]))
            for cost in ("macs", "params")
        ),
    )
