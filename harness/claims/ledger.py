"""The article's claims: read from `claims.yaml` beside this file, chosen by id."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from harness.architecture.choices import Recipe
from harness.common.errors import UserError
from harness.record.run_settings import RunSettings

FOLDER = "reproduce"


class ClaimKind(StrEnum):
    """What a claim speaks of, and so how it is decided."""

    # How something is built: looked up in the module that runs.
    STRUCTURE = "structure"
    # Parameters and operations: counted.
    COST = "cost"
    # What a function does to its input: measured.
    BEHAVIOUR = "behaviour"
    # mAP: trained, with seeds and intervals.
    ACCURACY = "accuracy"


class Source(StrEnum):
    """Where the words of `quote_zh` were read."""

    # In a public copy of the article.
    ARTICLE = "article"
    # Quoted in this project's brief; not found in any copy that we could read.
    BRIEF = "brief"
    # Nowhere: the brief says that the article claims it, and no words of it could be read.
    UNREAD = "unread"


class Claim(BaseModel):
    """One claim.

    Attributes:
        id: What a command calls it.
        title: A line for a table.
        quote_zh: The article's words, a clause; empty where `source` is `unread`.
        source: Where those words were read.
        meaning_en: What they say, in English.
        kind: See `ClaimKind`.
        check: `module.function` in `harness.claims` that decides it.
        refuted_by: The finding that would refute it: the rule of the verdict.
        needs_hardware: Machine that it takes to decide.
        needs_data: Data that it takes to decide.
        reading: What the sentence leaves open, and how it is taken here.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    title: str = Field(min_length=1)
    quote_zh: str = ""
    source: Source
    meaning_en: str = Field(min_length=1)
    kind: ClaimKind
    check: str = Field(pattern=r"^[a-z_]+\.[a-z0-9_]+$")
    refuted_by: str = Field(min_length=1)
    needs_hardware: str = Field(min_length=1)
    needs_data: str = Field(min_length=1)
    reading: str = Field(min_length=1)

    @model_validator(mode="after")
    def _words_have_a_source(self) -> Self:
        if bool(self.quote_zh) == (self.source is Source.UNREAD):
            raise ValueError(f"{self.id}: source is {self.source}; words have a source, and only {Source.UNREAD} none")
        return self


@cache
def load_claims() -> tuple[Claim, ...]:
    """Load all claims, in the order of the ledger."""
    text = files("harness.claims").joinpath("claims.yaml").read_text(encoding="utf-8")
    return TypeAdapter(tuple[Claim, ...]).validate_python(yaml.safe_load(text))


def choose_claims(ids: Sequence[str] = ()) -> tuple[Claim, ...]:
    """Return the claims of these ids, in the order of the ledger; all of them where no id is given.

    Raises:
        UserError: There is no such claim, or an id is given twice.
    """
    known = [claim.id for claim in load_claims()]
    for chosen in ids:
        if chosen not in known:
            raise UserError(f"claim {chosen}: there is no such claim; there are: {', '.join(known)}")
        if ids.count(chosen) > 1:
            raise UserError(f"claim {chosen}: given {ids.count(chosen)} times; name each claim once")
    return tuple(claim for claim in load_claims() if not ids or claim.id in ids)


class ReproduceSettings(RunSettings):
    """What `clo reproduce` was asked to do; claims are given by id, and none is all.

    Attributes:
        changes: Fields of every ablation file that take other values: data, imgsz, epochs, seeds and so on.
    """

    claims: tuple[str, ...] = Field(default=(), description="Decide this claim alone. Repeatable.")
    protocol: Recipe | None = Field(
        default=None,
        description="short, or published: Ultralytics' own recipe on all devices. [default: published on COCO 2017]",
    )
    base: str | None = Field(default=None, description="Detector of the trainings. [default: yolov5n; yolov5s]")
    changes: tuple[tuple[str, object], ...] = ()
    no_training: bool = Field(default=False, description="Train nothing: read the trainings that there are.")

    @property
    def folder(self) -> Path:
        """Where the ledger and its ablations are."""
        return self.results / FOLDER
