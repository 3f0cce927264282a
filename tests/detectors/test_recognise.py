"""A model YAML of a report is the architecture that it was written from, or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.architecture import Architecture, FeedForward, Gate, Init, Kind, LocalGroup, Mode, Operator, Placement
from harness.common.errors import UserError
from harness.detectors import Base, Site, find_sites, insert, recognised, resolve_base, to_yaml
from harness.jobs.setting import find_architecture

OWN = """
from torch import nn
from harness.blocks import register_block

@register_block("own_recognised")
class Own(nn.Module):
    def __init__(self, channels: int, width: int = 1) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, width)

    def forward(self, x):
        return self.mix(x)
"""


@pytest.fixture(scope="module")
def base() -> Base:
    return resolve_base("yolov5n")


@pytest.fixture(scope="module")
def sites(base: Base) -> dict[str, Site]:
    return find_sites(base)


def written(folder: Path, base: Base, sites: dict[str, Site], *placements: Placement) -> Path:
    config = insert(base, Architecture(base=base.name, placements=placements), sites=sites, classes=3)
    path = folder / "196d03b1.yaml"
    path.write_text(to_yaml(config, "196d03b1: some blocks\nbase yolov5n; made by clo-nas"))
    return path


def clo(site: str, **fields: Any) -> Placement:
    return Placement(site=site, groups=(LocalGroup(3, 2), LocalGroup(5, 1)), global_heads=1, kv_pool=2, **fields)


@pytest.mark.parametrize(
    "placements",
    [
        (),
        (clo("neck.P4"),),
        (clo("backbone.P3", kind=Kind.ATTENTION, init=Init.OFFICIAL), clo("neck.P5", kind=Kind.BARE)),
        (clo("backbone.P4", mode=Mode.REPLACE), clo("backbone.P3")),
        (clo("backbone.P4"), clo("backbone.P5", mode=Mode.REPLACE), clo("neck.P3", mode=Mode.INSIDE)),
        (clo("neck.P3", operator=Operator.WINDOW, ffn=FeedForward.PLAIN, ffn_ratio=2.0, ffn_kernel=3),),
        (clo("neck.P3", gate=Gate.NONE, aggregate_v=False, kind=Kind.BARE),),
        (Placement(site="neck.P4", kind="se", options=(("reduction", 4),), init=Init.OFFICIAL),),
        (Placement(site="neck.P4", kind="cbam", mode=Mode.INSIDE), Placement(site="neck.P5", kind="se")),
    ],
)
def test_what_was_inserted_is_found_again(
    tmp_path: Path, base: Base, sites: dict[str, Site], placements: tuple[Placement, ...]
) -> None:
    path = written(tmp_path, base, sites, *placements)
    found = recognised(resolve_base(str(path)).config, base, sites)
    sizes = {name: site.map_size(64) for name, site in sites.items()}
    assert found is not None
    assert found.canonical(sizes) == Architecture(base="yolov5n", placements=placements).canonical(sizes)


def test_a_block_of_ones_own_is_found_with_its_file(tmp_path: Path, base: Base, sites: dict[str, Site]) -> None:
    file = tmp_path / "own_recognised.py"
    file.write_text(OWN)
    own = Placement(site="neck.P4", kind=f"{file}:own_recognised")
    path = written(tmp_path, base, sites, own)
    assert find_architecture(str(path), base, tmp_path, option="--include").placements == (own,)


def test_include_takes_the_model_yaml_of_a_report(tmp_path: Path, base: Base, sites: dict[str, Site]) -> None:
    path = written(tmp_path, base, sites, clo("neck.P4"))
    found = find_architecture(str(path), base, tmp_path, option="--include")
    assert found == Architecture(base="yolov5n", placements=(clo("neck.P4"),))


def test_a_changed_row_is_not_believed(tmp_path: Path, base: Base, sites: dict[str, Site]) -> None:
    path = written(tmp_path, base, sites, clo("neck.P4"))
    path.write_text(path.read_text().replace("[1024, 5]", "[1024, 9]"))  # SPPF's kernel
    with pytest.raises(UserError, match=r"--include .*196d03b1\.yaml: this model YAML is none of yolov5n with blocks"):
        find_architecture(str(path), base, tmp_path, option="--include")


def test_a_model_of_another_base_is_none_of_this_one(tmp_path: Path, base: Base, sites: dict[str, Site]) -> None:
    path = written(tmp_path, base, sites, clo("neck.P4"))
    other = resolve_base("yolov5s")
    assert recognised(resolve_base(str(path)).config, other, sites) is None


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("train: a\nval: b\nnames: [x]\n", "this is the YAML of a data set"),
        ("sites: []\nplacement: {}\n", "this is a search space"),
        ("models: [m]\n", "this is an ablation"),
        ("colour: red\n", "this is a YAML with the keys colour"),
    ],
)
def test_another_kind_of_file_is_named(tmp_path: Path, base: Base, text: str, what: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=what) as refused:
        find_architecture(str(path), base, tmp_path, option="--include")
    assert "--to architecture" in str(refused.value)
