"""What is said of the data before a training, and what is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.data.check import check_dataset
from harness.jobs.setting import data_environment, data_notes
from tests.data_room.photographs import image, photographs


def test_the_plan_names_the_folder_the_counts_the_size_and_every_fault(tmp_path: Path) -> None:
    yaml = photographs(tmp_path, val=29)
    image(tmp_path, "train", 7).write_text("<html>")
    notes = data_notes(check_dataset(str(yaml), 64), 64, 16, {"mosaic": 1.0})
    assert notes[0] == f"data: {tmp_path}, 59 training and 29 validation images, at 64 px"
    assert notes[1].startswith("data: classes: 2; objects an image: 1, most 1; sides of boxes: 16 px, 16 to 16 px in")
    assert "1 of 60 training images not used: not an image but a text such as an HTML page" in notes[2]
    assert notes[3].startswith("data: The validation set has only 29 images with 29 objects")
    assert notes[4].startswith("data: augmented as Ultralytics' defaults have it: mosaic but for the last tenth")


@pytest.mark.parametrize(
    ("images", "batch", "said"),
    [
        (17, 16, "the last batch of each epoch is a single image"),
        (16, 16, ""),
        (18, 16, ""),
        (5, 1, "each batch is one image"),
        (1, 16, "the last batch of each epoch is a single image"),
    ],
)
def test_a_batch_of_one_image_is_said_and_what_avoids_it(images: int, batch: int, said: str, tmp_path: Path) -> None:
    notes = data_notes(check_dataset(str(photographs(tmp_path, train=images)), 64), 64, batch)
    assert said in notes[-1] and (len(notes) > 2) is bool(said)
    if said and images > 1:
        better = int(notes[-1].split("--batch ")[1].split()[0])
        assert better > 1 and images % better != 1


def test_what_is_kept_is_what_the_loader_uses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    yaml = photographs(tmp_path / "pets", val=4)
    image(tmp_path / "pets", "train", 7).write_text("<html>")
    monkeypatch.setenv("HOME", str(tmp_path))
    kept = json.loads(json.dumps(data_environment(check_dataset(str(yaml), 64))))
    assert (kept["train_images"], kept["val_images"], kept["data_root"]) == (59, 4, "~/pets")
    assert kept["data_counts"]["train"]["images_listed"] == 60
    assert [*kept["data_counts"]["train"]["images_unused"].values()] == [1]
    assert len(kept["data_repairs"]) == len(kept["data_cautions"]) == 1
    assert str(tmp_path) not in json.dumps(kept)
