from __future__ import annotations

from pathlib import Path

import pytest
from ultralytics.cfg import get_cfg

from harness.data import planted
from harness.data.digits import DigitsSettings, ensure_digits
from harness.detectors import find_sites, resolve_base
from harness.jobs.place import find_place
from harness.jobs.setting import Prepared, prepare
from harness.record.settings import SearchSettings
from tests.data_room.photographs import photographs


@pytest.mark.parametrize(
    ("base", "task", "is_void"),
    [("nearsighted", "beacon", False), ("yolov5n", "beacon", True), ("yolov5n", "local", False)],
)
def test_a_base_that_sees_the_whole_image_makes_a_control_void(
    base: str, task: str, is_void: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = planted.PlantedSettings(task=planted.Task(task), train_images=4, val_images=4)
    data = planted.ensure_planted(tmp_path, settings)
    place = find_place(device="cpu", workers=1, threads=1)
    found = resolve_base(base)
    asked = SearchSettings(base=base, data=str(data), imgsz=128)
    said = prepare(asked, found, find_sites(found), place).data.cautions
    assert any("no control" in each for each in said) is is_void
    assert (f"{base} sees 128 of 128 px" in " ".join(said)) is is_void


def test_photographs_get_ultralytics_own_augmentation_and_painted_scenes_the_digits(tmp_path: Path) -> None:
    scenes = ensure_digits(tmp_path / "digits", DigitsSettings(train_images=4, val_images=4))
    place, base = find_place(device="cpu", workers=1, threads=1), resolve_base("yolov5n")

    def prepared(yaml: Path) -> Prepared:
        return prepare(SearchSettings(data=str(yaml), imgsz=64), base, {}, place)

    of_photographs, of_scenes = prepared(photographs(tmp_path / "photographs")), prepared(scenes)
    own = of_photographs.augmentation_for({})
    assert own == {name: getattr(get_cfg(), name) for name in own}
    assert (own["mosaic"], own["fliplr"], own["scale"]) == (1.0, 0.5, 0.5)
    assert of_scenes.augmentation_for({}) == {}
    shared = of_photographs.comparable(own)
    assert of_photographs.augmentation_for(shared) == own
    older = of_photographs.comparable({})
    assert of_photographs.augmentation_for(older) == {}  # a study from before that goes on with what it has
    assert shared == {**older, "augmentation": "published"}
