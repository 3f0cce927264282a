"""Who trains, on what; and what a training's failure is held against: its candidate, or the data that changed."""

from __future__ import annotations

import contextlib
import errno
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import psutil
import pytest

from harness.architecture.choices import Recipe
from harness.common.errors import UserError
from harness.data.check import DatasetInfo, check_dataset
from harness.data.digits import DigitsSettings, ensure_digits
from harness.jobs import trial
from harness.jobs.trial import CURVES, Job, Measured, keep_files, run_trial, train_base, trial_figures
from harness.training.accuracy import Accuracy, Training
from harness.training.curve import curve_of_steps, curve_path

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


def test_a_curve_goes_into_its_studys_folder_whole_or_not_at_all_and_into_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curve = curve_of_steps([{"box_loss": 2.0}], earlier=0, steps_an_epoch=1, map50_95=0.5)
    accuracy = Accuracy(map50_95=0.5, map50=0.6, evaluator="", train_seconds=1.0, transferred="")
    without = Measured(accuracy=accuracy, latency=None, cpu_seconds=1.0)
    measured = replace(without, accuracy=replace(accuracy, curve=curve))
    assert trial_figures(measured, is_baseline=False) == trial_figures(without, is_baseline=False)
    keep_files(without, tmp_path, "3fa9c1d2", 3, 0, 1)
    assert not [*tmp_path.iterdir()]
    keep_files(measured, tmp_path, "3fa9c1d2", 3, 0, 1)
    path = curve_path(tmp_path / CURVES, "3fa9c1d2", 3, 0, 1)
    assert [*tmp_path.rglob("*.*")] == [path] == [tmp_path / "curves" / "3fa9c1d2-3epochs-base0-seed1.parquet"]
    assert pd.read_parquet(path).box_loss.tolist() == [2.0]
    path.unlink()

    def fill_the_disk(part: Path, data: bytes) -> None:
        part.open("wb").write(data[:9])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fill_the_disk)
    with pytest.raises(OSError, match="No space left"):
        keep_files(measured, tmp_path, "3fa9c1d2", 3, 0, 1)
    assert not [*path.parent.iterdir()]


def test_the_memory_of_a_training_is_in_its_row_where_it_was_measured() -> None:
    accuracy = Accuracy(map50_95=0.5, map50=0.6, evaluator="", train_seconds=1.0, transferred="")
    without = Measured(accuracy=accuracy, latency=None, cpu_seconds=1.0)
    assert "memory_bytes" not in trial_figures(without, is_baseline=False)
    assert trial_figures(replace(without, memory_bytes=7e8), is_baseline=False)["memory_bytes"] == 7e8
    held = trial._peak_memory("cpu")
    ballast = b"x" * int(held - psutil.Process().memory_info().rss + 300e6)
    assert trial._peak_memory("cpu") - held > 200e6
    del ballast
    assert trial._peak_memory("cpu") - held > 200e6  # a peak, whatever is held now
    assert math.isnan(trial._peak_memory("0,1"))


# --- Several devices ------------------------------------------------------------------------------


class Reports:
    """A training's line to its search."""

    rested_seconds = 0.0

    def __init__(self) -> None:
        self.rests = True
        self.steps: list[Any] = []

    def __call__(self, step: Any) -> None:
        self.steps.append(step)

    def never_rests(self) -> None:
        self.rests = False

    def alone(self, _on_wait: object = None) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


@pytest.mark.parametrize(
    ("device", "recipe", "trainer", "rests"),
    [
        ("cpu", Recipe.SHORT, "train", True),
        ("0", Recipe.PUBLISHED, "train_published", True),
        ("0,1", Recipe.PUBLISHED, "train_published", False),
    ],
)
def test_devices_and_recipe_decide_who_trains(
    training: Training, monkeypatch: pytest.MonkeyPatch, device: str, recipe: Recipe, trainer: str, rests: bool
) -> None:
    """Several processes of the published recipe cannot be asked to rest; a short training does, between two steps."""
    for name in ("train", "train_published"):
        monkeypatch.setattr(trial, name, lambda *_, name=name: name)
    report = Reports()
    found: Any = train_base(replace(training, device=device, recipe=recipe), cast(Any, report))
    assert found == trainer
    assert report.rests is rests


def test_a_latency_is_one_devices_however_many_train(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []
    accuracy = Accuracy(map50_95=0.5, map50=0.6, evaluator="", train_seconds=1.0, transferred="")
    monkeypatch.setattr(trial, "build", lambda *_: None)
    monkeypatch.setattr(trial, "interleaved_latency", lambda *_, device, **__: measured.append(device))
    monkeypatch.setattr(trial, "train_published", lambda *_: accuracy)
    several = replace(training, device="0,1", recipe=Recipe.PUBLISHED, schedule=cast(Any, SimpleNamespace(imgsz=64)))
    job = Job(training=several, measure_latency=True, latency_seconds=1.0, latency_threads=1)
    assert run_trial(job, cast(Any, Reports())).accuracy == accuracy
    assert measured == ["0"]


class Waited:
    """A training's line to its search, on a machine where somebody waits to measure a latency until it rests."""

    rest_is_due = True

    def __call__(self, _step: object) -> None: ...

    def rest(self) -> None:
        self.rest_is_due = False


def test_a_training_rests_for_whoever_measures_a_latency(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    report, waits = Waited(), []

    def train(_training: Training, step: Callable[[int, int], None]) -> str:
        for done in range(2):
            step(done, 2)
            waits.append(report.rest_is_due)
        return "accuracy"

    monkeypatch.setattr(trial, "train", train)
    resting: Any = report
    train_base(replace(training, schedule=cast(Any, SimpleNamespace(epochs=1))), resting)
    assert waits == [False, False]
