"""A training by Ultralytics' own recipe: what it differs in, what it leaves, and how it goes on."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from ultralytics.cfg import DEFAULT_CFG_DICT
from ultralytics.nn.tasks import load_checkpoint
from ultralytics.utils.dist import ddp_cleanup, generate_ddp_file
from ultralytics.utils.patches import torch_load

from harness.blocks import CloBlock
from harness.choices import Recipe
from harness.data.check import check_dataset
from harness.detectors import find_sites, insert, resolve_base, to_yaml
from harness.measure import recipe
from harness.measure.accuracy import Training
from harness.measure.recipe import PublishedTrainer, options, train_published
from harness.measure.training import OutOfMemoryError
from tests.coco_data import write_coco
from tests.measure.watched import BASELINE, BLOCKS

pytestmark = [pytest.mark.usefixtures("torch_as_it_was"), pytest.mark.slow]


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


def test_each_rank_of_a_multi_gpu_training_knows_clo_blocks(published: Training, tmp_path: Path) -> None:
    """The file that Ultralytics' launcher starts once a GPU, run here by a plain Python, without `import harness`."""
    (tmp_path / "detector.yaml").write_text(to_yaml(published.config))
    trainer = recipe._trainer(published, tmp_path, resumes=False)
    trainer.callbacks["on_train_batch_end"] = [stop_and_tell]
    file = generate_ddp_file(trainer)
    try:
        assert torch_load(Path(file).with_suffix(".pt"), map_location="cpu")["trainer"] is PublishedTrainer
        text = Path(file).read_text()
        assert "harness" not in text.replace(repr(sys.path), "")
        done = subprocess.run([sys.executable, file], env={**os.environ}, capture_output=True, text=True, check=False)
    finally:
        ddp_cleanup(trainer, file)
    assert done.returncode == 7, done.stderr
    assert (tmp_path / "told").read_text() == "CloBlock in PublishedTrainer"


def stop_and_tell(trainer: Any) -> None:
    """End the process after the first step."""
    names = {type(module).__name__ for module in trainer.model.modules()}
    told = Path(trainer.args.project) / "told"
    told.write_text(f"{'CloBlock' if 'CloBlock' in names else 'nothing'} in {type(trainer).__name__}")
    os._exit(7)


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
