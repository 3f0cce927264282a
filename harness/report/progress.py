"""How far a search has come, by the hypervolume that its front covers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.analysis.hypervolume import BEYOND_NADIR, reference_point
from harness.analysis.progress import progress
from harness.architecture import BASELINE
from harness.record.settings import Objective
from harness.record.state import State
from harness.record.study import StudyRecord
from harness.report import words
from harness.report.tables import Cell, Column, Row, Table

QUARTERS = (0.25, 0.5, 0.75, 1.0)
_COLUMNS = {Objective.LATENCY: "latency_ratio"}
_AXES = {"map50_95": "mAP50-95", "latency_ratio": "× latency", "macs": "MACs", "params": "parameters"}


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far the search has come.

    Attributes:
        said: What is measured, and from which reference point.
        table: After each quarter of the trainings; None where there is nothing to measure yet.
    """

    said: str
    table: Table | None


@dataclass(frozen=True, kw_only=True)
class Growth:
    """How the hypervolume grew.

    Attributes:
        steps: As `harness.analysis.progress` gives them; without rows where no time is known.
        minimize: Costs among the objectives.
        reference: The point that it is measured from.
    """

    steps: pd.DataFrame
    minimize: tuple[str, ...]
    reference: dict[str, float]

    @property
    def unit(self) -> str:
        """The product of the objectives' units."""
        return " × ".join(["mAP50-95", *(_AXES[name].strip("× ") for name in self.minimize)])


def growth(record: StudyRecord) -> Growth | None:
    """The hypervolume after each of the first trainings, those of the control's seed and epochs; None before one.

    Accuracies after other numbers of epochs are of another kind, and other seeds judge what was found.
    """
    trials = _first_trainings(record.trials)
    minimize = [_COLUMNS.get(Objective(each), each) for each in _objectives(record) if each != Objective.MAP50_95]
    columns = ["map50_95", *minimize]
    found = trials[trials["selected_on"] & (trials["state"] == State.COMPLETE)].reindex(columns=columns)
    if found.dropna().empty:
        return None
    reference = reference_point(found, ["map50_95"], minimize)
    steps = progress(trials.reindex(columns=[*trials, *set(minimize) - set(trials)]), ["map50_95"], minimize, reference)
    return Growth(steps=steps, minimize=tuple(minimize), reference=reference)


def how_far(record: StudyRecord) -> Progress:
    """The hypervolume after each quarter of the first trainings."""
    grown = growth(record)
    if grown is None:
        return Progress(said="Nothing has been measured yet of which progress could be told.", table=None)
    return Progress(said=_sentence(grown.reference), table=_table(grown) if len(grown.steps) else None)


def _objectives(record: StudyRecord) -> list[str]:
    return list(record.settings.objectives or (Objective.MAP50_95, Objective.LATENCY))


def _first_trainings(trials: pd.DataFrame) -> pd.DataFrame:
    """All trainings, with only those of the control's seed and epochs marked as what the search looks at."""
    controls = trials[(trials["architecture"] == BASELINE) & (trials["state"] == State.COMPLETE)]
    if controls.empty:
        return trials.assign(selected_on=False)
    control = controls.iloc[0]
    return trials.assign(selected_on=(trials["seed"] == control["seed"]) & (trials["epochs"] == control["epochs"]))


def _sentence(reference: dict[str, float]) -> str:
    """What a hypervolume is and where it is measured from."""
    corner = ", ".join(f"{_shown(name, value)} {_AXES[name]}" for name, value in reference.items())
    return (
        "The hypervolume is what the architectures found so far cover of the objectives' space, in the product "
        "of their units; it never falls. Only the first training of each architecture counts, as its one seed read: "
        f"some of the growth is luck. It is measured from {corner}: of the front now, the worst of each objective, "
        f"made worse by {words.part(BEYOND_NADIR)} of the front's range. Hours are those in which something was "
        "trained, pauses between runs left out."
    )


def _shown(name: str, value: float) -> str:
    return words.amount(value) if name in {"macs", "params"} else words.plain(value, 3)


def _table(grown: Growth) -> Table:
    """The rows after each quarter of the trainings, each once."""
    steps = grown.steps
    last = float(steps["hypervolume"].iloc[-1])
    quarters = {math.ceil(part * len(steps)): part for part in QUARTERS}
    rows: list[tuple[float, Any]] = [(part, steps.iloc[count - 1]) for count, part in quarters.items()]
    return Table(
        key="progress",
        caption="Hypervolume by trainings",
        columns=(
            Column(name="Of the trainings", unit="first ones, the baseline's included"),
            Column(name="Trainings"),
            Column(name="Hours", unit="of work"),
            Column(name="Hypervolume", unit=grown.unit),
            Column(name="Share", unit="of the hypervolume now"),
        ),
        rows=tuple(
            Row(
                kind="step",
                cells=(
                    Cell(text=words.part(part), sort=part),
                    Cell(text=f"{row['trainings']:.0f}", sort=float(row["trainings"])),
                    Cell(text=words.plain(row["hours"], 2), sort=float(row["hours"])),
                    Cell(text=f"{row['hypervolume']:.3g}", sort=float(row["hypervolume"])),
                    Cell(text=words.part(row["hypervolume"] / last, 1) if last > 0 else words.DASH),
                ),
            )
            for part, row in rows
        ),
    )
