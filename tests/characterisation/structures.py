"""The structure of what each command says with `--json`: names of keys and types of values, and not the values."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.characterisation import door, make_studies
from tests.characterisation.places import bring_study
from tests.characterisation.reports import of_name

MACHINES = frozenset({"before", "after", "l2_cache", "affinity", "cpu", "cuda"})
"""Keys whose content is as the machine has it: it is left out."""


def structure(value: Any) -> Any:
    """Return plain data with each value replaced by the name of its type, and a list by its kinds of entries."""
    if isinstance(value, Mapping):
        return {key: "…" if key in MACHINES else structure(each) for key, each in value.items()}
    if isinstance(value, list):
        kinds = {json.dumps(structure(each), sort_keys=True) for each in value}
        return [json.loads(kind) for kind in sorted(kinds)]
    return "null" if value is None else type(value).__name__


def _plain(*command: str) -> Any:
    return structure(door.clo(*command).json)


def _with(studies: tuple[str, ...], *command: str) -> Any:
    """Of a command on stored studies, whose trainings are pretended."""
    make_studies.bring_files(Path())
    for name in studies:
        bring_study(name, Path("results"))
    with door.pretended(door.Trainings(make_studies.some_fail)):
        return _plain(*command)


def _candidate(study: str) -> str:
    """Return the identity of the first candidate of a stored study."""
    architectures = door.stored_architectures(Path("results") / study / "study.db", study)
    return next(name for name in architectures if name != "baseline")


def _of_candidate(study: str, command: str, *options: str) -> Any:
    make_studies.bring_files(Path())
    bring_study(study, Path("results"))
    with door.pretended(), pytest.MonkeyPatch.context() as patch:
        door.pretend_fresh_process(patch)
        return _plain(command, study, _candidate(study), *options)


def _of_report(study: str) -> Any:
    return structure(of_name(study)["closing"])


def _cache(*options: str) -> Any:
    """Of a cache that holds a trained base."""
    bases = Path(os.environ["CLO_NAS_CACHE"]) / "bases"
    bases.mkdir(parents=True)
    for suffix in (".pt", ".json"):
        (bases / f"yolov5n-0123456789abcdef{suffix}").write_text("{}", encoding="utf-8")
    return _plain("cache", *options, "--json")


def _fidelity() -> Any:
    """Of a small plan, whose trainings are pretended."""
    make_studies.bring_files(Path())
    with pytest.MonkeyPatch.context() as patch:
        door.pretend_fidelity(patch)
        return _plain("fidelity", "fidelity.yaml", "--workers", "1", "--out", "fidelity", "--json")


_LATENCY = ("--imgsz", "32", "--seconds", "0.3", "--threads", "1", "--device", "cpu", "--json")
_TRAIN = ("--data", "data/data.yaml", "--imgsz", "64", "--epochs", "2", "--device", "cpu", "--json")
_COUNTED = ("--claim", "pooling-cuts-params", "--claim", "convffn-downsamples")
CASES: dict[str, Callable[[], Any]] = {
    "search": partial(_with, ("two",), *make_studies.TWO, "--json"),
    "report": partial(_of_report, "killed"),
    "report, of an ablation": partial(_of_report, "ablation"),
    "report, of several": partial(_with, ("two", "older"), "report", "two", "older", "--json"),
    "train": partial(_with, (), "train", "yolov5n", *_TRAIN),
    "train, of a study": partial(
        _of_candidate, "ladder", "train", "--epochs", "9", "--seeds", "2", "--workers", "1", "--device", "cpu", "--json"
    ),
    "ablate": partial(_with, ("ablation",), *make_studies.ABLATE, "--json"),
    "ablate, plan": partial(_with, (), "ablate", "few-arms.yaml", *make_studies.ABLATE[2:], "--plan", "--json"),
    "reproduce": partial(_with, (), "reproduce", *_COUNTED, "--quiet", "--json"),
    "reproduce, list": partial(_plain, "reproduce", "--list", "--json"),
    "export": partial(_of_candidate, "ladder", "export", "--json"),
    "export, architecture": partial(_of_candidate, "ladder", "export", "--to", "architecture", "--json"),
    "cache": _cache,
    "cache, clear": partial(_cache, "--clear"),
    "fidelity": _fidelity,
    "sites": partial(_plain, "sites", "yolov8n", "--json"),
    "model": partial(_plain, "model", "yolov5n-clo-head", "--classes", "3", "--json"),
    "cost": partial(_plain, "cost", "yolov5n", "--imgsz", "64", "--json"),
    "latency": partial(_plain, "latency", "yolov5n", "yolov5n", *_LATENCY),
}
"""Command, and what it is asked, to what yields its structure, in an empty working folder."""
