"""Trials of a study, made without a training."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.trial import TrialState

from harness.architecture import BASELINE, Architecture, Placement
from harness.record.state import State
from harness.record.study import ROW
from harness.storage.study import SearchStudy

BASE = Architecture(base="yolov5n")
BLOCK = Architecture(base="yolov5n", placements=(Placement(site="neck.P4", global_heads=2),))
OTHER = Architecture(base="yolov5n", placements=(Placement(site="neck.P5", global_heads=2),))
DATA = {"data_fingerprint": "feed"}


def figures(map50_95: float, latency: float | None = None, ratio: float | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"map50_95": map50_95, "map50": map50_95 + 0.2, "macs": 5e6, "params": 7e3}
    return found | ({} if latency is None else {"latency_ms_p50": latency, "latency_ratio": ratio})


def begin(
    study: SearchStudy, architecture: Architecture, identity: str, seed: int = 0, epochs: int = 3
) -> optuna.trial.Trial:
    trial = study.optuna.ask()
    row = {"seed": seed, "epochs": epochs, "selected_on": seed == 0}
    study.begin(trial, architecture, identity, "nc: 10\n", row)
    return trial


def train(study: SearchStudy, identity: str, seed: int, found: dict[str, Any]) -> int:
    trial = begin(study, BASE if identity == BASELINE else BLOCK, identity, seed)
    study.end(trial, State.COMPLETE, found)
    return trial.number


def killed_before_telling(study: SearchStudy, identity: str, found: dict[str, Any]) -> int:
    """The row says complete, Optuna says running."""
    trial = begin(study, BLOCK, identity)
    trial.set_user_attr(ROW, {**trial.user_attrs[ROW], **found, "state": State.COMPLETE})
    return trial.number


def state_of(study: SearchStudy, number: int) -> TrialState:
    return study.optuna.get_trials()[number].state


def told(study: SearchStudy, number: int) -> list[float]:
    values: list[float] = study.optuna.get_trials()[number].values
    return values
