"""An ablation of a search's own architecture, inside its report: placebos in the figures, the forest below.

A gain that the base widened to the same size gives too is one of size, not of the block. The ablation has its own
baseline, trained as long under the same seeds as its arms: its differences stand beside the search's, unmixed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from harness.analysis.contrasts import Verdict, gains
from harness.architecture.choices import Recipe
from harness.record.arms import Role
from harness.record.form import TrainedArm
from harness.record.settings import unlike
from harness.record.state import State
from harness.record.study import StudyRecord
from harness.report import words
from harness.report.ablation import ablation_content
from harness.report.figures import LATENCY, MACS, Axis, Mark, Point
from harness.report.page import Section
from harness.report.tables import Row, Table


def why_not(search: StudyRecord, ablation: StudyRecord) -> str:
    """Why a study is no ablation of an architecture of this search; empty where it is one."""
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
    """The placebos of the search's architectures whose gain and cost were measured.

    Args:
        search: Whose figure it is.
        ablation: One of which `why_not` says nothing.
        axis: The figure's cost. A latency counts from the same kind of device alone.
        digits: Decimals of an mAP.
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
        ends = words.interval(row["low"], row["high"], digits, sign=True)
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
                    f"gain {words.signed(row['mean'], digits)} {ends} mAP50-95, "
                    f"{words.count(int(row['readings']), 'seed')}",
                    f"{words.amount(arm.macs)} MACs, {words.amount(arm.params)} parameters",
                    f"ablation {ablation.name}, over its own baseline",
                ),
            )
        )
    return tuple(points)


def forest_section(search: StudyRecord, ablation: StudyRecord) -> Section:
    """The ablation's answer and its forests; the models' rows are linked with the search's architectures."""
    said, models = ablation_content(ablation), _models(search, ablation)
    forests = [section.tables[0] for section in said.page.sections if section.key in {"gains", "worths"}]
    arms = {arm.name: arm for arm in ablation.arms}
    about = [[arms[name] for name in rows["name"]] for rows in (said.gains, said.worths)]
    others = sum(arm.role == Role.MODEL and arm.name not in models for arm in arms.values())
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
            *_not_shown(search, ablation, others),
            *said.page.remarks,
        ),
        tables=tuple(
            _linked(replace(table, key=f"{ablation.name}-{table.key}"), shown, models)
            for table, shown in zip(forests, about, strict=True)
        ),
    )


def _not_shown(search: StudyRecord, ablation: StudyRecord, others: int) -> Iterator[str]:
    """What the ablation holds, or lacks, that is not in the search's report."""
    if others:
        models = words.count(others, "other model")
        yield f"Rows of {models} are in the ablation's own report; intervals and verdicts are corrected for them, too."
    if placebo_points(search, ablation, MACS, 3) and not placebo_points(search, ablation, LATENCY, 3):
        yield "No latency of the placebos was measured on this kind of device: they are in the figure of MACs alone."


def _linked(table: Table, arms: Sequence[TrainedArm], models: dict[str, str]) -> Table:
    """The rows of the search's architectures, with the identity in the row that is about a whole one."""
    rows: list[Row] = []
    for row, arm in zip(table.rows, arms, strict=True):
        if arm.model not in models:
            continue
        first, identity = row.cells[0], arm.identity
        cells = (replace(first, details=(*first.details, f"architecture {identity}")), *row.cells[1:])
        is_whole = arm.role == Role.MODEL
        rows.append(replace(row, cells=cells, architecture=identity) if is_whole else row)
    return replace(table, rows=tuple(rows))


def _models(search: StudyRecord, ablation: StudyRecord) -> dict[str, str]:
    """Name of each model of the ablation that the search has to its identity."""
    return {
        arm.name: arm.identity
        for arm in ablation.arms
        if arm.role == Role.MODEL and arm.identity in search.architectures
    }


def _cost(search: StudyRecord, ablation: StudyRecord, arm: TrainedArm, axis: Axis) -> tuple[float, float, float]:
    """An arm's place on a figure's axis with its interval, NaN where there is none."""
    nothing = (math.nan, math.nan, math.nan)
    if axis == MACS:
        return (float(arm.macs) * 1e-6, math.nan, math.nan)
    if axis != LATENCY or search.settings.device_kind != ablation.settings.device_kind:
        return nothing
    rows = ablation.trials[ablation.trials["architecture"] == arm.identity]
    columns = ("latency_ratio", "latency_ratio_low", "latency_ratio_high")
    x, low, high = (float(rows[column].median()) if column in rows else math.nan for column in columns)
    return (x, low, high)
