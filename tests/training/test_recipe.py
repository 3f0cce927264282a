"""A training by Ultralytics' own recipe: what it differs in, what it leaves, and how it goes on."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from ultralytics.cfg import DEFAULT_CFG_DICT
from ultralytics.nn.tasks import load_checkpoint
from ultralytics.utils.dist import generate_ddp_command
from ultralytics.utils.patches import torch_load

from harness.architecture.choices import Recipe
from harness.blocks import CloBlock
from harness.data.check import check_dataset
from harness.detectors import find_sites, insert, resolve_base, to_yaml
from harness.training import recipe
from harness.training.accuracy import Training
from harness.training.published_trainer import PublishedTrainer
from harness.training.recipe import options, train_published
from harness.training.training import OutOfMemoryError
from tests.coco_data import write_coco
from tests.training.watched import BASELINE, BLOCKS

pytestmark = [pytest.mark.usefixtures("torch_as_it_was"), pytest.mark.slow]

TOLD = ["box_loss", "cls_loss", "dfl_loss", "learning_rate", "ultralytics_map50_95"]
"""What Ultralytics' table tells of an epoch."""


class KilledError(Exception):
    """What ends a training in the middle."""


@pytest.fixture(scope="module")
def published(training: Callable[..., Training], tmp_path_factory: pytest.TempPathFactory) -> Training:
    """Two epochs of two batches, of a base with Clo blocks, on COCO's own files."""
    data = write_coco(tmp_path_factory.mktemp("coco") / "coco", train=8, val=6)
    info = check_dataset(str(data.train), 64, tmp_path_factory.mktemp("cache"))
    base = resolve_base("yolov5n")
    digits = training(BASELINE, base_weights=None)
    return replace(
        digits,
        config=insert(base, BLOCKS, sites=find_sites(base), classes=3),
        data=str(info.path),
        classes=3,
        schedule=replace(digits.schedule, epochs=2, batch=4),
        recipe=Recipe.PUBLISHED,
    )


def test_all_that_is_not_asked_for_is_ultralytics_default(published: Training, tmp_path: Path) -> None:
    given = options(published, tmp_path)
    differing = {name for name, value in given.items() if DEFAULT_CFG_DICT[name] != value}
    assert differing == {
        "data",
        "epochs",
        "imgsz",
        "batch",
        "device",
        "workers",
        "project",
        "name",
        "exist_ok",
        "plots",
    }


def test_a_killed_training_goes_on_from_its_last_epoch_and_is_judged_by_cocoeval(
    published: Training, tmp_path: Path
) -> None:
    here = replace(published, folder=tmp_path / "here", save_to=tmp_path / "kept.pt")
    seen: list[tuple[int, int]] = []

    def kill_in_the_second_epoch(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 3:
            raise KilledError

    with pytest.raises(KilledError):
        train_published(here, kill_in_the_second_epoch)
    assert seen == [(1, 4), (2, 4), (3, 4)]
    assert not (tmp_path / "kept.pt").exists()
    first = load_checkpoint(tmp_path / "here/run/weights/last.pt")[1]
    assert first["epoch"] == 0

    seen.clear()
    result = train_published(here, lambda done, total: seen.append((done, total)))
    assert seen == [(3, 4), (4, 4)]  # the second epoch alone
    assert result.evaluator.startswith("COCOeval (faster-coco-eval")
    assert result.evaluator.endswith("COCO annotations")
    assert result.curve is not None and result.curve.epoch.tolist() == [1, 2]
    assert result.curve[TOLD].notna().all(axis=None)
    with (tmp_path / "here/run/results.csv").open() as file:
        assert [int(row["epoch"]) for row in csv.DictReader(file)] == [1, 2]
    model, _ = load_checkpoint(tmp_path / "kept.pt")
    assert any(isinstance(module, CloBlock) for module in model.modules())

    seen.clear()
    again = train_published(here, lambda done, total: seen.append((done, total)))
    assert seen == []  # it is finished: only judged once more
    assert again.map50_95 == result.map50_95
    assert again.train_seconds > 0


def test_a_folder_of_another_training_is_not_gone_on_with(published: Training, tmp_path: Path) -> None:
    def kill(done: int, _total: int) -> None:
        if done == 3:
            raise KilledError

    here = replace(published, folder=tmp_path)
    with pytest.raises(KilledError):
        train_published(here, kill)
    assert recipe._epochs_behind(here, tmp_path) == 1
    assert recipe._epochs_behind(replace(here, seed=here.seed + 1), tmp_path) == 0
    assert recipe._epochs_behind(replace(here, schedule=replace(here.schedule, epochs=3)), tmp_path) == 0


def test_a_batch_that_does_not_fit_is_not_halved(
    published: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(*_: Any) -> Any:
        raise RuntimeError("CUDA out of memory.")

    monkeypatch.setattr(PublishedTrainer, "preprocess_batch", too_large)
    with pytest.raises(OutOfMemoryError, match="out of memory with batch 4"):
        train_published(replace(published, folder=tmp_path))


def test_the_weights_of_a_run_follow_its_seed(published: Training, tmp_path: Path) -> None:
    def first_weights(seed: int, folder: Path) -> torch.Tensor:
        found: list[torch.Tensor] = []
        folder.mkdir()
        (folder / "detector.yaml").write_text(to_yaml(published.config))
        trainer = recipe._trainer(replace(published, seed=seed), folder, resumes=False)
        trainer._setup_train()
        found.append(next(trainer.model.parameters()).detach().clone())
        return found[0]

    one, same, other = (first_weights(seed, tmp_path / name) for seed, name in ((1, "a"), (1, "b"), (2, "c")))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def launch_elsewhere(
    monkeypatch: pytest.MonkeyPatch, command: list[str] | None = None
) -> list[tuple[list[str], str, dict[str, Any]]]:
    """Let trainings run as on several GPUs: by a launcher, which here starts a single process.

    Args:
        monkeypatch: Undoes it.
        command: What the launcher starts instead.

    Returns:
        Ultralytics' own command, the file that it starts on each GPU and the state that this one reads, as they come.
    """
    make = recipe._trainer
    asked: list[tuple[list[str], str, dict[str, Any]]] = []

    def on_several_gpus(training: Training, folder: Path, *, resumes: bool) -> PublishedTrainer:
        trainer = make(training, folder, resumes=resumes)
        trainer.ddp = True
        return trainer

    def launcher(trainer: PublishedTrainer) -> tuple[list[str], str]:
        real, file = generate_ddp_command(trainer)
        state = torch_load(Path(file).with_suffix(".pt"), map_location="cpu")
        asked.append((real, Path(file).read_text(), state))
        return command or [sys.executable, file], file

    monkeypatch.setattr(recipe, "_trainer", on_several_gpus)
    monkeypatch.setattr("harness.training.epoch_table._WATCH_SECONDS", 0.05)
    monkeypatch.setattr("ultralytics.engine.trainer.generate_ddp_command", launcher)
    return asked


def test_each_process_of_a_multi_gpu_training_knows_clo_blocks_and_its_epochs_are_told(
    published: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without GPUs: the file that Ultralytics starts on each, run once, by a Python that does not `import harness`."""
    asked = launch_elsewhere(monkeypatch)
    told: list[tuple[int, int]] = []
    result = train_published(replace(published, folder=tmp_path), lambda done, total: told.append((done, total)))
    [(command, script, state)] = asked
    assert command[1:3] == ["-m", "torch.distributed.run"]
    assert "harness" not in script.replace(repr(sys.path), "")
    assert state["trainer"] is PublishedTrainer  # pickled by the name of its module
    assert state["model"] == str(tmp_path / "detector.yaml")  # which is not in the folder that the launcher empties
    assert {total for _, total in told} == {2}  # epochs
    model, checkpoint = load_checkpoint(tmp_path / "run/weights/last.pt")
    assert any(isinstance(module, CloBlock) for module in model.modules())
    assert checkpoint["epoch"] == -1
    assert result.evaluator.endswith("COCO annotations")
    assert result.curve is not None and result.curve.epoch.tolist() == [1, 2]
    assert result.curve[TOLD].notna().all(axis=None)


def test_a_killed_multi_gpu_training_goes_on_too(
    published: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(done: int, _total: int) -> None:
        if done == 3:
            raise KilledError

    here = replace(published, folder=tmp_path)
    with pytest.raises(KilledError):
        train_published(here, kill)
    asked = launch_elsewhere(monkeypatch, [sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(RuntimeError, match=r"a process of the training on devices cpu failed \(exit code 3\)"):
        train_published(here)
    [(_, _, state)] = asked
    last = tmp_path / "run/weights/last.pt"
    assert last.is_file()  # the launcher empties the folder of a first start alone
    assert state["model"] == state["args"]["resume"] == str(last)


def test_base_weights_are_what_a_training_begins_with(published: Training, weights: Path, tmp_path: Path) -> None:
    """Of a base with ten classes, into a detector with three; the base's first layer is not changed by the blocks."""
    base = resolve_base("yolov5n")
    begun = replace(published, base_weights=weights, config=insert(base, BASELINE, sites=find_sites(base), classes=3))
    (tmp_path / "detector.yaml").write_text(to_yaml(begun.config))
    trainer = recipe._trainer(begun, tmp_path, resumes=False)
    trainer._setup_train()
    assert torch.equal(trainer.model.model[0].conv.weight, load_checkpoint(weights)[0].model[0].conv.weight)
