"""Studies whose storage was written by somebody else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
from hypothesis import strategies as st

from harness.architecture import BASELINE, Architecture
from harness.record.settings import SearchSettings
from harness.record.state import State
from harness.record.study import (
    ABLATION,
    ARCHITECTURE,
    ENVIRONMENT,
    EXPECTED_GAINS,
    LAST_RUN,
    MODEL_YAML,
    ROLE,
    ROW,
    SETTINGS,
    SPACE,
    TRAINING,
)
from harness.report import closing
from harness.storage.opening import open_study
from harness.storage.records import checked_record
from tests.fuzz.documents import mutated
from tests.fuzz.loaders import ARCHITECTURES, Fuzzed


def begin(results: Path, name: str) -> str:
    """A study with its baseline; the URL of its storage."""
    settings = SearchSettings(study=name, results=results)
    with open_study(settings, {}) as study:
        trial = study.optuna.ask()
        row: dict[str, Any] = {"seed": 0, "epochs": 3, "selected_on": True}
        study.begin(trial, Architecture(base="yolov5n"), BASELINE, "nc: 10\n", row)
        costs = {"latency_ms_p50": 9.0, "latency_ratio": 1.0, "macs": 100, "flops": 200, "params": 30}
        study.end(trial, State.COMPLETE, {"map50_95": 0.5, "map50": 0.7, **costs})
    return settings.storage_url


def written_by_a_stranger(storage: str, name: str, *, row: Any, architecture: Any, attributes: Any) -> str:
    """A study whose attributes are anything, made with Optuna alone; the URL of its storage."""
    study = optuna.create_study(study_name=name, storage=storage, directions=["maximize", "minimize"])
    for key, value in attributes.items():
        study.set_user_attr(key, value)
    trial = study.ask()
    for key, value in {ROLE: TRAINING, ROW: row, ARCHITECTURE: architecture, MODEL_YAML: "nc: 10\n"}.items():
        trial.set_user_attr(key, value)
    study.tell(trial, [0.5, 1.0])
    return storage


ROW_OF = {
    "seed": 0, "base_seed": 0, "epochs": 3, "selected_on": True, "architecture": "1a2b3c4d", "state": "complete",
    "reason": "", "map50_95": 0.5, "map50": 0.7, "latency_ms_p50": 9.0, "latency_ratio": 1.0, "macs": 100, "flops": 200,
    "params": 30, "per_class": {"cat": 0.5},
}  # fmt: skip
ATTRIBUTES = {
    SETTINGS: {"imgsz": 64, "base": "yolov5n", "constraints": {"max_params": 10}},
    LAST_RUN: {"trials": 3, "budget": None},
    ENVIRONMENT: {"python": "3.11", "data_repairs": []},
    SPACE: {"name": "default", "sites": ["neck.P4"], "size": 10},
    EXPECTED_GAINS: [0.5, 0.1],
    ABLATION: {},
}


def _plain(value: Any) -> Any:
    """What JSON can hold, as storage does."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return str(value)[:200].replace("\0", "") if isinstance(value, str) else value


def plain_json(value: Any) -> Any:
    """The value as JSON holds it."""
    return json.loads(json.dumps(_plain(value)).encode("utf-8", "replace"))


CASES = st.fixed_dictionaries({
    "row": mutated(ROW_OF, ("baseline", "../x", "complete")).map(plain_json),
    "architecture": mutated(ARCHITECTURES[1], ("neck.P4", "../../x")).map(plain_json),
    "attributes": mutated(ATTRIBUTES).map(plain_json).filter(lambda value: isinstance(value, dict)),
})  # fmt: skip


def _run(case: dict[str, Any], folder: Path) -> object:
    memory = optuna.storages.InMemoryStorage()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    written_by_a_stranger(memory, "x", **case)  # type: ignore[arg-type]  # a storage instead of its URL
    record = checked_record(optuna.load_study(study_name="x", storage=memory))
    return closing(record)


STUDIES = Fuzzed(CASES, _run, 40)
