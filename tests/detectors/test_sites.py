"""Sites are found from the graph of every scale, not from layer numbers."""

from __future__ import annotations

import pytest

from harness.common.errors import UserError
from harness.detectors import find_sites, map_sizes, resolve_base

NAMES = [
    "backbone.P2", "backbone.P3", "backbone.P4", "backbone.P5", "backbone.SPPF",
    "neck.P4_up", "neck.P3", "neck.P4", "neck.P5",
]  # fmt: skip


def test_sites_of_yolov5n_are_the_ends_of_its_stages() -> None:
    sites = find_sites(resolve_base("yolov5n"))
    # layer numbers and widths as the comments of Ultralytics' yolov5.yaml give them, times 0.25
    assert [(s.name, s.layer, s.channels, s.stride) for s in sites.values()] == [
        ("backbone.P2", 2, 32, 4),
        ("backbone.P3", 4, 64, 8),
        ("backbone.P4", 6, 128, 16),
        ("backbone.P5", 8, 256, 32),
        ("backbone.SPPF", 9, 256, 32),
        ("neck.P4_up", 13, 128, 16),
        ("neck.P3", 17, 64, 8),
        ("neck.P4", 20, 128, 16),
        ("neck.P5", 23, 256, 32),
    ]


@pytest.mark.parametrize("name", [f"yolov{version}{scale}" for version in (5, 8) for scale in "nsm"])
def test_every_scale_has_the_same_names(name: str) -> None:
    assert list(find_sites(resolve_base(name))) == NAMES


@pytest.mark.slow
@pytest.mark.parametrize("name", [f"yolov{version}{scale}" for version in (5, 8) for scale in "lx"])
def test_large_scales_too(name: str) -> None:
    assert list(find_sites(resolve_base(name))) == NAMES


def test_a_fourth_level_gets_its_own_names() -> None:
    assert list(find_sites(resolve_base("yolov5n6")))[-6:] == [
        "neck.P5_up", "neck.P4_up", "neck.P3", "neck.P4", "neck.P5", "neck.P6",
    ]  # fmt: skip


def test_map_sizes_follow_the_image_size() -> None:
    maps = map_sizes(find_sites(resolve_base("yolov8n")), imgsz=128)
    assert maps["neck.P3"] == (16, 16)
    assert maps["backbone.SPPF"] == (4, 4)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("yolov5q", "base yolov5q: no such model"),
        ("nowhere.pt", "no such checkpoint"),
        ("yolov8n-seg", "ends in Segment, not in a Detect head"),
        ("rtdetr-l", "ends in RTDETRDecoder"),
    ],
)
def test_what_is_no_base_is_refused_by_name(spec: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        resolve_base(spec)
