"""Where trainings run and how long: settings of every command that trains, each an option of the same name.

A model of such settings derives from `RunSettings`, or from `StoredSettings` where it also says how images are loaded
and where the study is stored. What is out of range is told as of the option that it was typed as.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer, field_validator, model_validator

from harness.common.errors import UserError
from harness.record.storage_url import require_storage_url, without_password

Settings = TypeVar("Settings", bound=BaseModel)
# Image-loading processes of a CUDA training, as Ultralytics has them: never more than cores a GPU, or batches.
LOADER_WORKERS = 8
# Options that aren't called as their fields.
_OPTIONS = {
    "timeout_s": "timeout",
    "worker_timeout_s": "worker-timeout",
    "required_sites": "with",
    "forbidden_sites": "without",
    "resources": "resource",
    "claims": "claim",
}
_Amount = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ExecutorKind(StrEnum):
    """Where trainings run."""

    # In processes of this machine.
    LOCAL = "local"
    # As tasks of a Ray cluster.
    RAY = "ray"


class ClusterSettings(BaseModel):
    """A Ray cluster, and what a training takes of it while it runs.

    Attributes:
        address: `auto`, or host and port of the head; not of Ray Client, whose paths would be another machine's.
        gpus_per_trial: A fraction shares a GPU; several are whole ones of one node, for the published recipe alone.
        cpus_per_trial: Cores, which are its threads too.
        resources: Ray's custom resources, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    address: str = Field(default="auto", description="Ray: the head's host:port, or auto on a machine of the cluster.")
    gpus_per_trial: float = Field(
        default=0.0,
        ge=0,
        description="Ray: GPUs of a training; 0.5 lets two share one, 0 is the CPU. Several are one node's and share "
        "a batch.",
    )
    cpus_per_trial: int = Field(
        default=1, ge=1, description="Ray: cores of a training, and its threads; 1 unless said."
    )
    resources: dict[str, _Amount] = Field(
        default={}, description="Ray: a custom resource of a training, as NAME=AMOUNT. Repeatable."
    )

    @field_validator("address")
    @classmethod
    def _is_a_heads(cls, address: str) -> str:
        if address != "auto" and not re.fullmatch(r"[^/\s]+:\d{1,5}", address):
            raise ValueError(
                "the address of a Ray cluster is auto, on one of its machines, or the head's host and port such as "
                "10.0.0.1:6379"
            )
        return address

    @field_validator("gpus_per_trial")
    @classmethod
    def _is_a_part_or_whole(cls, gpus: float) -> float:
        if gpus > 1 and gpus != int(gpus):
            raise ValueError("a training shares one GPU, as with 0.5, or has whole ones, as with 2")
        return gpus

    @property
    def gpus_of_a_training(self) -> int:
        """Devices that train one detector together; 1 where it is a part of a GPU, or the CPU."""
        return max(1, int(self.gpus_per_trial))


class RunSettings(BaseModel):
    """Where trainings run, how many at once and how long; None of `workers` and `threads` decides by the machine."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    device: str = Field(default="auto", description="auto (CUDA if there), cpu, or numbers of CUDA devices (0,1).")
    workers: int | None = Field(
        default=None,
        ge=1,
        description="Trainings at once. [default: one a core while memory lasts, or one a GPU]",
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        description="CPU threads of a training. [default: cores divided among the workers]",
    )
    timeout_s: float | None = Field(
        default=None,
        gt=0,
        description="Time budget (90, 90s, 25m or 2h): no training starts after it, running ones finish.",
    )
    executor: ExecutorKind = Field(
        default=ExecutorKind.LOCAL,
        description="Where trainings run: local, or ray (docs/cluster.md). [default: local]",
    )
    cluster: ClusterSettings = ClusterSettings()
    results: Path = Field(default=Path("results"), description="Folder that holds one folder a study.")

    @model_validator(mode="after")
    def _cluster_is_rays(self) -> Self:
        """Require that what is Ray's to assign is asked of Ray, and only of Ray."""
        require_rays(self.executor, self.cluster, device=self.device, threads=self.threads)
        return self


class StoredSettings(RunSettings):
    """Where the trainings of one study run, and where it is stored; None of `storage` is SQLite in its folder."""

    loader_workers: int = Field(
        default=LOADER_WORKERS, ge=0, description="Image-loading processes of a CUDA training. [default: 8]"
    )
    storage: str | None = Field(
        default=None, description="Any Optuna storage URL. [default: SQLite in the study's folder]"
    )

    @field_validator("storage")
    @classmethod
    def _is_a_url(cls, storage: str | None) -> str | None:
        if storage is not None:
            require_storage_url(storage)
        return storage

    @field_serializer("storage")
    def _keep_no_password(self, storage: str | None) -> str | None:
        return storage and without_password(storage)


def settings_of(model: type[Settings], /, **values: Any) -> Settings:
    """Build settings from the command line; options left out (None) take their default.

    Args:
        model: What they are of.
        values: Field to value.

    Raises:
        UserError: A value is out of its range.
    """
    try:
        return model(**{name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        given = first["input"]
        field = [part for part in first["loc"] if isinstance(part, str)][-1]
        message = first["msg"].removeprefix("Value error, ")
        raise UserError(
            f"{option_of(field)} {','.join(given) if isinstance(given, tuple) else given}: {message}"
        ) from error


def option_of(field: str) -> str:
    """Return what a field is called on the command line."""
    return "--" + _OPTIONS.get(field, field).replace("_", "-")


def cluster_settings(
    address: str | None, gpus: float | None, cpus: int | None, resources: list[str] | None
) -> ClusterSettings | None:
    """Read what was said of a cluster on the command line; None where nothing was.

    Raises:
        UserError: Something of it cannot be meant.
    """
    given = {
        "address": address,
        "gpus_per_trial": gpus,
        "cpus_per_trial": cpus,
        "resources": parse_resources(resources) if resources else None,
    }
    said = {name: value for name, value in given.items() if value is not None}
    try:
        return ClusterSettings.model_validate(said) if said else None
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0])
        message = first["msg"].removeprefix("Value error, ")
        raise UserError(f"{option_of(option)} {said[option]}: {message}") from error


def require_rays(executor: ExecutorKind, cluster: ClusterSettings, *, device: str, threads: int | None) -> None:
    """Require that what is Ray's to assign is asked of Ray, and only of Ray.

    Raises:
        UserError: It is not.
    """
    if executor is not ExecutorKind.RAY:
        nothing = ClusterSettings()
        given = [name for name, value in cluster if value != getattr(nothing, name)]
        if given:
            raise UserError(f"{option_of(given[0])}: only a Ray cluster has that; add --executor ray")
    elif device != "auto":
        raise UserError(f"--device {device}: Ray assigns devices; say --gpus-per-trial 1, or 0 for the CPU")
    elif threads is not None:
        raise UserError(f"--threads {threads}: with --executor ray say --cpus-per-trial {threads}")


def require_one_gpu(cluster: ClusterSettings) -> None:
    """Refuse several GPUs for one training by the short recipe: one each for as many trainings does more in the time.

    Raises:
        UserError: Several are asked for.
    """
    if cluster.gpus_of_a_training > 1:
        raise UserError(
            f"--gpus-per-trial {cluster.gpus_of_a_training}: a short training has one GPU at most; give 1, and several "
            "run at once (only trainings by the published recipe share GPUs)"
        )


def require_equal_shares(cluster: ClusterSettings, batch: int) -> None:
    """Require that several GPUs of one training take the same number of a batch's images.

    Args:
        cluster: What is asked for.
        batch: Images a step, of all GPUs together.

    Raises:
        UserError: They cannot.
    """
    gpus = cluster.gpus_of_a_training
    if batch % gpus:
        above = -(-batch // gpus) * gpus
        raise UserError(
            f"--gpus-per-trial {gpus}: they cannot share a batch of {batch} images equally; give {above}, or "
            f"another number of GPUs"
        )


def parse_resources(given: list[str]) -> dict[str, float]:
    """Parse custom resources from the command line.

    Raises:
        UserError: One isn't NAME=AMOUNT, or is what another option asks for.
    """
    found: dict[str, float] = {}
    for text in given:
        match = re.fullmatch(r"([^=\s]+)=(\d+(?:\.\d+)?)", text)
        if not match or float(match[2]) == 0:
            raise UserError(f"--resource {text}: write NAME=AMOUNT with an amount above 0, such as fast_disk=1")
        if match[1] in {"CPU", "GPU"}:
            raise UserError(f"--resource {text}: write --{match[1].lower()}s-per-trial {match[2]}")
        if match[1] in found:
            raise UserError(f"--resource {text}: {match[1]} is given twice")
        found[match[1]] = float(match[2])
    return found
