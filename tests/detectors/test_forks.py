"""Model YAMLs as people's forks have them: channels first, the width applied, the rest by default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from harness.blocks import CloAttention, RegisteredBlock
from harness.blocks.controls import CBAM, SqueezeExcitation, cbam_cost, se_cost
from harness.common.errors import UserError
from harness.cost.counts import model_cost
from harness.detectors import build, find_sites, load_model, resolve_base, to_yaml

YOLOV5 = """
nc: 80  # number of classes
depth_multiple: 0.33  # model depth multiple
width_multiple: {width}  # layer channel multiple
anchors:
  - [10,13, 16,30, 33,23]  # P3/8
  - [30,61, 62,45, 59,119]  # P4/16
  - [116,90, 156,198, 373,326]  # P5/32

# YOLOv5 v6.0 backbone
backbone:
  # [from, number, module, args]
  [[-1, 1, Conv, [64, 6, 2, 2]],  # 0-P1/2
   [-1, 1, Conv, [128, 3, 2]],  # 1-P2/4
   [-1, 3, C3, [128]],
   [-1, 1, Conv, [256, 3, 2]],  # 3-P3/8
   [-1, 6, C3, [256]],
   [-1, 1, Conv, [512, 3, 2]],  # 5-P4/16
   [-1, 9, C3, [512]],
   [-1, 1, Conv, [1024, 3, 2]],  # 7-P5/32
   [-1, 3, C3, [1024]],
   {row}
   [-1, 1, SPPF, [1024, 5]],  # {sppf}
  ]

# YOLOv5 v6.0 head
head:
  [[-1, 1, Conv, [512, 1, 1]],
   [-1, 1, nn.Upsample, [None, 2, 'nearest']],
   [[-1, 6], 1, Concat, [1]],  # cat backbone P4
   [-1, 3, C3, [512, False]],

   [-1, 1, Conv, [256, 1, 1]],
   [-1, 1, nn.Upsample, [None, 2, 'nearest']],
   [[-1, 4], 1, Concat, [1]],  # cat backbone P3
   [-1, 3, C3, [256, False]],  # (P3/8-small)

   [-1, 1, Conv, [256, 3, 2]],
   [[-1, {p4}], 1, Concat, [1]],  # cat head P4
   [-1, 3, C3, [512, False]],  # (P4/16-medium)

   [-1, 1, Conv, [512, 3, 2]],
   [[-1, {p5}], 1, Concat, [1]],  # cat head P5
   [-1, 3, C3, [1024, False]],  # (P5/32-large)

   [[{outputs}], 1, Detect, [nc, anchors]],  # Detect(P3, P4, P5)
  ]
"""


def write(folder: Path, row: str = "", width: float = 0.25) -> str:
    """YOLOv5's own YAML, with one more row before SPPF or without."""
    more = bool(row)
    text = YOLOV5.format(
        row=f"{row}," if row else "",
        width=width,
        sppf=9 + more,
        p4=14 + more,
        p5=10 + more,
        outputs=", ".join(str(n + more) for n in (17, 20, 23)),
    )
    path = folder / "yolov5_theirs.yaml"
    path.write_text(text)
    return str(path)


def added(spec: str) -> Any:
    return load_model(spec).model[9]


def test_yolov5s_original_yaml_is_the_yolov5_of_ultralytics(tmp_path: Path) -> None:
    theirs, ours = model_cost(load_model(write(tmp_path)), 64), model_cost(load_model("yolov5n"), 64)
    assert (theirs.params, theirs.macs) == (ours.params, ours.macs)
    assert list(find_sites(resolve_base(write(tmp_path)))) == list(find_sites(resolve_base("yolov5n")))


@pytest.mark.parametrize(
    ("row", "options"),
    [
        ("[-1, 1, CBAM, [1024]]", {}),
        ("[-1, 1, CBAM, [256]]", {}),  # the width applied already
        ("[-1, 1, CBAM, []]", {}),
        ("[-1, 1, CBAM, [1024, 3]]", {"kernel_size": 3}),
        ("[-1, 1, CBAM, [1024, 1024, 7]]", {"kernel_size": 7}),
        ("[-1, 1, CBAM, [1024, 8]]", {"reduction": 8}),
        ("[-1, 1, CBAM, [1024, 16, 7]]", {"reduction": 16, "kernel_size": 7}),
        ("[-1, 1, CBAM, [7]]", {"kernel_size": 7}),
    ],
)
def test_cbam_builds_and_counts(tmp_path: Path, row: str, options: dict[str, int]) -> None:
    spec = write(tmp_path, row)
    block = added(spec)
    assert isinstance(block, RegisteredBlock)
    assert isinstance(block.block, CBAM)
    assert block.layer_scale is None  # as its authors initialise it
    plain, counted = model_cost(load_model(write(tmp_path)), 64), model_cost(load_model(write(tmp_path, row)), 64)
    params, macs = cbam_cost(256, (2, 2), **options)
    assert (counted.params - plain.params, counted.macs - plain.macs) == (params, macs)


@pytest.mark.parametrize(
    ("row", "reduction"),
    [("[-1, 1, SE, [1024]]", 16), ("[-1, 1, SE, [1024, 4]]", 4), ("[-1, 1, SE, [8]]", 8), ("[-1, 1, SE, []]", 16)],
)
def test_se_builds_and_counts(tmp_path: Path, row: str, reduction: int) -> None:
    assert isinstance(added(write(tmp_path, row)).block, SqueezeExcitation)
    more = model_cost(load_model(write(tmp_path, row)), 64).params - model_cost(load_model(write(tmp_path)), 64).params
    assert more == se_cost(256, (2, 2), reduction)[0]


@pytest.mark.parametrize(
    ("row", "heads"), [("[-1, 1, CloAttention, [1024]]", 8), ("[-1, 1, CloAttention, [1024, 4]]", 4)]
)
def test_clo_attention_has_the_forks_shape(tmp_path: Path, row: str, heads: int) -> None:
    layer = added(write(tmp_path, row))
    assert type(layer) is CloAttention
    same = CloAttention(256, heads, [heads // 2, heads // 2], [5], 4)
    assert {n: t.shape for n, t in layer.state_dict().items()} == {n: t.shape for n, t in same.state_dict().items()}
    assert layer.global_branch is not None
    assert layer.global_branch.window_size == 4


def test_the_width_is_the_models(tmp_path: Path) -> None:
    assert added(write(tmp_path, "[-1, 1, CloAttention, [1024]]", width=0.5)).project_out.out_channels == 512


def test_repeats_are_as_deep_as_the_model(tmp_path: Path) -> None:
    layer = added(write(tmp_path, "[-1, 6, CBAM, [1024]]"))
    assert isinstance(layer, nn.Sequential)
    assert len(layer) == 2  # 6 × 0.33


def test_a_yolov8_with_scales_has_the_width_of_its_scale(tmp_path: Path) -> None:
    config = resolve_base("yolov8n").config
    rows = [[*row] for row in config["backbone"]]
    rows[-1] = [-1, 1, "CBAM", [1024]]  # in SPPF's place
    path = tmp_path / "yolov8n-cbam.yaml"
    path.write_text(to_yaml({**config, "backbone": rows}))
    assert load_model(str(path)).model[9].block.weigh[0].in_channels == 256


def test_what_is_printed_is_in_our_form_and_builds_again(tmp_path: Path) -> None:
    config = resolve_base(write(tmp_path, "[-1, 1, CBAM, [1024, 3]]")).config
    assert config["backbone"][9] == [-1, 1, "RegisteredBlock", [256, {"name": "cbam", "kernel_size": 3}, "official"]]
    assert "anchors" not in config
    torch.manual_seed(0)
    again = build(config)
    assert again.state_dict().keys() == load_model(write(tmp_path, "[-1, 1, CBAM, [1024, 3]]")).state_dict().keys()


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("[-1, 1, ECA, [1024]]", r"layer 9, \[-1, 1, ECA, \[1024\]\]: no layer 'ECA'; there are A2C2f, .*, CBAM, .*SE"),
        ("[-1, 1, CBAM, 7]", r"layer 9, \[-1, 1, CBAM, 7\]: its arguments, last, are not a list"),
        ("[-1, 1, nn.Attention, []]", r"layer 9, .*: no layer 'nn.Attention'"),
        ("[-1, 1, CBAM, [512]]", r"layer 9: CBAM says 512, and 256 channels reach it; it takes \[channels, reduction"),
        ("[-1, 1, CBAM, ['all']]", r"layer 9: CBAM takes whole numbers, channels first, not \['all'\]"),
        ("[-1, 1, CloAttention, [1024, 7]]", r"layer 9: CloAttention takes \[channels, heads\]"),
        ("[-1, 1, C3, [1024, 3, 3, 3, 3, 3, 3]]", r"layer 9, \[-1, 1, C3, .*\]: it does not accept these arguments"),
        ("[[-1, 4], 1, Concat, [1]]", r"layer 9, \[\[-1, 4\], 1, Concat, \[1\]\]: Sizes of tensors must match"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence_with_the_row(tmp_path: Path, row: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as refused:
        load_model(write(tmp_path, row))
    said = str(refused.value)
    assert "\n" not in said
    assert not any(name in said for name in ("KeyError", "TypeError", "RuntimeError"))
