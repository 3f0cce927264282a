"""An insertion is a model YAML whose layers take what the base's took, through the block where there is one."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from ultralytics.nn.tasks import DetectionModel

from harness.architecture import Architecture, FeedForward, Gate, Init, Kind, Mode, Operator, Placement
from harness.blocks import CloBlock, RegisteredBlock
from harness.common.errors import UserError
from harness.detectors import (
    Base,
    build,
    find_sites,
    index_map,
    insert,
    load_model,
    resolve_base,
    to_yaml,
    transfer,
)
from harness.training.accuracy import save_checkpoint
from tests.detectors.everywhere import as_if_trained, placement

SITES = [
    "backbone.P2", "backbone.P3", "backbone.P4", "backbone.P5", "backbone.SPPF",
    "neck.P4_up", "neck.P3", "neck.P4", "neck.P5",
]  # fmt: skip


@pytest.mark.parametrize("name", ["yolov5n", "yolov8n"])
@pytest.mark.parametrize("site", [*SITES, "all"])
@pytest.mark.parametrize("kind", [Kind.ATTENTION, Kind.BLOCK])
def test_the_new_detector_starts_as_the_base_bit_for_bit(name: str, site: str, kind: Kind) -> None:
    base = resolve_base(name)
    sites = find_sites(base)
    chosen = SITES if site == "all" else [site]
    architecture = Architecture(base=name, placements=tuple(placement(s, kind) for s in chosen))
    original = randomised(base)
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
import harness, harness.training.torchvision_compat as c; c.ensure_torchvision()
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


# --- Inside and in place of a layer ---------------------------------------------------------------


def randomised(base: Base) -> DetectionModel:
    torch.manual_seed(0)
    return as_if_trained(base.build(10))


@pytest.mark.parametrize("name", ["yolov5n", "yolov8n", "yolo11n", "yolo26n"])
@pytest.mark.parametrize("kind", [Kind.ATTENTION, "se"])
def test_blocks_inside_every_bottleneck_start_as_the_base_bit_for_bit(name: str, kind: str) -> None:
    """YOLO11's and YOLO26's heads have the form they have because of C3k2: it stays, and so do its tensors."""
    base = resolve_base(name)
    sites = find_sites(base)
    inner = {site: found.inside for site, found in sites.items() if Mode.INSIDE in found.modes}
    shape: dict[str, Any] = {"global_heads": 2} if kind == Kind.ATTENTION else {"options": (("reduction", 4),)}
    architecture = Architecture(
        base=name, placements=tuple(Placement(site=site, mode=Mode.INSIDE, kind=kind, **shape) for site in inner)
    )
    original = randomised(base)
    detector = build(insert(base, architecture, sites=sites, classes=10))
    moved = transfer(original, detector, index_map(base, architecture, sites))
    new = [m for m in detector.modules() if isinstance(m, CloBlock | RegisteredBlock)]
    assert len(new) == sum(map(len, inner.values())) >= 8
    assert (moved.arrived, moved.left_behind) == (moved.total, {})
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        ours, theirs = detector.eval()(images), original.eval()(images)
    assert torch.equal(*(out[0] if isinstance(out, tuple) else out for out in (ours, theirs)))


def test_inside_is_one_argument_of_the_row_and_shifts_nothing() -> None:
    base = resolve_base("yolov8n")
    inside = replace(placement("backbone.P4", Kind.BARE), mode=Mode.INSIDE)
    architecture = Architecture(base="yolov8n", placements=(inside,))
    config = insert(base, architecture)
    row = config["backbone"][6]
    assert row == [-1, 6, "C2f", [512, True, {"inside": {"CloAttention": [64, 4, [2, 2], [5], 2]}}]]
    changed = [new for new, old in zip(config["backbone"], base.config["backbone"], strict=True) if new != old]
    assert changed == [row] and config["head"] == base.config["head"]
    detector = build(config)
    bottlenecks = [type(m).__name__ for m in detector.model[6].m]
    assert bottlenecks == ["BottleneckWithBlock"] * 2  # 6 repeats × depth 0.33
    x = torch.rand(1, 64, 8, 8)
    first = detector.eval().model[6].m[0]
    torch.testing.assert_close(first(x), x + first.block(first.cv2(first.cv1(x))))


def test_a_neck_without_shortcuts_has_none_inside() -> None:
    inside = replace(placement("neck.P3", Kind.BARE), mode=Mode.INSIDE)
    detector = build(insert(resolve_base("yolov8n"), Architecture(base="yolov8n", placements=(inside,))))
    x = torch.rand(1, 32, 8, 8)
    first = detector.eval().model[15].m[0]
    torch.testing.assert_close(first(x), first.block(first.cv2(first.cv1(x))))


def test_a_replaced_stage_leaves_its_own_tensors_behind_and_no_others() -> None:
    base = resolve_base("yolov5n")
    sites = find_sites(base)
    instead = replace(placement("backbone.P5"), mode=Mode.REPLACE)
    architecture = Architecture(base="yolov5n", placements=(instead,))
    config = insert(base, architecture, sites=sites, classes=10)
    assert config["backbone"][8] == [-1, 1, "CloBlock", [256, 256, 4, [2, 2], [5], 2, 5, 4.0, 1]]
    assert len(config["backbone"]) == len(base.config["backbone"])
    original = randomised(base)
    moved = transfer(original, build(config), index_map(base, architecture, sites))
    lost = [name for name in original.state_dict() if name.startswith("model.8.")]
    assert list(moved.left_behind) == lost
    assert set(moved.left_behind.values()) == {"its layer was replaced"}
    assert moved.arrived == moved.total - len(lost)
    assert {name.split(".")[1] for name in moved.new} == {"8"}


@pytest.mark.parametrize(
    ("site", "mode", "sentence"),
    [
        ("neck.P3", Mode.REPLACE, r"neck.P3: mode replace is not possible, its layer changes channels or map size; "),
        ("backbone.SPPF", Mode.INSIDE, "its layer has no bottleneck; modes here: after, replace"),
    ],
)
def test_a_mode_that_a_layer_does_not_allow_is_refused_with_those_it_does(site: str, mode: Mode, sentence: str) -> None:
    architecture = Architecture(base="yolov5n", placements=(replace(placement(site), mode=mode),))
    with pytest.raises(UserError, match=sentence):
        insert(resolve_base("yolov5n"), architecture)


# --- What the row says ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "tail"),
    [
        ({}, []),
        ({"init": Init.OFFICIAL}, ["official"]),
        ({"operator": Operator.CONV}, ["identity", "conv"]),
        ({"gate": Gate.NONE}, ["identity", "attnconv", "none"]),
        ({"aggregate_v": False}, ["identity", "attnconv", "swish_tanh", True, False]),
        ({"ffn": FeedForward.PLAIN}, ["identity", "attnconv", "swish_tanh", True, True, "plain"]),
    ],
)
def test_a_row_says_what_differs_and_ultralytics_builds_it(changes: dict[str, Any], tail: list[Any]) -> None:
    architecture = Architecture(base="yolov5n", placements=(replace(placement("neck.P5"), **changes),))
    config = yaml.safe_load(to_yaml(insert(resolve_base("yolov5n"), architecture)))
    row = config["head"][-2]
    assert row == [-1, 1, "CloBlock", [256, 256, 4, [2, 2], [5], 2, 5, 4.0, 1, *tail]]
    [block] = [m for m in build(config).modules() if isinstance(m, CloBlock)]
    again = CloBlock(*row[3])
    assert [(n, p.shape) for n, p in block.named_parameters()] == [(n, p.shape) for n, p in again.named_parameters()]
    assert repr(block) == repr(again)


def test_an_unknown_block_or_option_is_refused_at_its_site() -> None:
    base = resolve_base("yolov5n")
    for kind, options, sentence in (
        ("no_such_block", (), r"neck.P5: no block 'no_such_block' is registered"),
        ("se", (("ratio", 2),), r"neck.P5: block 'se' has no option 'ratio'; its options: reduction"),
        ("absent.py:mine", (), r"neck.P5: absent.py: no such file of blocks"),
    ):
        wanted = Placement(site="neck.P5", kind=kind, options=options)
        with pytest.raises(UserError, match=sentence):
            insert(base, Architecture(base="yolov5n", placements=(wanted,)))


@pytest.mark.parametrize("name", ["yolov5n", "yolo11n"])
def test_with_blocks_inside_and_in_place_it_trains_fuses_and_comes_back(name: str, tmp_path: Path) -> None:
    base = resolve_base(name)
    attention: dict[str, Any] = {"kind": Kind.ATTENTION, "init": Init.OFFICIAL}
    placements = (
        replace(placement("backbone.P4"), mode=Mode.INSIDE, **attention),
        replace(placement("backbone.P5"), mode=Mode.REPLACE, **attention),
        Placement(site="neck.P4", mode=Mode.INSIDE, kind="cbam", init=Init.OFFICIAL),
    )
    detector = build(insert(base, Architecture(base=name, placements=placements), classes=10))
    images = torch.rand(2, 3, 64, 64)
    outputs = detector.train()(images)
    sum(out.square().mean() for out in tensors_of(outputs)).backward()  # type: ignore[union-attr]
    blocks = [m for m in detector.modules() if isinstance(m, CloBlock | RegisteredBlock)]
    assert all(p.grad is not None and p.grad.isfinite().all() for block in blocks for p in block.parameters())
    with torch.no_grad():
        before = detector.eval()(images)[0]
        save_checkpoint(detector, tmp_path / "m.pt")
        again = load_model(str(tmp_path / "m.pt")).float().eval()
        assert torch.equal(again(images)[0], before)
        torch.testing.assert_close(again.fuse(verbose=False)(images)[0], before, atol=1e-4, rtol=1e-4)


def tensors_of(output: Any) -> list[torch.Tensor]:
    if isinstance(output, torch.Tensor):
        return [output]
    values = output.values() if isinstance(output, dict) else output
    return [tensor for value in values for tensor in tensors_of(value)]
