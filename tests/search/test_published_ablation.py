"""An ablation by the published recipe: one training at a time on all devices, each resumable, each kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.ablation_file import AblationFile, load_ablation
from harness.choices import Recipe
from harness.errors import UserError
from harness.measure.training import Training
from harness.search import ablate as runner
from harness.search import ablation, trial
from harness.search.ablate import ablate
from harness.search.ablation import AblationSettings, prepare_ablation
from harness.search.outcome import Failure, State
from harness.search.trial import Job, train_base
from tests.cli.pretended import Trainings, measured
from tests.coco_data import write_coco


class Watcher:
    """Listens to nothing."""

    def __getattr__(self, _name: str) -> Any:
        return lambda *_: None


@pytest.fixture
def file(tmp_path: Path) -> AblationFile:
    data = write_coco(tmp_path / "coco", train=8, val=6)
    return load_ablation(
        "reproduce-full",
        {"data": str(data.train), "base": "yolov5n", "models": ("yolov5n-clo-head",), "imgsz": 64, "seeds": 2,
         "placebos": ()},
    )  # fmt: skip


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablation, "resolve_device", lambda device: device)


@contextmanager
def pretend(monkeypatch: pytest.MonkeyPatch, trainings: Trainings) -> Iterator[Trainings]:
    with monkeypatch.context() as patch:
        patch.setattr("harness.search.place.Children", trainings)
        patch.setattr(runner, "start_server", lambda: None)
        yield trainings


def test_each_training_takes_all_devices_and_keeps_its_weights(
    file: AblationFile, four_gpus: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = AblationSettings(file=file, device="0,1,2,3", results=tmp_path / "results")
    ablation = prepare_ablation(settings)
    with pretend(monkeypatch, Trainings(measured)) as trainings:
        ablate(ablation, Watcher(), [])
    assert set(trainings.beside) == {1}
    assert len(trainings.asked) == 2 * 2  # baseline and model, two seeds
    for training in trainings.asked:
        assert (training.recipe, training.device, training.base_weights) == (Recipe.PUBLISHED, "0,1,2,3", None)
        assert training.schedule.epochs == 300
    for place in ("folder", "save_to"):
        assert len({getattr(training, place) for training in trainings.asked} - {None}) == 4
    assert all(str(training.folder).startswith(str(tmp_path / "results/full-protocol")) for training in trainings.asked)


def test_what_failed_is_tried_again_and_what_is_complete_is_not(
    file: AblationFile, four_gpus: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def once(job: Job) -> Any:
        failed = len(first.asked) == 2
        return Failure(state=State.FAILED, reason="a GPU fell off the bus") if failed else measured(job)

    ablation = prepare_ablation(AblationSettings(file=file, device="0,1", results=tmp_path / "results"))
    with pretend(monkeypatch, Trainings(once)) as first:
        ablate(ablation, Watcher(), [])
    with pretend(monkeypatch, Trainings(measured)) as second:
        ablate(ablation, Watcher(), [])
    assert [training.folder for training in second.asked] == [first.asked[1].folder]


def test_a_study_holds_one_recipe(
    file: AblationFile, four_gpus: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare_ablation(AblationSettings(file=file, device="0", results=tmp_path / "results"))

    def run(chosen: AblationFile) -> None:
        ablation = replace(prepared, settings=replace(prepared.settings, file=chosen))
        with pretend(monkeypatch, Trainings(measured)):
            ablate(ablation, Watcher(), [])

    run(file.model_copy(update={"seeds": (0,)}))
    with pytest.raises(UserError, match=r"full-protocol exists with another recipe \(published, now short\)"):
        run(file.model_copy(update={"seeds": (0,), "recipe": Recipe.SHORT}))


def test_several_at_once_are_refused(file: AblationFile, four_gpus: None, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--workers 4: the published recipe takes all devices for one training"):
        prepare_ablation(AblationSettings(file=file, device="0,1,2,3", workers=4, results=tmp_path))


def test_it_starts_from_random_weights() -> None:
    with pytest.raises(UserError, match=r"--from-scratch: .*from_scratch: true|recipe: published trains every arm"):
        load_ablation("reproduce-full", {"from_scratch": False})


def test_the_recipe_decides_which_trainer_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "train", lambda *_: "short")
    monkeypatch.setattr(trial, "train_published", lambda *_: "published")
    short = Training(
        config={}, base_config={}, base_weights=None, layers={}, data="", classes=1, schedule=SimpleNamespace(),  # type: ignore[arg-type]
        seed=0, device="cpu", threads=1,
    )  # fmt: skip
    report: Any = None
    assert train_base(short, report) == "short"  # type: ignore[comparison-overlap]
    assert train_base(replace(short, recipe=Recipe.PUBLISHED), report) == "published"  # type: ignore[comparison-overlap]
