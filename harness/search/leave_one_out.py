"""What each block of an architecture is worth: the architecture without it, measured in the same study."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from harness.architecture import BASELINE, Architecture
from harness.base_file import base_of
from harness.constraints import SITE_FIELDS
from harness.detectors import find_sites, map_sizes, mode_channels, resolve_base
from harness.errors import UserError
from harness.search.outcome import State
from harness.settings import COMPARABLE, EMBEDDED_DATA, SearchSettings
from harness.space import SearchSpace, load_space
from harness.study_record import StudyRecord

_KEPT = (
    "device", "rungs", "seeds", "finalists", "latency_seconds", "allow_unusable", "allow_val_in_train",
)  # fmt: skip
"""Settings of the last run, beside those that all trials share, that its continuation keeps."""
_BOUNDS = ("max_params", "max_macs", "max_latency_ratio", "min_map50_95")


class Status(StrEnum):
    """What a study has of a variant."""

    NEW = "to be trained"
    KNOWN = "already in the study"
    BASELINE = "the baseline, which the study has"
    OUTSIDE = "outside the study's space, so that it cannot be measured there"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """An architecture, whole or without one of its placements.

    Attributes:
        without: The site whose block is left out; None for the whole.
        architecture: What is left.
        identity: As in the study's tables.
        status: What the study has of it.
    """

    without: str | None
    architecture: Architecture
    identity: str
    status: Status


def leave_one_out(record: StudyRecord, identity: str) -> list[Variant]:
    """The whole architecture, then one variant for each of its placements with that one left out.

    Raises:
        UserError: The study has no such architecture, it is the baseline, or the study's base or space is gone.
    """
    if identity not in record.architectures:
        known = ", ".join(record.architectures) or "none"
        raise UserError(f"study {record.name} has no architecture '{identity}'; it has {known}")
    whole = record.architectures[identity]
    if whole.is_baseline:
        raise UserError(f"{identity} of study {record.name} has no block that could be left out; name a candidate")
    space = _space(record)
    settled = _settled(record)
    left: list[tuple[str | None, Architecture]] = [(None, whole)]
    for placement in whole.placements:
        others = tuple(other for other in whole.placements if other is not placement)
        left.append((placement.site, replace(whole, placements=others)))
    found = []
    for without, architecture in left:
        name = space.identity(architecture)
        status = Status.KNOWN if name in settled else Status.NEW if space.holds(architecture) else Status.OUTSIDE
        status = Status.BASELINE if architecture.is_baseline else status
        found.append(Variant(without=without, architecture=architecture, identity=name, status=status))
    return found


def command(record: StudyRecord, variants: Sequence[Variant], files: Sequence[Path], place: Sequence[str]) -> str:
    """What measures all new variants in the study; empty where there are none.

    What an earlier run of the search left unfinished is trained first, and reckoned with.

    Args:
        record: The study.
        variants: From `leave_one_out`.
        files: Their architecture files, those of the baseline and outside of the space left out.
        place: Options that say where the study is, such as `--results`.
    """
    new = {variant.identity for variant in variants if variant.status is Status.NEW}
    if not new:
        return ""
    unfinished = {str(name) for name in record.trials["architecture"]} - _settled(record) - {BASELINE}
    typed = ["clo", "search", "--study", record.name, *place, *_options(record)]
    for file in files:
        typed += ["--include", str(file)]
    return shlex.join([*typed, "--more", str(len(new | unfinished))])


def _settled(record: StudyRecord) -> set[str]:
    """Architectures that a search would not train again."""
    rows = record.trials[[State(state).settled for state in record.trials["state"]]]
    return {str(name) for name in rows["architecture"]}


def _space(record: StudyRecord) -> SearchSpace:
    settings: Any = record.settings
    base = resolve_base(base_of(record))
    sites = find_sites(base)
    return SearchSpace(
        load_space(settings["space"]),
        base=base.name,
        channels=mode_channels(sites),
        maps=map_sizes(sites, settings["imgsz"]),
        required=record.constraints.required_sites,
        forbidden=record.constraints.forbidden_sites,
    )


def _options(record: StudyRecord) -> list[str]:
    """The study's settings that are not a search's defaults, as options."""
    data = record.settings.get("data", EMBEDDED_DATA)
    usual = SearchSettings(data=data, from_scratch=bool(record.settings.get("from_scratch")))  # defaults depend on it
    unlike_usual = {"data": EMBEDDED_DATA, "from_scratch": False}
    typed: list[str] = []
    for name in (*COMPARABLE, *_KEPT):
        value = base_of(record) if name == "base" else record.settings.get(name)
        default = unlike_usual[name] if name in unlike_usual else getattr(usual, name)
        if value is None or _listed(value) == _listed(default):
            continue
        typed.append(f"--{name.replace('_', '-')}")
        typed += [] if value is True else [",".join(_listed(value))]
    limits = record.constraints
    for name in _BOUNDS:
        if (limit := getattr(limits, name)) is not None:
            typed += [f"--{name.replace('_', '-')}", f"{limit:.15g}"]
    for name, option in zip(SITE_FIELDS, ("--with", "--without"), strict=True):
        for site in getattr(limits, name):
            typed += [option, site]
    return typed


def _listed(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list | tuple) else [str(value)]
