"""Every option of a search that a person can set, with its unit and default."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)

from harness.common.errors import UserError
from harness.record.cluster_settings import ClusterSettings, ExecutorKind, require_one_gpu, require_rays
from harness.record.constraints import Constraints
from harness.record.ladder import MOST_SEEDS, Budget, Ladder, Rung, parse_budget, parse_rungs
from harness.record.rates import FROM_BASE, with_default_rates

Parsed = TypeVar("Parsed")
LOADER_WORKERS = 8
"""Image-loading processes of a CUDA training, as Ultralytics has them: never more than cores a GPU, or batches."""
EMBEDDED_DATA = "digits"
"""Name of the data set that is searched on where none is given."""
EMBEDDED = (EMBEDDED_DATA, "local", "nearby", "beacon")
"""Names of the data sets that clo-nas makes itself; all but the first have a planted effect (`data.planted`)."""
MIN_GAIN = 0.005
"""Smallest difference in mAP50-95 that matters, unless somebody says another: docs/report.md has the reason."""


# Embedded scenes are small images for a first look, whose time goes into the steps that a training needs rather than
# into many trainings.
_DEFAULTS = {"imgsz": (128, 640), "batch": (8, 16), "trials": (4, 10), "finalists": (2, 3), "seeds": (4, 5)}


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


class SearchSettings(BaseModel):
    """What `clo search` was asked to do.

    The fields in `OF_A_STUDY` decide which numbers a training yields: a study holds one value of each
    for all its trials, and a second run with another value is refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    base: str = "yolov5n"
    data: str = EMBEDDED_DATA
    space: str = "default"
    device: str = "auto"
    allow_unusable: bool = Field(default=False, description="train although more than 2 % of the data are unusable")
    allow_val_in_train: bool = Field(default=False, description="train although validation images are training images")
    imgsz: int = Field(
        default_factory=default_of("imgsz"),
        ge=32,
        description="side of the square input, in pixels; 128 for the embedded data, 640 for others",
    )
    epochs: int = Field(
        default=3,
        ge=1,
        description="epochs of each candidate and of the baseline's control; where none are given, what a planted "
        "effect needs to show (`harness.jobs.plan.enough_epochs`)",
    )
    base_epochs: int = Field(default=20, ge=1, description="epochs of the pretrained baseline before the search")
    batch: int = Field(
        default_factory=default_of("batch"),
        ge=1,
        description="images a step; 8 for the embedded data, 16 for others",
    )
    learning_rate: float = Field(default=FROM_BASE.learning_rate, gt=0)
    block_rate_factor: float = Field(
        default=FROM_BASE.block_rate_factor, gt=0, description="learning-rate multiplier for inserted blocks"
    )
    from_scratch: bool = False
    objectives: tuple[Objective, ...] = (Objective.MAP50_95, Objective.LATENCY)
    sampler: Sampler = Field(default=Sampler.COST_AWARE, validate_default=True)
    constraints: Constraints = Constraints()
    include: tuple[str, ...] = Field(default=(), description="candidates to try first: architecture files or STUDY/ID")
    trials: int | None = Field(
        default_factory=default_of("trials"),
        ge=0,
        description="candidates in the study when the search is done; None is up to the budget",
    )
    more: int | None = Field(default=None, ge=1, description="candidates to add to what the study has")
    seed: int = Field(default=0, ge=0, lt=2**31, description="first seed; the others follow it")
    seeds: int = Field(
        default_factory=default_of("seeds"),
        ge=1,
        le=MOST_SEEDS,
        description="seeds of the baseline and of each finalist; 4 for the embedded data, 5 for others",
    )
    finalists: int | None = Field(
        default_factory=default_of("finalists"),
        ge=0,
        description="candidates that reach the second rung; None is one in three",
    )
    rungs: str | None = Field(default=None, description="epochs x seeds from the bottom; epochs and seeds by default")
    budget: str | None = Field(default=None, description="trainings, epochs or hours that the whole study may take")
    latency_seconds: float = Field(default=5.0, gt=0, description="most seconds to measure one candidate's latency")
    timeout_s: float | None = Field(default=None, gt=0, description="no training starts after this many seconds")
    workers: int | None = Field(default=None, ge=1, description="trainings at once; by cores and memory, or by GPUs")
    threads: int | None = Field(default=None, ge=1, description="CPU threads of a training; usable cores / workers")
    loader_workers: int = Field(default=LOADER_WORKERS, ge=0, description="image-loading processes of a CUDA training")
    worker_timeout_s: float = Field(
        default=60.0, ge=2, description="on a database server: seconds of silence after which a worker counts as dead"
    )
    executor: ExecutorKind = ExecutorKind.LOCAL
    cluster: ClusterSettings = ClusterSettings()
    min_gain: float = Field(default=MIN_GAIN, ge=0, le=1, description="smallest difference in mAP50-95 that matters")
    study: str = "default"
    storage: str | None = None
    results: Path = Path("results")

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
    def _cluster_is_rays(self) -> SearchSettings:
        """Require that what is Ray's to assign is asked of Ray, and only of Ray."""
        require_rays(self.executor, self.cluster, device=self.device, threads=self.threads)
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

    @field_validator("storage")
    @classmethod
    def _is_a_url(cls, storage: str | None) -> str | None:
        if storage is not None:
            require_storage_url(storage)
        return storage

    @field_serializer("storage")
    def _keep_no_password(self, storage: str | None) -> str | None:
        return storage and without_password(storage)

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
"""What must be equal for two trainings to be compared, each with what to say where it is not."""
OF_A_STUDY = (*COMPARABLE, "space", "objectives", "sampler", "seed")
"""Settings that all trials of a study share; of its `constraints` the sites are too."""


def unlike(one: Mapping[str, Any], other: Mapping[str, Any], *, but: Collection[str] = ()) -> list[str]:
    """Return why the trainings of two studies are not to be compared, a clause each; nothing where they may be.

    Args:
        one: Settings.
        other: Settings of the other.
        but: Names of `COMPARABLE` that may differ.
    """
    names = [name for name in COMPARABLE if name not in but]
    return list(dict.fromkeys(COMPARABLE[name] for name in names if one.get(name) != other.get(name)))


_OPTIONS = {
    "timeout_s": "timeout",
    "worker_timeout_s": "worker-timeout",
    "required_sites": "with",
    "forbidden_sites": "without",
    "resources": "resource",
}
"""Options that aren't called as their fields."""


def search_settings(**values: Any) -> SearchSettings:
    """Build settings from the command line; options left out (None) take their default.

    Raises:
        UserError: A value is out of its range.
    """
    try:
        return SearchSettings(**{name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        given = first["input"]
        field = [part for part in first["loc"] if isinstance(part, str)][-1]
        message = first["msg"].removeprefix("Value error, ")
        raise UserError(
            f"{_option(field)} {','.join(given) if isinstance(given, tuple) else given}: {message}"
        ) from error


def _option(field: str) -> str:
    return "--" + _OPTIONS.get(field, field).replace("_", "-")


def _parsed(option: str, text: object, parse: Callable[[str], Parsed]) -> Parsed:
    if not isinstance(text, str):
        raise UserError(f"--{option} {text!r}: is a text, such as '3x1, 3x3' of rungs or '2 h' of a budget")
    try:
        return parse(text)
    except ValueError as error:
        raise UserError(f"--{option} {text}: {error}") from error


def is_server(url: str) -> bool:
    """Return whether a storage is PostgreSQL's, where any number of searches may work on one study."""
    return url.startswith(("postgresql", "postgres:"))


def with_driver(url: str) -> str:
    """Return the URL of a PostgreSQL storage with the driver that clo-nas brings, where it names none."""
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)


def sqlite_url(file: Path) -> str:
    """Return the URL of a SQLite file; `?` and `%` of its path are no part of the URL's own grammar."""
    from sqlalchemy import URL

    return URL.create("sqlite", database=file.as_posix()).render_as_string(hide_password=False)


_SECRETS = r"pass(?:word|wd)?|pwd|sslpassword|secret|token|api_?key"


def without_password(text: str) -> str:
    """Return the text with the password of every URL in it masked: reports and error messages are passed on.

    A password ends at the last `@` of its word, so that one which holds an `@` is masked whole.
    """
    masked = re.sub(r"(://[^:/\s]*):\S*@", r"\1:***@", text)
    return re.sub(rf"([?&](?:{_SECRETS})=)[^&\s]*", r"\1***", masked, flags=re.IGNORECASE)


def require_storage_url(url: str) -> None:
    """Refuse what is no storage URL, before a library says so in its own words and repeats a password.

    Raises:
        UserError: It is a plain path, or its password has characters that end it early.
    """
    if not re.match(r"[a-z][a-z0-9+.]*://", url):
        right = without_password(sqlite_url(Path(url).absolute()))
        raise UserError(f"storage {without_password(url)}: not a URL; of a SQLite file write {right}")
    authority = url.partition("://")[2].partition("?")[0]
    if authority.count("@") > 1:
        raise UserError(f"storage {without_password(url)}: user or password holds an '@'; write %40 for it")
