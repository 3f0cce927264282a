"""Ultralytics' operations are twice our MACs and eight for each element that a norm reads, to the last one."""

from __future__ import annotations

import copy

import pytest
import thop
import torch
from torch import Tensor, nn

from benchmarks.families import count, measure, normalised_elements
from harness.cost.counts import model_cost
from harness.detectors import build, resolve_base
from tests.detectors.everywhere import blocks_everywhere

SMALL = ["yolov5n", "yolov8n", "yolo11n", "yolo26n", "yolo12n", "yolov10n", "yolov7-tiny", "cloformer-xxs"]


def elements_read_by_norms(model: nn.Module, imgsz: int) -> int:
    """Counted one by one, as they come in."""
    read = 0

    def add(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal read
        read += inputs[0].numel()

    norms = [module for module in model.modules() if isinstance(module, (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm))]
    handles = [norm.register_forward_pre_hook(add) for norm in norms]
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, imgsz, imgsz))
    for handle in handles:
        handle.remove()
    return read


@pytest.mark.parametrize("name", SMALL)
def test_the_difference_is_norms_alone(name: str) -> None:
    model = resolve_base(name).build()
    cost, their_flops = count(model, 320)
    norms = elements_read_by_norms(model, 320)
    assert normalised_elements(cost) == norms > 0
    assert their_flops == 2 * cost.macs + 8 * norms


@pytest.mark.slow
@pytest.mark.parametrize("name", ["yolov5n", "yolo26n", "cloformer-xxs"])
@pytest.mark.parametrize("imgsz", [128, 320])
def test_so_it_is_with_blocks_at_every_site(name: str, imgsz: int) -> None:
    """Their attention too: both tools count its products."""
    config, _ = blocks_everywhere(resolve_base(name))
    model = build(config)
    cost, their_flops = count(model, imgsz)
    assert cost.by_operator["scaled_dot_product_attention"] > 0
    assert their_flops == 2 * cost.macs + 8 * elements_read_by_norms(model, imgsz)


@pytest.mark.slow
def test_ultralytics_extrapolation_from_small_images_is_exact_here() -> None:
    model = resolve_base("yolo12n").build().eval()
    _, extrapolated = count(model, 640)
    whole, _ = thop.profile(copy.deepcopy(model), inputs=[torch.zeros(1, 3, 640, 640)], verbose=False)
    assert extrapolated == 2 * whole


def test_of_a_fused_model_without_group_norms_the_two_counts_are_one() -> None:
    model = resolve_base("yolov7-tiny").build().eval().fuse(verbose=False)
    cost, their_flops = count(model, 320)
    assert normalised_elements(cost) == 0
    assert their_flops == cost.flops


def test_fusing_re_parameterises_and_drops_a_branch_of_a_double_head() -> None:
    row = measure("yolo26n", 64)
    head = resolve_base("yolo26n").build().model[-1]
    branch = sum(p.numel() for part in (head.one2one_cv2, head.one2one_cv3) for p in part.parameters())
    with_norms = sum(p.numel() for m in head.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters())
    assert row.fused.params < row.cost.params - branch + with_norms
    assert row.fused.macs < row.cost.macs
    assert row.their_params == row.cost.params
    assert (row.unexplained, row.cells()[0]) == (0, "yolo26n")


def test_batch_norms_are_in_no_figure_of_ours() -> None:
    model = resolve_base("yolov8n").build().eval()
    assert model_cost(model, 64).macs == model_cost(copy.deepcopy(model).fuse(verbose=False), 64).macs
