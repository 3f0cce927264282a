"""Every option of a search that a person can set, with its unit and default."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationInfo, field_validator, model_validator

from harness.common.errors import UserError
from harness.record.constraints import Constraints
from harness.record.ladder import MOST_SEEDS, Budget, Ladder, Rung, parse_budget, parse_rungs
from harness.record.rates import FROM_BASE, with_default_rates
from harness.record.run_settings import StoredSettings, require_one_gpu, settings_of
from harness.record.storage_url import sqlite_url

Parsed = TypeVar("Parsed")
# Name of the data set that is searched on where none is given.
EMBEDDED_DATA = "digits"
# Names of the data sets that clo-nas makes itself; all but the first have a planted effect (`data.planted`).
EMBEDDED = (EMBEDDED_DATA, "local", "nearby", "beacon", "crowd")
# Smallest difference in mAP50-95 that matters, unless somebody says another: docs/report.md has the reason.
MIN_GAIN = 0.005


# Embedded scenes are small images for a first look, whose time goes into the steps that a training needs rather than
# into many trainings.
_DEFAULTS = {"imgsz": (128, 640), "batch": (8, 16), "trials": (4, 10), "finalists": (1, 3), "seeds": (4, 5)}


def data_name(data: str) -> str:
    """Return what a data set is called: an embedded one by its name, another by its file's, or its folder's.

    Many are described by a file `data.yaml`, which says nothing; that of a COCO layout lies in `annotations/`.
    """
    if data in EMBEDDED:
        return data
    path = Path(data)
    folders = [each for each in path.parent.parts if each not in {"annotations", "/", "."}]
    said = path.stem if path.stem not in {"data", "dataset"} or not folders else folders[-1]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", said).strip("-.") or "data"


def default_of(name: str) -> Callable[[Mapping[str, Any]], int]:
    """Return what gives a field its default, which is one for embedded data and another for a user's."""
    embedded, others = _DEFAULTS[name]
    return lambda given: embedded if given["data"] in EMBEDDED else others


class Objective(StrEnum):
    """What a search may optimise, and towards which side."""

    MAP50_95 = "map50_95"
    LATENCY = "latency"
    MACS = "macs"
    PARAMS = "params"

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """Optuna's name of the good direction."""
        return "maximize" if self is Objective.MAP50_95 else "minimize"


class Sampler(StrEnum):
    """What proposes candidates: our own sampler, or one of Optuna's."""

    COST_AWARE = "cost-aware"
    TPE = "tpe"
    NSGA2 = "nsga2"
    NSGA3 = "nsga3"
    GP = "gp"
    RANDOM = "random"


class SearchSettings(StoredSettings):
    """What `clo search` was asked to do: each field with a description is an option of that name, and no other is.

    The fields in `OF_A_STUDY` decide which numbers a training yields: a study holds one value of each
    for all its trials, and a second run with another value is refused.
    """

    data: str = Field(
        default=EMBEDDED_DATA,
        description="Dataset YAML or COCO data (instances_train*.json). [default: digits, embedded]",
    )
    trials: int | None = Field(
        default_factory=default_of("trials"),
        ge=0,
        description="Candidates in the study when done, without the baseline. [default: 10; 4 on the embedded data]",
    )
    more: int | None = Field(default=None, ge=1, description="Candidates to add to those that the study has.")
    allow_unusable: bool = Field(
        default=False, description="Train although more than 2 % of the images or label rows cannot be used."
    )
    allow_val_in_train: bool = Field(
        default=False, description="Train although validation images are training images, too."
    )
    base: str = Field(
        default="yolov5n",
        description="Detector: name (yolov8n, yolo11s, yolov7-tiny …), YAML or trained .pt. [default: yolov5n]",
    )
    space: str = Field(
        default="default",
        description="Space: a YAML, or one that ships by name (default, small, operators, inside, replaced).",
    )
    imgsz: int = Field(
        default_factory=default_of("imgsz"),
        ge=32,
        description="Side of the square input, in pixels. [default: 640; 128 for the embedded data]",
    )
    epochs: int = Field(  # where none are given: `harness.jobs.plan.enough_epochs`
        default=3,
        ge=1,
        description="Epochs of each candidate and of the baseline. [default: what 480 steps take, 3 at least]",
    )
    base_epochs: int = Field(
        default=20, ge=1, description="Epochs of the pretrained baseline, trained once and cached. [default: 20]"
    )
    batch: int = Field(
        default_factory=default_of("batch"),
        ge=1,
        description="Batch size. [default: 16; 8 for the embedded data]",
    )
    seed: int = Field(
        default=0, ge=0, lt=2**31, description="First seed, the selection seed of all candidates. [default: 0]"
    )
    seeds: int = Field(
        default_factory=default_of("seeds"),
        ge=1,
        le=MOST_SEEDS,
        description="Seeds of the baseline and of each finalist. [default: 5; 4 on the embedded data]",
    )
    finalists: int | None = Field(  # None is one in three
        default_factory=default_of("finalists"),
        ge=0,
        description="Best candidates that are trained with every seed; with --rungs, that reach the second. "
        "[default: 3; 1 on the embedded data]",
    )
    rungs: str | None = Field(
        default=None,
        description="Budget levels, epochs x seeds, such as '3x1, 3x3, 12x4'; one in three is promoted.",
    )
    budget: str | None = Field(
        default=None, description="Total budget: '40 trainings', '200 epochs' or '2 h'; sets --trials."
    )
    learning_rate: float = Field(
        default=FROM_BASE.learning_rate, gt=0, description="Peak learning rate (AdamW) of a candidate's training."
    )
    block_rate_factor: float = Field(
        default=FROM_BASE.block_rate_factor, gt=0, description="Learning-rate multiplier for inserted blocks."
    )
    constraints: Constraints = Constraints()
    min_gain: float = Field(
        default=MIN_GAIN,
        ge=0,
        le=1,
        description="Smallest difference in mAP50-95 (0 to 1) that matters: a smaller gain recommends nothing. "
        "[default: 0.005]",
    )
    include: tuple[str, ...] = Field(
        default=(),
        description="Try this candidate first: an architecture file, one of the article's models (yolov5n-clo-head), "
        "or STUDY/ID of an earlier study. Repeatable.",
    )
    latency_seconds: float = Field(
        default=5.0, gt=0, description="Maximum seconds to measure a candidate's latency. [default: 5.0]"
    )
    from_scratch: bool = Field(default=False, description="Start every training from random weights.")
    objectives: tuple[Objective, ...] = Field(
        default=(Objective.MAP50_95, Objective.LATENCY),
        description="Comma-separated: map50_95 and one or more of latency, macs, params.",
    )
    sampler: Sampler = Field(
        default=Sampler.COST_AWARE,
        validate_default=True,
        description="cost-aware, tpe, nsga2, nsga3, gp or random.",
    )
    worker_timeout_s: float = Field(
        default=60.0,
        ge=2,
        description="With PostgreSQL: after this silence a worker is dead and its training run again. [default: 60s]",
    )
    study: str = Field(
        default="default", description="Name of the study and of its folder; the same name continues it."
    )

    @model_validator(mode="before")
    @classmethod
    def _what_rungs_and_budget_decide(cls, values: Any) -> Any:
        """Let a ladder name epochs and seeds itself and promote one in three; let a budget find the candidates."""
        values = with_default_rates(values)
        if not isinstance(values, dict):
            return values
        decided: dict[str, Any] = {}
        if (text := values.get("rungs")) is not None:
            rungs = _parsed("rungs", text, parse_rungs).rungs
            decided = {"epochs": rungs[0].epochs, "seeds": rungs[-1].seeds, "finalists": None}
            for name in ("epochs", "seeds"):
                if values.get(name, decided[name]) != decided[name]:
                    raise UserError(f"--{name} {values[name]}: --rungs {text} says {decided[name]}; leave --{name} out")
        if (text := values.get("budget")) is not None:
            _parsed("budget", text, parse_budget)
            decided["trials"] = None
        return {**decided, **values}

    @model_validator(mode="after")
    def _one_gpu_a_training(self) -> SearchSettings:
        require_one_gpu(self.cluster)
        return self

    @field_validator("objectives")
    @classmethod
    def _accuracy_and_a_cost(cls, objectives: tuple[Objective, ...]) -> tuple[Objective, ...]:
        if len(set(objectives)) != len(objectives) or Objective.MAP50_95 not in objectives or len(objectives) < 2:
            raise ValueError("objectives are map50_95 and one or more of latency, macs, params, each once")
        return objectives

    @field_validator("sampler")
    @classmethod
    def _takes_the_objectives(cls, sampler: Sampler, info: ValidationInfo) -> Sampler:
        objectives = info.data.get("objectives", ())
        if sampler is Sampler.COST_AWARE and len(objectives) > 2:
            raise ValueError(
                f"it takes map50_95 and one of latency, macs, params; with {', '.join(objectives)} choose another "
                "sampler such as tpe"
            )
        return sampler

    @field_validator("study")
    @classmethod
    def _names_a_folder(cls, study: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,99}", study):
            raise ValueError(
                "a study's name is also its folder's: up to 100 letters, digits, '.', '_', '@' or '-', "
                "beginning with a letter or digit"
            )
        return study

    @field_validator("imgsz")
    @classmethod
    def _whole_grid(cls, imgsz: int) -> int:
        if imgsz % 32:
            raise ValueError(f"an image size is a multiple of the detector's stride, 32; {imgsz} is not")
        return imgsz

    @property
    def learnt_objective(self) -> int:
        """Number of the objective that only training tells."""
        return self.objectives.index(Objective.MAP50_95)

    @property
    def cost_objective(self) -> Objective:
        """The first objective that is known, or nearly, before training."""
        return next(objective for objective in self.objectives if objective is not Objective.MAP50_95)

    @property
    def folder(self) -> Path:
        """The study's folder."""
        return self.results / self.study

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds, the one that screens candidates first."""
        return tuple(range(self.seed, self.seed + self.seeds))

    @property
    def ladder(self) -> Ladder:
        """The rungs; by default one seed for all, then every seed for the finalists."""
        if self.rungs is not None:
            return parse_rungs(self.rungs)
        return Ladder(rungs=(Rung(self.epochs, 1), Rung(self.epochs, self.seeds)))

    @property
    def total_budget(self) -> Budget | None:
        """Most that the study may take."""
        return None if self.budget is None else parse_budget(self.budget)

    @property
    def storage_url(self) -> str:
        """Optuna's storage; a SQLite file in the study's folder by default."""
        return self.storage or sqlite_url(self.folder / "study.db")


# What must be equal for two trainings to be compared, each with what to say where it is not.
COMPARABLE = {
    "base": "their bases differ",
    "base_fingerprint": "their bases' weights differ",
    "data": "their data differ",
    "data_fingerprint": "their data differ",
    "imgsz": "their image sizes differ",
    "epochs": "their trainings differ in epochs",
    "base_epochs": "their bases were trained for different numbers of epochs",
    "batch": "their batch sizes differ",
    "learning_rate": "their learning rates differ",
    "block_rate_factor": "the learning rates of their blocks differ",
    "from_scratch": "one starts from random weights",
}
# Settings that all trials of a study share; of its `constraints` the sites are too.
OF_A_STUDY = (*COMPARABLE, "space", "objectives", "sampler", "seed")


def unlike(one: Mapping[str, Any], other: Mapping[str, Any], *, but: Collection[str] = ()) -> list[str]:
    """Return why the trainings of two studies are not to be compared, a clause each; nothing where they may be.

    Args:
        one: Settings.
        other: Settings of the other.
        but: Names of `COMPARABLE` that may differ.
    """
    names = [name for name in COMPARABLE if name not in but]
    return list(dict.fromkeys(COMPARABLE[name] for name in names if one.get(name) != other.get(name)))


def search_settings(**values: Any) -> SearchSettings:
    """Build settings from the command line; options left out (None) take their default.

    Raises:
        UserError: A value is out of its range.
    """
    return settings_of(SearchSettings, **values)


def _parsed(option: str, text: object, parse: Callable[[str], Parsed]) -> Parsed:
    if not isinstance(text, str):
        raise UserError(f"--{option} {text!r}: is a text, such as '3x1, 3x3' of rungs or '2 h' of a budget")
    try:
        return parse(text)
    except ValueError as error:
        raise UserError(f"--{option} {text}: {error}") from error
