"""The table of a fidelity study, `trainings.csv`: one row a training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from pydantic import ValidationError

from harness.ablation.fidelity_plan import FidelityPlan
from harness.architecture import BASELINE
from harness.common.atomic import write_whole
from harness.common.errors import UserError
from harness.record.state import State

TRAININGS = "trainings.csv"
# Columns of the file of that name.
COLUMNS = ("schedule", "seed", "architecture", "space", "blocks", "state", "reason", "map50_95", "cpu_seconds")


class RowKey(NamedTuple):
    """What tells trainings apart."""

    schedule: str
    seed: int
    architecture: str


class Rows:
    """The finished trainings of a folder: the file is replaced whole by each new row; failures are tried again.

    Args:
        path: The file.
        wanted: The plan's trainings; others stay in the file and count for nothing.

    Attributes:
        done: What is complete.
    """

    def __init__(self, path: Path, wanted: set[RowKey]) -> None:
        self._wanted = wanted
        self._path = path
        old = read_trainings(path) if path.is_file() else pd.DataFrame(columns=list(COLUMNS))
        self._rows: list[Any] = [*old[old.state == State.COMPLETE].to_dict("records")]
        self.done = {_key(row) for row in self._rows}

    def add(self, row: Mapping[str, Any]) -> None:
        """Write a row down."""
        self._rows.append(row)
        write_whole(self._path, pd.DataFrame(self._rows, columns=list(COLUMNS)).to_csv(index=False).encode())

    def frame(self) -> pd.DataFrame:
        """Return those that are wanted."""
        return pd.DataFrame([row for row in self._rows if _key(row) in self._wanted], columns=list(COLUMNS))


def _key(row: Mapping[Any, Any]) -> RowKey:
    return RowKey(row["schedule"], row["seed"], row["architecture"])


def read_trainings(path: Path) -> pd.DataFrame:
    """Read a table of trainings.

    Raises:
        UserError: It is another table, or none.
    """
    try:
        found = pd.read_csv(path, keep_default_na=False, na_values={"map50_95": "", "cpu_seconds": ""})
    except ValueError as error:  # pandas' own, and what is no text
        raise UserError(f"{path}: not a table of trainings ({' '.join(str(error).split())})") from error
    if tuple(found.columns) != COLUMNS:
        raise UserError(f"{path}: its columns are not {', '.join(COLUMNS)}; move the file away or name another folder")
    return found


def planned_rows(path: Path, plan: object) -> pd.DataFrame:
    """Return the finished trainings of a study's schedules, seeds and spaces, without drawing its cohort again.

    Args:
        path: Of `trainings.csv`.
        plan: The setting's `plan`.

    Raises:
        UserError: One of the two is not as clo-nas writes it.
    """
    try:
        planned = FidelityPlan.model_validate(plan)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{path.parent / 'setting.json'}: plan.{where}: {first['msg']}") from error
    rows = read_trainings(path)
    schedules = {(rung.name, seed) for rung in planned.rungs for seed in rung.seeds}
    is_planned = [pair in schedules for pair in zip(rows["schedule"], rows["seed"], strict=True)]
    of_cohort = rows["space"].isin(planned.cohort) | rows["architecture"].eq(BASELINE)
    return rows[pd.Series(is_planned, index=rows.index) & of_cohort & rows["state"].eq(State.COMPLETE)]
