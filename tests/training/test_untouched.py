"""No training, by whichever trainer, takes a file beside a user's images for something else, or changes one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.architecture.choices import Recipe
from harness.data.check import check_dataset
from harness.detectors import resolve_base
from harness.training.accuracy import Accuracy, Schedule, Training, train
from harness.training.recipe import train_published
from tests.data_room.photographs import image, label, photographs

pytestmark = [pytest.mark.usefixtures("torch_as_it_was"), pytest.mark.slow]
Trainer = Callable[[Training], Accuracy]
TRAINERS: dict[str, tuple[Trainer, dict[str, Any]]] = {
    "short": (train, {}),
    "published": (train_published, {"recipe": Recipe.PUBLISHED}),
}


def state(folder: Path) -> dict[Path, tuple[bytes, int]]:
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_training_leaves_the_users_folder_as_it_is(
    trainer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "pets"
    yaml = photographs(folder, train=5, val=4, suffix=".jpg")
    for split in ("train", "val"):
        beside = [image(folder, split, number, ".npy") for number in range(3)]
        np.save(beside[0], np.full((16, 16, 1), 9, np.uint8))  # Ultralytics would write it anew with three channels
        np.save(beside[1], np.full((16, 16, 3), 9, np.uint8))
        beside[2].write_bytes(b"no array")  # this it would delete
        (folder / "labels" / f"{split}.cache").write_bytes(b"no cache")
        goes_on = image(folder, split, 3, ".jpg")
        goes_on.write_bytes(goes_on.read_bytes() + b"padding")
    label(folder, "train", 0).write_text("0 0.5 0.5 0.25 0.25\n1 900 900 10 10\n")
    before = state(folder)
    info = check_dataset(str(yaml), 64, allow_unusable=True)
    base = resolve_base("yolov5n")
    run, others = TRAINERS[trainer]
    monkeypatch.chdir(tmp_path)
    training = Training(
        config=base.config,
        data=str(info.path),
        data_fingerprint=info.fingerprint,
        classes=2,
        schedule=Schedule(epochs=1, batch=2, imgsz=64, learning_rate=1e-3),
        seed=0,
        device="cpu",
        threads=1,
        base_config=base.config,
        base_weights=None,
        layers={},
    )
    assert run(replace(training, **others)).map50_95 >= 0
    assert state(folder) == before
