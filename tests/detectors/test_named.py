"""A model by any name that a person may give it; the article's models exist under theirs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from harness.architecture import Architecture, Placement
from harness.blocks import CloAttention, CloBlock
from harness.common.errors import UserError
from harness.detectors import find_detector, load_model, read_architecture, resolve_base

BASES = ["yolov5s", "yolov8s"]


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize(("part", "sites"), [("backbone", "backbone.P{}"), ("head", "neck.P{}")])
def test_the_articles_models_have_a_block_at_each_level(base: str, part: str, sites: str) -> None:
    network = load_model(f"{base}-clo-{part}")
    blocks = [layer for layer in network.model if isinstance(layer, CloBlock)]
    assert [block.norm1.num_channels for block in blocks] == [128, 256, 512]
    detector = find_detector(f"{base}-clo-{part}")
    assert [p.site for p in detector.architecture.placements] == [sites.format(level) for level in (3, 4, 5)]
    assert blocks[0].layer_scale1 is not None
    assert not torch.any(blocks[0].layer_scale1)  # it starts as the base


@pytest.mark.parametrize(("base", "site"), [("yolov5n", "backbone.P5"), ("nearsighted", "backbone.P3")])
def test_the_last_stage_is_the_last_that_the_base_has(base: str, site: str) -> None:
    detector = find_detector(f"{base}-clo-backbone-last")
    assert [placement.site for placement in detector.architecture.placements] == [site]


def test_a_place_that_the_base_lacks_is_said_with_those_it_has() -> None:
    with pytest.raises(
        UserError, match=r"nearsighted-clo-head: base nearsighted has no such place; its sites are .*P3"
    ):
        find_detector("nearsighted-clo-head")


def test_bare_is_the_layer_of_the_public_forks() -> None:
    """8 heads, 4 of them local with kernel 5, KV window 4; no norm, no residual, no layer scale."""
    network = load_model("yolov8s-clo-head-bare")
    layers = [layer for layer in network.model if type(layer) is CloAttention]
    assert [layer.project_out.out_channels for layer in layers] == [128, 256, 512]
    for layer in layers:
        assert layer.local_widths == [layer.global_width]
        assert layer.local_branch[0].aggregate.kernel_size == (5, 5)  # type: ignore[union-attr]
        assert layer.global_branch is not None
        assert (layer.global_branch.heads, layer.global_branch.window_size) == (4, 4)
    assert not any(isinstance(layer, CloBlock) for layer in network.modules())


def test_a_plain_name_is_the_plain_base() -> None:
    detector = find_detector("yolov5n")
    assert detector.architecture.is_baseline
    assert len(detector.layers) == len(list(detector.load().model))
    assert detector.config(7)["nc"] == 7


def test_an_architecture_file_and_a_model_file_are_told_apart(tmp_path: Path) -> None:
    architecture = Architecture(base="yolov5n", placements=(Placement(site="neck.P3", kind="se"),))
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(architecture.to_dict()))
    (tmp_path / "m.yaml").write_text(yaml.safe_dump(resolve_base("yolov5n").config))
    assert read_architecture(str(tmp_path / "a.yaml")) == architecture
    assert read_architecture(str(tmp_path / "m.yaml")) is None
    assert read_architecture("yolov5n") is None


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("yolov5q-clo-head", "base yolov5q: no such model"),
        ("yolov5n-clo-tail", "base yolov5n-clo-tail: no such model"),
        ("yolov8n-seg-clo-head", "ends in Segment, not in a Detect head"),
    ],
)
def test_what_is_no_model_is_refused_by_name(name: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        find_detector(name)
