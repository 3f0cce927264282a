"""Every base tensor arrives, or is named."""

from __future__ import annotations

from pathlib import Path

import torch

from harness.architecture import Architecture, Placement
from harness.detectors import build, find_sites, index_map, insert, resolve_base, to_yaml, transfer


def test_another_number_of_classes_leaves_only_class_outputs_behind() -> None:
    base = resolve_base("yolov8m")  # its class branch is as wide for 80 classes as for 10
    sites = find_sites(base)
    architecture = Architecture(base="yolov8m", placements=(Placement(site="neck.P3", global_heads=4),))
    original = base.build(80)
    detector = build(insert(base, architecture, sites=sites, classes=10))
    moved = transfer(original, detector, index_map(base, architecture, sites))
    head = len(original.model) - 1
    outputs = {f"model.{head}.cv3.{level}.2.{part}" for level in range(3) for part in ("weight", "bias")}
    assert set(moved.left_behind) == outputs
    assert moved.arrived == moved.total - 6
    assert "shape (80, " in moved.left_behind[f"model.{head}.cv3.0.2.weight"]


def test_tensors_arrive_at_their_layers_new_number() -> None:
    base = resolve_base("yolov5n")
    sites = find_sites(base)
    architecture = Architecture(base="yolov5n", placements=(Placement(site="backbone.P3", global_heads=4),))
    original, detector = base.build(10), build(insert(base, architecture, sites=sites, classes=10))
    transfer(original, detector, index_map(base, architecture, sites))
    assert torch.equal(original.model[7].conv.weight, detector.model[8].conv.weight)
    assert torch.equal(original.model[4].cv1.conv.weight, detector.model[4].cv1.conv.weight)


def test_a_base_that_changed_under_its_name_is_another_base(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    text = to_yaml(insert(resolve_base("yolov5n"), Architecture(base="yolov5n")))
    path.write_text(text)
    before = resolve_base(str(path)).fingerprint
    assert resolve_base(str(path)).fingerprint == before
    path.write_text(text.replace("[-1, 9, C3, [512]]", "[-1, 6, C3, [512]]"))
    assert resolve_base(str(path)).fingerprint != before
