"""A user's data on the command line: said, refused, allowed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from harness.storage.records import load_record
from tests.cli.command_line import Clo, sentence
from tests.cli.pretended import Trainings
from tests.data_room.photographs import image, photographs


@pytest.fixture
def spoiled(tmp_path: Path) -> Path:
    """Twenty training images of which one is none."""
    photographs(tmp_path / "pets", train=20, val=30)
    image(tmp_path / "pets", "train", 3).write_text("<html>")
    return tmp_path / "pets" / "data.yaml"


COMMANDS = {
    "search": ("search", "--quiet"),
    "ablate": ("ablate", "--model", "yolov5n-clo-head"),
    "reproduce": ("reproduce", "--protocol", "short"),
    "train": ("train", "yolov5n"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_data_of_which_too_much_is_unusable_are_refused_by_every_command(command: str, clo: Clo, spoiled: Path) -> None:
    said = clo(*COMMANDS[command], "--data", str(spoiled), "--imgsz", "64")
    assert said.code == 2 and "Traceback" not in said.err
    assert "1 of 20 training images cannot be used: 1 not an image but a text such as an HTML page" in said.err
    assert "--allow-unusable" in said.err


@pytest.mark.parametrize("command", COMMANDS)
def test_validation_on_the_training_images_is_refused_by_every_command(command: str, clo: Clo, tmp_path: Path) -> None:
    data = photographs(tmp_path / "pets", train=4, val=4)
    data.write_text(yaml.safe_dump({"train": "images/train", "val": "images/train", "names": ["cat"]}))
    said = clo(*COMMANDS[command], "--data", str(data), "--imgsz", "64")
    assert said.code == 2 and "4 of 4 validation images are training images" in said.err
    assert "--allow-val-in-train" in said.err


def test_what_is_allowed_is_searched_said_and_kept(
    clo: Clo, trainings: Trainings, small_search: tuple[str, ...], spoiled: Path, tmp_path: Path
) -> None:
    typed = (*small_search, "--data", str(spoiled), "--allow-unusable")
    said = clo(*typed)
    assert said.code == 0, said
    assert f"data: {spoiled.parent}, 19 training and 30 validation images, at 64 px" in said.out
    assert "1 of 20 training images not used" in said.out
    record = load_record(f"sqlite:///{tmp_path}/results/y/study.db", "y")
    counts = record.environment.to_dict()["data_counts"]["train"]
    assert (record.environment.train_images, counts["images_used"], counts["images_listed"]) == (19, 19, 20)
    assert record.settings.allow_unusable is True
    refused = sentence(clo(*small_search, "--quiet", "--data", str(spoiled)))
    assert "--allow-unusable" in refused
    assert {training.data for training in trainings.asked} == {str(spoiled)}


def test_the_same_data_by_another_path_go_on_with_the_study(
    clo: Clo, trainings: Trainings, small_search: tuple[str, ...], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert clo(*small_search).code == 0
    done = len(trainings.asked)
    again = clo(*small_search, "--data", "data/../data/data.yaml", "--json")
    assert again.code == 0, again
    assert len(trainings.asked) == done and json.loads(again.out)
