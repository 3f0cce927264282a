"""What a training's failure is held against: its candidate, or the data that changed under it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.data.check import DatasetInfo, check_dataset
from harness.data.digits import DigitsSettings, ensure_digits
from harness.errors import UserError
from harness.measure.accuracy import Training
from harness.search import trial
from harness.search.trial import train_base

NO_REPORT: Any = None


@pytest.fixture
def data(tmp_path: Path) -> DatasetInfo:
    return check_dataset(str(ensure_digits(tmp_path, DigitsSettings(train_images=4, val_images=2))), 64)


@pytest.fixture
def training(data: DatasetInfo) -> Training:
    schedule: Any = SimpleNamespace()
    return Training(
        config={}, base_config={}, base_weights=None, layers={}, data=str(data.path), classes=10, schedule=schedule,
        seed=0, device="cpu", threads=1, data_fingerprint=data.fingerprint,
    )  # fmt: skip


def lose_an_image(training: Training) -> None:
    next((Path(training.data).parent / "images" / "train").glob("*.*")).unlink()


def fail(training: Training, _step: object) -> None:
    raise RuntimeError("no image to load")


def fail_for_want_of_data(training: Training, step: object) -> None:
    lose_an_image(training)
    fail(training, step)


def succeed_on_what_is_left(training: Training, _step: object) -> str:
    lose_an_image(training)
    return "accuracy"


@pytest.mark.parametrize("train", [fail_for_want_of_data, succeed_on_what_is_left])
def test_a_training_whose_data_changed_is_the_users_to_mend(
    train: Callable[..., object], training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "train", train)
    with pytest.raises(UserError, match="has changed while the search ran"):
        train_base(training, NO_REPORT)


def test_a_failure_on_the_data_that_were_meant_stays_one(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "train", fail)
    with pytest.raises(RuntimeError, match="no image to load"):
        train_base(training, NO_REPORT)


def test_who_names_no_fingerprint_takes_any_data(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "train", succeed_on_what_is_left)
    assert train_base(replace(training, data_fingerprint=""), NO_REPORT) == "accuracy"  # type: ignore[comparison-overlap]
