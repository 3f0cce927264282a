"""YOLOv7's layers are the published ones: their parameters counted by hand, their maps by plain PyTorch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from ultralytics.nn.modules.conv import Conv
from ultralytics.nn.tasks import DetectionModel

from harness.detectors import find_sites, resolve_base
from harness.detectors.yolov7 import ELAN, SPPCSPC, MPConv, RepConvolution
from tests.detectors.everywhere import as_if_trained

SITES = [
    "backbone.P2", "backbone.P3", "backbone.P4", "backbone.P5", "backbone.SPPCSPC",
    "neck.P4_up", "neck.P3", "neck.P4", "neck.P5",
]  # fmt: skip


@pytest.fixture(scope="module")
def tiny() -> DetectionModel:
    return resolve_base("yolov7-tiny").build()


@pytest.fixture(scope="module")
def large() -> DetectionModel:
    return resolve_base("yolov7").build()


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def conv(channels: int, out_channels: int, kernel: int) -> int:
    """Parameters of a convolution without bias and its batch norm."""
    return out_channels * (channels * kernel**2 + 2)


# --- The whole detectors ----------------------------------------------------------------------------------------------


def test_yolov7_tiny_has_the_published_parameters_before_the_head(tiny: DetectionModel) -> None:
    # those of cfg/training/yolov7-tiny.yaml, whose head has anchors and is another one
    assert parameters(tiny.model[:-1]) == 5_997_856


@pytest.mark.slow
def test_yolov7_has_the_published_parameters_before_the_head(large: DetectionModel) -> None:
    # cfg/training/yolov7.yaml has 37,622,682 with 80 classes; IDetect maps 256, 512 and 1024 channels to
    # 3 anchors · 85, with a bias, one implicit offset an input channel and one implicit factor an output
    implicit = 256 + 512 + 1024 + 3 * 255
    head = (256 + 512 + 1024 + 3) * 255 + implicit
    assert parameters(large.model[:-1]) == 37_622_682 - head == 37_162_400


def test_every_convolution_of_yolov7_tiny_has_its_leaky_relu(tiny: DetectionModel) -> None:
    activations = [module.act for module in tiny.modules() if isinstance(module, Conv)]
    assert len(activations) > 60
    assert {(type(a), a.negative_slope) for a in activations} == {(nn.LeakyReLU, 0.1)}


@pytest.mark.slow
def test_every_convolution_of_yolov7_has_silu(large: DetectionModel) -> None:
    branches = {id(part) for m in large.modules() if isinstance(m, RepConvolution) for part in (m.conv1, m.conv2)}
    convolutions = [m for m in large.modules() if isinstance(m, (Conv, RepConvolution)) and id(m) not in branches]
    assert {type(m.act) for m in convolutions} == {nn.SiLU}


def test_the_head_is_yolov8s_on_the_published_widths(tiny: DetectionModel) -> None:
    head = tiny.model[-1]
    assert (type(head).__name__, head.nc, head.reg_max, head.end2end) == ("Detect", 80, 16, False)
    assert [branch[0].conv.in_channels for branch in head.cv2] == [128, 256, 512]
    assert [type(layer) for layer in head.cv3[0]] == [Conv, Conv, nn.Conv2d]  # no depth-wise ones, as in YOLOv8
    assert tiny.stride.tolist() == [8, 16, 32]


def test_the_sites_are_yolov8s_with_sppcspc(tiny: DetectionModel) -> None:
    sites = find_sites(resolve_base("yolov7-tiny"))
    assert list(sites) == SITES
    classes = {name: type(tiny.model[site.layer]).__name__ for name, site in sites.items()}
    assert classes == {name: "SPPCSPC" if name.endswith("SPPCSPC") else "ELAN" for name in SITES}
    # the widths of the published rows 7, 14, 21, 28, 37, 47, 57, 65, 73
    assert [site.channels for site in sites.values()] == [64, 128, 256, 512, 256, 128, 64, 128, 256]


@pytest.mark.slow
def test_sites_of_yolov7_are_the_ends_of_its_stages() -> None:
    sites = find_sites(resolve_base("yolov7"))
    assert list(sites) == SITES
    # the widths of the published rows 11, 24, 37, 50, 51, 63, 75, 88, 101
    assert [site.channels for site in sites.values()] == [256, 512, 1024, 1024, 512, 256, 128, 256, 512]


# --- Layers -----------------------------------------------------------------------------------------------------------


def test_elan_of_the_backbone_joins_every_second_output() -> None:
    layer = ELAN(128, 256, 64, 64, 4, 2).eval()
    assert parameters(layer) == 2 * conv(128, 64, 1) + 4 * conv(64, 64, 3) + conv(4 * 64, 256, 1)
    x = noise(2, 128, 6, 5)
    side, first = layer.side(x), layer.start(x)
    second = layer.chain[1](layer.chain[0](first))
    fourth = layer.chain[3](layer.chain[2](second))
    assert torch.equal(layer(x), layer.mix(torch.cat([fourth, second, first, side], 1)))


def test_elan_of_the_neck_joins_all() -> None:
    layer = ELAN(512, 256, 256, 128, 4, 1).eval()
    chain = conv(256, 128, 3) + 3 * conv(128, 128, 3)
    assert parameters(layer) == 2 * conv(512, 256, 1) + chain + conv(2 * 256 + 4 * 128, 256, 1)
    x = noise(2, 512, 4, 3)
    joined = [layer.side(x), layer.start(x)]
    for convolution in layer.chain:
        joined.append(convolution(joined[-1]))
    assert torch.equal(layer(x), layer.mix(torch.cat(joined[::-1], 1)))


@pytest.mark.parametrize(("depth", "step"), [(4, 3), (4, 0), (0, 1)])
def test_a_chain_whose_end_is_not_joined_is_refused(depth: int, step: int) -> None:
    with pytest.raises(ValueError, match="the last one has to be among them"):
        ELAN(8, 8, 4, 4, depth, step)


def test_mpconv_halves_the_map_in_two_ways() -> None:
    layer = MPConv(16, 32).eval()
    assert parameters(layer) == 2 * conv(16, 16, 1) + conv(16, 16, 3)
    x = noise(2, 16, 8, 6)
    convolved, pooled = layer(x).chunk(2, dim=1)
    assert convolved.shape == (2, 16, 4, 3)
    assert torch.equal(pooled, layer.pooled[1](F.max_pool2d(x, 2)))


def test_an_odd_number_of_halves_is_refused() -> None:
    with pytest.raises(ValueError, match="33 output channels"):
        MPConv(16, 33)


@pytest.mark.parametrize("tiny_form", [False, True])
def test_sppcspc_pools_over_5_9_and_13_pixels(tiny_form: bool) -> None:
    layer = SPPCSPC(16, 8, tiny_form).eval()
    x = noise(2, 16, 20, 17)
    y = layer.before(x)
    pooled = [F.max_pool2d(y, kernel, 1, kernel // 2) for kernel in (5, 9, 13)]
    expected = layer.mix(torch.cat([layer.after(torch.cat([y, *pooled], 1)), layer.side(x)], 1))
    assert torch.equal(layer(x), expected)


def test_sppcspc_has_the_published_convolutions() -> None:
    common = 2 * conv(16, 8, 1) + conv(4 * 8, 8, 1) + conv(2 * 8, 8, 1)
    assert parameters(SPPCSPC(16, 8, tiny=True)) == common
    assert parameters(SPPCSPC(16, 8)) == common + 2 * conv(8, 8, 3) + conv(8, 8, 1)


@pytest.mark.parametrize("out_channels", [8, 12])
def test_a_re_parameterised_convolution_is_one_convolution(out_channels: int) -> None:
    layer = RepConvolution(8, out_channels)
    as_if_trained(layer)
    layer.eval()
    assert (layer.bn is None) == (out_channels != 8)  # the identity is a branch only where channels stay
    x = noise(2, 8, 7, 6)
    with torch.no_grad():
        expected = layer(x)
        layer.fuse_convs()
        torch.testing.assert_close(layer.forward_fuse(x), expected, atol=1e-5, rtol=1e-5)
    assert parameters(layer) == out_channels * (8 * 9 + 1)


@pytest.mark.slow
def test_fused_yolov7_has_the_36_9_million_parameters_of_the_article() -> None:
    fused = resolve_base("yolov7").build().fuse(verbose=False)
    head = (256 + 512 + 1024 + 3) * 255
    assert round((parameters(fused.model[:-1]) + head) / 1e6, 1) == 36.9  # table 1 of [1], with an anchor-based head
