"""What a study's storage may hold: anybody can have written it, and reports, file names and trainings are made of it.

Only what is read as more than text is checked; a study from before a field was kept lacks it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from harness.architecture.choices import Option, Recipe
from harness.common.errors import UserError
from harness.record.constraints import Constraints
from harness.record.kept import Count, Form, Kept
from harness.record.settings import MIN_GAIN, Objective
from harness.record.surroundings import Environment, SpaceSummary

# What may be the name of a file, or part of one: no folder, nothing hidden.
SAFE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._@-]{0,199}")
_Scalar = str | float | int | bool | None


class StudySettings(Kept):
    """The options that all trainings of a study share, and those of its last run, as its storage has them.

    What a study from before an option was kept lacks is None, or the option's default.
    """

    base: str | None = None
    base_fingerprint: str | None = None
    base_epochs: Count | None = None
    data: str | None = None
    data_fingerprint: str | None = None
    space: str | None = None
    device: str | None = None
    device_kind: str | None = None
    imgsz: Count | None = None
    epochs: Count | None = None
    batch: Count | None = None
    learning_rate: float | None = None
    block_rate_factor: float | None = None
    from_scratch: bool = False
    allow_unusable: bool = False
    allow_val_in_train: bool = False
    trials: Count | None = None
    seed: Count = 0
    seeds: Count | tuple[Count, ...] = 0
    finalists: Count | None = None
    objectives: tuple[Objective, ...] = ()
    rungs: str | None = None
    budget: str | None = None
    constraints: Constraints = Constraints()
    min_gain: Annotated[float, Field(ge=0, le=1)] = MIN_GAIN
    block_files: dict[str, str] | None = None
    include: tuple[str, ...] = ()
    storage: str | None = None
    results: str | None = None


class AblationPlan(Form):
    """What a report asks of an ablation's file."""

    drawn_from: str = ""
    ruler_of: str = ""
    bases: tuple[Count, ...] = ()
    from_scratch: bool = False
    recipe: Recipe = Recipe.SHORT
    epochs: Count | None = None
    imgsz: Count | None = None


class TrainedArm(Form):
    """A variant that an ablation trains.

    Attributes:
        identity: Of its architecture, or of the widened base.
        name: As people call it; of a variant `MODEL: what differs`.
        role: One of `harness.record.arms.Role`.
        model: Name of the model that it is made of.
        starts_as_base: Whether it computes the base's function before its first step.
        params: Parameters, trained form.
        macs: MACs of one image.
    """

    identity: str
    name: str
    role: str = ""
    model: str = ""
    starts_as_base: bool = True
    params: float = math.nan
    macs: float = math.nan


class AblationRecord(Kept):
    """What makes a study an ablation: its file, its arms with the baseline first, and what could not be built."""

    file: AblationPlan = AblationPlan()
    arms: tuple[TrainedArm, ...] = ()
    left_out: tuple[str, ...] = ()


class _Study(BaseModel):
    settings: StudySettings = StudySettings()
    space: SpaceSummary = SpaceSummary()
    environment: Environment = Environment()
    ablation: AblationRecord | None = None
    expected_gains: tuple[float, ...] = ()


class _Trial(BaseModel):
    row: dict[str, _Scalar | dict[str, float | None] | list[Any]] = {}
    model_yaml: str = ""


class _Choices(BaseModel):
    parameters: tuple[str, ...]
    levels: dict[str, tuple[Option, ...]]
    minimized: dict[Objective, bool]
    chosen: dict[str, dict[str, Option | None]]
    outcomes: dict[str, dict[Objective, float | None]]

    @model_validator(mode="after")
    def _of_the_same(self) -> Self:
        if list(self.chosen) != list(self.outcomes) or not set(self.parameters) <= set(self.levels):
            raise ValueError("architectures or parameters of one part are missing in another")
        return self


def check_choices(choices: Mapping[str, Any]) -> None:
    """Refuse a search's choices, as `study.json` has them, that are of another form than clo-nas writes.

    Raises:
        ValueError: They are; the message says where.
    """
    _check(_Choices, choices, "choices.")


def check_study(attributes: Mapping[str, Any]) -> None:
    """Refuse attributes of a study that are of another form than clo-nas writes.

    Args:
        attributes: `settings`, `space`, `environment`, `ablation` and `expected_gains`, where it has them.

    Raises:
        ValueError: One is; the message says which.
    """
    _check(_Study, {name: value for name, value in attributes.items() if value not in ({}, None)}, "")


def check_trial(number: int, columns: Iterable[str], attributes: Mapping[str, Any]) -> None:
    """Refuse a trial's `row` or `model_yaml` of another form; all `columns` of a row are single values.

    Raises:
        ValueError: One is of another form.
    """
    _check(_Trial, attributes, f"trial {number}, ")
    row = attributes.get("row") or {}
    if row and not isinstance(row.get("architecture"), str):
        raise ValueError(f"trial {number}, row.architecture: not a text")
    for name in columns:
        if isinstance(row.get(name), dict | list):
            raise ValueError(f"trial {number}, row.{name}: not a single value")


def check_names(study: str, identities: Iterable[str], sites: Iterable[str]) -> None:
    """Refuse names that would lead out of the study's folder: files are called by them.

    Raises:
        ValueError: One would.
    """
    kinds = ("study", [study]), ("architecture", identities), ("site", sites)
    for what, names in kinds:
        for name in names:
            if not SAFE_NAME.fullmatch(str(name)):
                raise ValueError(f"its {what} {str(name)!r} cannot name a file")


def check_block_files(study: str, files: Iterable[str | Path], folder: Path) -> None:
    """Refuse files of blocks that lie in a study's folder: they are code, and a study that somebody sends brings none.

    Raises:
        UserError: One does.
    """
    for file in files:
        if Path(file).resolve().is_relative_to(folder.resolve()):
            raise UserError(
                f"study {study}: its block file {file} lies in the study's own folder, and is not run, because whoever "
                "made the study can have put it there; move it elsewhere if you trust it"
            )


def _check(form: type[BaseModel], values: Mapping[str, Any], place: str) -> None:
    try:
        form.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{place}{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
