"""What a search on a Ray cluster asks for, of the cluster as a whole and for each training."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from harness.errors import UserError

_Amount = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ExecutorKind(StrEnum):
    """Where trainings run."""

    LOCAL = "local"
    """In processes of this machine."""
    RAY = "ray"
    """As tasks of a Ray cluster."""


class ClusterSettings(BaseModel):
    """A Ray cluster, and what a training takes of it while it runs.

    Attributes:
        address: `auto`, or host and port of the head; not of Ray Client, whose paths would be another machine's.
        gpus_per_trial: A fraction shares a GPU. A search's training runs on one GPU, so that 1 is the most.
        cpus_per_trial: Cores, which are its threads too.
        resources: Ray's custom resources, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    address: str = "auto"
    gpus_per_trial: float = Field(default=0.0, ge=0)
    cpus_per_trial: int = Field(default=1, ge=1)
    resources: dict[str, _Amount] = {}

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
    def _is_at_most_one(cls, gpus: float) -> float:
        if gpus > 1:
            raise ValueError("a search's training runs on one GPU; 1 gives it one of its own, 0.5 half of one")
        return gpus


def parse_resources(given: list[str]) -> dict[str, float]:
    """Custom resources from the command line.

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
