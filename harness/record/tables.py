"""A study's folder as its record: the tables that a report leaves are enough to write the report again.

Who has the folder and not the storage, as of a committed study, reads a corrected sentence without training anything.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.architecture import Architecture
from harness.common.errors import UserError
from harness.record import form
from harness.record.data_dictionary import TRIALS_SCHEMA_VERSION
from harness.record.form import AblationRecord, StudySettings, check_choices, check_names, check_study, check_trial
from harness.record.study import COLUMNS, Choices, StudyRecord, trials_of
from harness.record.surroundings import Environment, SpaceSummary

T = TypeVar("T")
# The files that a record is read from, beside `architectures/<id>.yaml`.
TRIALS, SURROUNDINGS, DESIGN, PER_CLASS = "trials.parquet", "environment.json", "study.json", "per_class.csv"
# Key of the Parquet schema's metadata.
VERSION_KEY = "schema_version"
# What environment.json has beside the environment.
_STATED = ("study", "settings", "space", "proposals")


def surroundings(record: StudyRecord) -> dict[str, Any]:
    """Return what environment.json holds: the environment at the top level, the study's options under their names."""
    stated = (record.name, record.settings.to_dict(), record.space.to_dict(), record.proposals)
    return record.environment.to_dict() | dict(zip(_STATED, stated, strict=True))


def design(record: StudyRecord) -> dict[str, Any]:
    """Return what study.json holds: all that a report is made of and no table has."""
    choices = record.choices
    return {
        "architectures": {name: each.to_dict() for name, each in record.architectures.items()},
        "choices": {
            "parameters": list(choices.chosen),
            "levels": {name: list(levels) for name, levels in choices.levels.items()},
            "minimized": dict(choices.minimized),
            "chosen": _by_row(choices.chosen),
            "outcomes": _by_row(choices.outcomes),
        },
        "expected_gains": list(record.expected_gains),
        "ablation": record.ablation.to_dict() if record.ablation else {},
    }


def of_one(architecture: str, read: Callable[[], T | None]) -> T | None:
    """Return what a file says that an architecture names; None of a name that is unsafe, or a file of another kind."""
    if not form.SAFE_NAME.fullmatch(architecture):
        return None
    try:
        return read()
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        return None


def is_study(folder: Path) -> bool:
    """Return whether a folder holds what a study's report leaves."""
    return all((folder / name).is_file() for name in (TRIALS, SURROUNDINGS))


def read_study(folder: Path) -> StudyRecord:
    """Read the record of a study from the tables in its folder.

    Gains are taken anew from the mAPs, as where a record is read from storage.

    Raises:
        UserError: A file is missing or damaged, of a later version, or not as clo-nas writes it.

    Example: what was measured of the reference search.
        >>> record = read_study(Path("results/reference/control/beacon"))
        >>> record.settings.data, int(record.trials["seed"].nunique())
        ('beacon', 8)
    """
    if missing := [name for name in (TRIALS, SURROUNDINGS, DESIGN) if not (folder / name).is_file()]:
        raise UserError(
            f"{folder}: a study's report is rendered from {TRIALS}, {SURROUNDINGS} and {DESIGN}, and there is no "
            f"{missing[0]}"
        )
    try:
        return _read(folder)
    except UserError as error:  # of an architecture
        raise UserError(f"{folder / DESIGN}: {error}") from error
    except OSError as error:
        raise UserError(f"{error.filename or folder}: cannot be read ({error.strerror or error})") from error
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, pa.ArrowException) as error:
        raise UserError(
            f"{folder}: what it holds is not as clo-nas writes it "
            f"({type(error).__name__}: {' '.join(str(error).split())})"
        ) from error


def _read(folder: Path) -> StudyRecord:
    environment, kept = (_mapping(folder / name) for name in (SURROUNDINGS, DESIGN))
    name, settings, space, proposals = (environment.pop(each) for each in _STATED)
    rows = _rows(folder / TRIALS)
    identities = list(dict.fromkeys(str(row["architecture"]) for row in reversed(rows)))
    placed = {name: Architecture.from_dict(each) for name, each in kept["architectures"].items()}
    sites = [placement.site for each in placed.values() for placement in each.placements]
    check_names(name, [*identities, *placed], sites)
    yamls = {each: folder / "architectures" / f"{each}.yaml" for each in identities}
    models = {each: path.read_text(encoding="utf-8") for each, path in yamls.items() if path.is_file()}
    shown = {"settings": settings, "space": space, "environment": environment}
    check_study({**shown, **{each: kept[each] for each in ("ablation", "expected_gains")}})
    for row in rows:
        check_trial(row["trial"], COLUMNS, {"row": row, "model_yaml": models.get(row["architecture"], "")})
    return StudyRecord(
        name=name,
        trials=trials_of(rows),
        architectures=placed,
        settings=StudySettings.of(settings),
        environment=Environment.of(environment),
        space=SpaceSummary.of(space),
        proposals={role: int(count) for role, count in proposals.items()},
        model_yamls=models,
        expected_gains=tuple(kept["expected_gains"]),
        per_class=_per_class(folder / PER_CLASS),
        choices=_choices(kept["choices"]),
        ablation=AblationRecord.of(kept["ablation"]) if kept["ablation"] else None,
    )


def _mapping(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise TypeError(f"{path.name} is no mapping")
    return found


def _rows(path: Path) -> list[dict[str, Any]]:
    """Read every training as a study's storage has it, by number: times as text, what was not measured left out."""
    table = pq.read_table(path)
    version = int((table.schema.metadata or {})[VERSION_KEY.encode()])
    if version > TRIALS_SCHEMA_VERSION:
        raise ValueError(
            f"{path.name} has version {version} of the columns, and this clo-nas reads {TRIALS_SCHEMA_VERSION}; "
            "update it"
        )
    rows = [{name: _plain(value) for name, value in row.items() if value is not None} for row in table.to_pylist()]
    return sorted(rows, key=lambda row: row["trial"])


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _per_class(path: Path) -> pd.DataFrame:
    if not path.is_file():
        return pd.DataFrame()
    table = pd.read_csv(path, dtype=str).set_index("trial")  # as text: pandas' own reading of numbers is not exact
    table.index = table.index.astype("int64")
    return table.astype("float64").rename_axis(index="trial", columns="class")


def _choices(kept: Mapping[str, Any]) -> Choices:
    check_choices(kept)
    rows, names = kept["chosen"], kept["parameters"]
    chosen = [{name: math.nan if row.get(name) is None else row[name] for name in names} for row in rows.values()]
    outcomes = list(kept["outcomes"].values())
    return Choices(
        chosen=pd.DataFrame(chosen, index=list(rows), columns=names, dtype=object),
        outcomes=pd.DataFrame(outcomes, index=list(kept["outcomes"]), columns=list(kept["minimized"]), dtype=float),
        minimized=kept["minimized"],
        levels={name: tuple(levels) for name, levels in kept["levels"].items()},
    )


def _by_row(table: pd.DataFrame) -> dict[str, dict[str, object]]:
    """Map row to column to value, without those that are missing."""
    rows = zip(map(str, table.index), table.to_dict("records"), strict=True)
    return {name: {str(column): value for column, value in row.items() if not pd.isna(value)} for name, row in rows}
