from __future__ import annotations

from pathlib import Path

import pytest

from harness.data import planted
from harness.detectors import find_sites, resolve_base
from harness.jobs.place import find_place
from harness.jobs.setting import prepare
from harness.record.settings import SearchSettings


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
