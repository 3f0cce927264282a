"""A learning curve is what each step saw, thinned by exact means, and no training is another for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.record.data_dictionary import CURVE, Kind
from harness.training import accuracy, curve
from harness.training.accuracy import Training, initial_model
from harness.training.curve import curve_of_epochs, curve_of_steps, curve_path, write_curve
from harness.training.epoch_table import rows_in
from harness.training.image_matches import matches_path
from tests.training.watched import BASELINE, BLOCKS, ITERATIONS, SCHEDULE, Run, same, watch

pytestmark = pytest.mark.usefixtures("torch_as_it_was")
LOSSES = ["box_loss", "cls_loss", "dfl_loss"]


def of(run: Run) -> pd.DataFrame:
    assert run.result is not None and run.result.curve is not None
    return run.result.curve


# --- Of a training --------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_training_leaves_a_row_a_step_with_the_schedules_rates(run: Callable[..., Run]) -> None:
    trained = run(BLOCKS)
    found = of(trained)
    assert (found.step.tolist(), found.steps.tolist()) == ([1, 2, 3, 4], [1] * ITERATIONS)
    assert found.epoch.tolist() == [1, 1, 2, 2]
    rates = [1e-3 * SCHEDULE.rate(number / ITERATIONS) for number in range(1, ITERATIONS + 1)]
    assert found.learning_rate.tolist() == pytest.approx(rates)
    assert found.learning_rate_blocks.tolist() == pytest.approx([5 * rate for rate in rates])
    assert np.isfinite(found[LOSSES]).all(axis=None) and (found[LOSSES] > 0).all(axis=None)
    assert found.l1_loss.isna().all()  # of another head
    assert trained.result is not None
    assert found.ultralytics_map50_95.tolist()[-1] == trained.result.ultralytics_map50_95
    assert found.ultralytics_map50_95.isna().tolist() == [True, True, True, False]


@pytest.mark.slow
def test_where_there_are_no_blocks_they_have_no_rate(run: Callable[..., Run]) -> None:
    found = of(run(BASELINE))
    assert found.learning_rate_blocks.isna().all() and found.learning_rate.notna().all()


@pytest.mark.slow
def test_the_first_steps_losses_are_those_of_the_initial_model_and_they_fall(
    training: Callable[..., Training], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = training(BLOCKS, schedule=replace(SCHEDULE, epochs=30))
    first: list[dict[str, Any]] = []
    seen: list[list[float]] = []
    prepare, step = accuracy.Trainer.preprocess_batch, accuracy.Trainer.optimizer_step

    def keep_the_first(self: Any, batch: dict[str, Any]) -> dict[str, Any]:
        prepared: dict[str, Any] = prepare(self, batch)
        if not first:
            first.append({**prepared, "args": self.args})
        return prepared

    def keep_losses(self: Any) -> None:
        seen.append([float(value) for value in self.loss_items.values()])
        step(self)

    monkeypatch.setattr(accuracy.Trainer, "preprocess_batch", keep_the_first)
    monkeypatch.setattr(accuracy.Trainer, "optimizer_step", keep_losses)
    found = of(watch(asked, tmp_path / "trained.pt"))
    assert found[LOSSES].to_numpy().tolist() == seen
    model: Any = initial_model(asked)[0].train()
    model.args = first[0].pop("args")
    items: dict[str, Any] = model.loss(first[0])[1]
    assert found[LOSSES].to_numpy()[0].tolist() == pytest.approx([float(items[name]) for name in LOSSES], rel=1e-3)
    # A random model is given few objects at first, so its losses rise to a top before they fall.
    assert found.dfl_loss[-16:].mean() < 0.9 * found.dfl_loss[16:32].mean()


@pytest.mark.slow
def test_a_training_is_the_same_bit_for_bit_without_its_curve(
    run: Callable[..., Run], training: Callable[..., Training], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def go_on(self: Any) -> None:
        self._iteration += 1

    monkeypatch.setattr(accuracy.Trainer, "_report", go_on)
    monkeypatch.setattr(accuracy.Trainer, "_read_losses", lambda _: None)
    monkeypatch.setattr(accuracy.Trainer, "curve", lambda *_: None)
    without = watch(training(BLOCKS), tmp_path / "trained.pt")
    with_curve = run(BLOCKS)
    assert without.result is not None and without.result.curve is None
    assert without.result.figures() | {"train_seconds": 0} == with_curve.result.figures() | {"train_seconds": 0}  # type: ignore[union-attr]
    assert same(without.final(), with_curve.final())


# --- Of numbers -----------------------------------------------------------------------------------


def numbered(count: int, **others: Any) -> pd.DataFrame:
    steps = [{"box_loss": float(number**2), "learning_rate": number / 8} for number in range(1, count + 1)]
    return curve_of_steps(steps, **{"earlier": 0, "steps_an_epoch": 2, "map50_95": 0.25, **others})


def test_a_long_training_is_thinned_to_means_over_equal_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curve, "MOST_ROWS", 3)
    found = numbered(7)  # runs of three: 1 2 3, 4 5 6, 7
    assert found.step.tolist() == [3, 6, 7]
    assert found.steps.tolist() == [3, 3, 1]
    assert found.epoch.tolist() == [2, 3, 4]
    assert found.box_loss.tolist() == pytest.approx([(1 + 4 + 9) / 3, (16 + 25 + 36) / 3, 49])
    assert found.learning_rate.tolist() == pytest.approx([2 / 8, 5 / 8, 7 / 8])
    assert found.ultralytics_map50_95.tolist() == [pytest.approx(np.nan, nan_ok=True)] * 2 + [0.25]


@pytest.mark.parametrize(("steps", "rows"), [(1, 1), (2000, 2000), (2001, 1001), (4000, 2000), (4001, 1334)])
def test_no_training_leaves_more_than_two_thousand_rows(steps: int, rows: int) -> None:
    found = numbered(steps)
    assert len(found) == rows
    assert found.steps.sum() == steps == found.step.iloc[-1]


def test_a_training_that_went_on_begins_where_the_shorter_one_ended() -> None:
    found = numbered(3, earlier=4)
    assert (found.step.tolist(), found.epoch.tolist()) == ([5, 6, 7], [3, 3, 4])


def test_the_trainer_counts_the_epochs_behind_it(training: Callable[..., Training]) -> None:
    class Trainer:
        _training = training(BLOCKS, trained_epochs=3)
        _iterations, epochs = ITERATIONS, SCHEDULE.epochs
        _steps = [{"box_loss": 1.0}] * ITERATIONS

    found = accuracy.Trainer.curve(Trainer, 0.5)  # type: ignore[arg-type]
    assert (found.step.tolist(), found.epoch.tolist()) == ([7, 8, 9, 10], [4, 4, 5, 5])


def test_ultralytics_table_becomes_a_row_an_epoch_of_the_last_attempt(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text(
        "epoch,time,train/box_loss,train/cls_loss,train/l1_loss,metrics/mAP50-95(B),val/box_loss,lr/pg0,lr/pg1\n"
        "1,9,9,9,9,0.9,9,0.9,9\n2,9,9,9,9,0.9,9,0.9,9\n3,9,9,9,9,0.9,9,0.9,9\n"  # could not be gone on with
        "1,5,3,4,1,0.1,9,0.01,9\n2,10,8,8,8,0.8,9,0.08,9\n2,5,2,nan,0.5,0.2,9,0.02,9\n"  # killed before a checkpoint
    )
    found = curve_of_epochs(rows_in(tmp_path / "results.csv"))
    assert list(found) == list(CURVE)
    assert found.epoch.tolist() == [1, 2]
    assert (found.box_loss.tolist(), found.l1_loss.tolist()) == ([3, 2], [1, 0.5])
    assert found.cls_loss.tolist() == [4, pytest.approx(np.nan, nan_ok=True)]
    assert (found.learning_rate.tolist(), found.ultralytics_map50_95.tolist()) == ([0.01, 0.02], [0.1, 0.2])
    assert found[["step", "steps", "dfl_loss", "learning_rate_blocks"]].isna().all(axis=None)
    assert curve_of_epochs(rows_in(tmp_path / "none.csv")).empty


def test_a_curve_comes_back_from_its_file_with_the_types_that_are_described(tmp_path: Path) -> None:
    path = curve_path(tmp_path / "curves", "3fa9c1d2", 3, 0, 1)
    assert path.stem == matches_path(tmp_path, "3fa9c1d2", 3, 0, 1).stem
    for found in (numbered(3), curve_of_epochs([{"epoch": "1", "train/box_loss": "2"}])):
        write_curve(found, path)
        again = pd.read_parquet(path)
        pd.testing.assert_frame_equal(again, found)
        assert list(again) == list(CURVE)
        kinds = {Kind.WHOLE: "int64", Kind.COUNT: "Int64", Kind.NUMBER: "float64"}
        assert {name: str(kind) for name, kind in again.dtypes.items()} == {
            name: kinds[column.kind] for name, column in CURVE.items()
        }
