"""What an ablation's arms are compared with: each with the baseline, and each model with what was made of it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.analysis.contrasts import Pair, contrasts
from harness.architecture import BASELINE
from harness.arms import Role
from harness.study_record import StudyRecord


def gains(record: StudyRecord) -> pd.DataFrame:
    """Every arm minus the baseline; see `contrasts`."""
    arms = [arm for arm in arms_of(record) if arm["role"] != Role.BASELINE]
    return contrasts(record.trials, [_pair(record, arm["name"], arm, _baseline(record)) for arm in arms])


def worths(record: StudyRecord) -> pd.DataFrame:
    """Every model minus each arm that was made of it: what it gains by what the arm lacks; see `contrasts`."""
    arms = arms_of(record)
    models = {arm["name"]: arm for arm in arms if arm["role"] == Role.MODEL}
    made = [_pair(record, arm["name"], models[arm["model"]], arm) for arm in arms if _is_made_of(arm, models)]
    return contrasts(record.trials, made)


def model_pairs(record: StudyRecord) -> list[Pair]:
    """Every model against the baseline and against all that was made of it: what claims are read from."""
    arms = arms_of(record)
    models = {arm["name"]: arm for arm in arms if arm["role"] == Role.MODEL}
    over = [_pair(record, arm["name"], arm, _baseline(record)) for arm in models.values()]
    made = [_pair(record, arm["name"], models[arm["model"]], arm) for arm in arms if _is_made_of(arm, models)]
    return [*over, *made]


def arms_of(record: StudyRecord) -> list[dict[str, Any]]:
    """The arms as `harness.search.ablate` keeps them, the baseline first; none for a search."""
    arms: list[dict[str, Any]] = record.ablation.get("arms", [])
    return arms


def _baseline(record: StudyRecord) -> dict[str, Any]:
    return next(arm for arm in arms_of(record) if arm["identity"] == BASELINE)


def _pair(record: StudyRecord, name: str, minuend: dict[str, Any], subtrahend: dict[str, Any]) -> Pair:
    """Two arms; differences scatter alike where both start as the base, and where all start at random."""
    alike = minuend["starts_as_base"] and subtrahend["starts_as_base"]
    from_scratch = record.ablation["file"]["from_scratch"]
    kind = "from scratch" if from_scratch else "both start as the base" if alike else "one starts elsewhere"
    return Pair(name=name, minuend=minuend["identity"], subtrahend=subtrahend["identity"], kind=kind)


def _is_made_of(arm: dict[str, Any], models: dict[str, dict[str, Any]]) -> bool:
    return arm["model"] in models and arm["role"] != Role.MODEL
