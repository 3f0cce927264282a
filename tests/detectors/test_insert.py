"""An insertion is a model YAML whose layers take what the base's took, through the block where there is one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from harness.architecture import Architecture, Kind, LocalGroup, Placement
from harness.blocks import CloBlock
from harness.detectors import (
    build,
    find_sites,
    index_map,
    insert,
    load_model,
    resolve_base,
    to_yaml,
    transfer,
)
from harness.errors import UserError

SITES = [
    "backbone.P2", "backbone.P3", "backbone.P4", "backbone.P5", "backbone.SPPF",
    "neck.P4_up", "neck.P3", "neck.P4", "neck.P5",
]  # fmt: skip


def placement(site: str, kind: Kind = Kind.BLOCK) -> Placement:
    return Placement(site=site, kind=kind, groups=(LocalGroup(5, 2),), global_heads=2, kv_pool=2)


@pytest.mark.parametrize("name", ["yolov5n", "yolov8n"])
@pytest.mark.parametrize("site", [*SITES, "all"])
@pytest.mark.parametrize("kind", [Kind.ATTENTION, Kind.BLOCK])
def test_the_new_detector_starts_as_the_base_bit_for_bit(name: str, site: str, kind: Kind) -> None:
    base = resolve_base(name)
    sites = find_sites(base)
    chosen = SITES if site == "all" else [site]
    architecture = Architecture(base=name, placements=tuple(placement(s, kind) for s in chosen))
    torch.manual_seed(0)
    original = base.build(10)
    for module in original.modules():  # as if trained: nothing at its neutral value
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
    detector = build(insert(base, architecture, sites=sites, classes=10))
    moved = transfer(original, detector, index_map(base, architecture, sites))
    assert sum(isinstance(m, CloBlock) for m in detector.modules()) == len(chosen)
    assert (moved.arrived, moved.left_behind) == (moved.total, {})
    images = torch.rand(2, 3, 96, 128)
    with torch.no_grad():
        assert torch.equal(detector.eval()(images)[0], original.eval()(images)[0])


def test_layers_that_took_the_site_take_the_block() -> None:
    base = resolve_base("yolov5n")
    config = insert(base, Architecture(base="yolov5n", placements=(placement("backbone.P4"),)))
    layers = config["backbone"] + config["head"]
    assert layers[6][2] == "C3"
    assert layers[7] == [-1, 1, "CloBlock", [128, 128, 4, [2, 2], [5], 2, 5, 4.0, 1]]
    assert layers[13][:3] == [[-1, 7], 1, "Concat"]  # was [-1, 6]: backbone P4, now the block's output
    assert layers[17][:3] == [[-1, 4], 1, "Concat"]  # backbone P3 lies before the block and stays
    assert layers[20][:3] == [[-1, 15], 1, "Concat"]  # was 14
    assert layers[-1][0] == [18, 21, 24]  # was 17, 20, 23


def test_the_map_of_layers_is_the_same_shift() -> None:
    base = resolve_base("yolov5n")
    architecture = Architecture(base="yolov5n", placements=(placement("backbone.P4"), placement("neck.P3")))
    layers = index_map(base, architecture, find_sites(base))
    assert [layers[i] for i in (0, 6, 7, 17, 18, 24)] == [0, 6, 8, 18, 20, 26]


def test_the_yaml_has_one_scale_and_reads_back_as_written() -> None:
    config = insert(
        resolve_base("yolov8s"), Architecture(base="yolov8s", placements=(placement("neck.P5"),)), classes=3
    )
    again = yaml.safe_load(to_yaml(config, "a comment"))
    assert again == config
    assert again["scales"] == {"s": [0.33, 0.50, 1024]}
    assert again["nc"] == 3


def test_heads_that_do_not_divide_the_channels_are_refused() -> None:
    three = Placement(site="neck.P3", global_heads=3)
    with pytest.raises(UserError, match=r"neck.P3: 3 heads do not divide its 64 channels; allowed near it: 1, 2, 4"):
        insert(resolve_base("yolov5n"), Architecture(base="yolov5n", placements=(three,)))


def test_an_unknown_site_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"unknown site 'neck.P9' in yolov5n; its sites: backbone.P2, "):
        insert(resolve_base("yolov5n"), Architecture(base="yolov5n", placements=(placement("neck.P9"),)))


def test_an_architecture_file_is_a_model(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(Architecture(base="yolov5n", placements=(placement("neck.P4"),)).to_dict()))
    assert sum(isinstance(m, CloBlock) for m in load_model(str(path)).modules()) == 1


@pytest.mark.slow
def test_plain_ultralytics_trains_the_yaml_and_reloads_it_in_a_fresh_process(tmp_path: Path, digits: Path) -> None:
    config = insert(resolve_base("yolov5n"), Architecture(base="yolov5n", placements=(placement("neck.P4"),)))
    (tmp_path / "clo.yaml").write_text(to_yaml(config))
    small = yaml.safe_load(digits.read_text())
    train = f"""
import harness, harness.torchvision_compat as c; c.ensure_torchvision()
from ultralytics import YOLO
options = dict(imgsz=64, epochs=1, batch=32, fraction=0.1, plots=False, val=False)
YOLO("clo.yaml").train(data={str(digits)!r}, project={str(tmp_path)!r}, name="run", **options)
"""
    reload = """
import harness
from ultralytics import YOLO
model = YOLO("run/weights/last.pt").model
print("blocks", sum(type(m).__name__ == "CloBlock" for m in model.modules()), len(model.names))
"""
    for script in (train, reload):
        done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
    assert f"blocks 1 {len(small['names'])}" in done.stdout
