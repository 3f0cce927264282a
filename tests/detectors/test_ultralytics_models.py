"""Every model description that the installed Ultralytics has either takes blocks or is refused in one sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import ultralytics
import yaml

from harness.common.errors import UserError
from harness.detectors import find_sites, resolve_base
from tests.detectors.everywhere import pair, raw

FOLDER = Path(ultralytics.__file__).parent / "cfg" / "models"
OTHER_TASKS = ("-cls", "-seg", "-obb", "-pose", "-depth", "-sem")
TEXT = ("yoloe-", "-world")
LARGE = ("yolov3", "yolov9c", "yolov9e", "yolov9m", "yolov10b", "yolov10l", "yolov10m", "yolov10x", "yolov10s")


def smallest(file: Path) -> str:
    """The name of a description's smallest scale; of one without scales, its own."""
    scales = yaml.safe_load(file.read_text(encoding="utf-8")).get("scales") or {}
    return re.sub(r"^(yolo(?:e-)?v?\d+)(?=-|$)", rf"\g<1>{'n' if 'n' in scales else ''}", file.stem)


NAMES = sorted(smallest(file) for file in FOLDER.rglob("*.yaml"))
REFUSED = [name for name in NAMES if "rtdetr" in name or any(part in name for part in (*OTHER_TASKS, *TEXT))]
DETECTORS = [
    pytest.param(name, marks=[pytest.mark.slow] if name.startswith(LARGE) else [])
    for name in NAMES
    if name not in REFUSED
]


def test_the_installed_package_has_the_families_that_this_was_written_for() -> None:
    assert {"yolov3-tiny", "yolov5n-p6", "yolov6n", "yolov8n-ghost", "yolov9t", "yolov10n", "yolo12n"} <= set(NAMES)
    assert len(DETECTORS) >= 25


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_with_blocks_at_every_site_computes_what_its_base_does(name: str) -> None:
    original, detector, moved = pair(name)
    assert (moved.arrived, moved.left_behind) == (moved.total, {})
    images = torch.rand(1, 3, 128, 128)  # the least for P6
    assert torch.equal(raw(detector, images), raw(original, images))


@pytest.mark.parametrize("name", DETECTORS)
def test_every_level_that_feeds_the_head_is_a_site(name: str) -> None:
    base = resolve_base(name)
    sites = find_sites(base)
    assert len([site for site in sites if re.fullmatch(r"neck\.P\d", site)]) == len(base.config["head"][-1][0])
    assert [site.layer for site in sites.values()] == sorted({site.layer for site in sites.values()})


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_detector_of_images_alone_is_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(UserError) as refused:
        resolve_base(name)
    why = (
        "which takes embeddings of a text" if name.startswith("yoloe-") or "-world" in name else "not in a Detect head"
    )
    assert re.fullmatch(rf"base {name}: ends in \w+, {why}[^\n]+ can be searched", str(refused.value))


def test_downsampling_layers_of_a_neck_end_no_stage() -> None:
    assert "neck.P5_up" not in find_sites(resolve_base("yolov9t"))  # AConv, before the P5 level
