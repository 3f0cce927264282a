"""A CloFormer detector's backbone is CloFormer, to the last bit, and takes the official weights."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import DetectionModel

from harness.blocks import CloFormer
from harness.blocks.cloformer import VARIANTS
from harness.common.errors import UserError
from harness.detectors import find_sites, load_official_backbone, resolve_base
from harness.detectors.cloformer import CloFormerStage, CloFormerStem
from tests.detectors.everywhere import as_if_trained

SITES = [
    "backbone.P2", "backbone.P3", "backbone.P4", "backbone.P5", "backbone.SPPF",
    "neck.P4_up", "neck.P3", "neck.P4", "neck.P5",
]  # fmt: skip
CLASSIFIER = ("norm.weight", "norm.bias", "head.weight", "head.bias")


def trained(variant: str) -> CloFormer:
    """A network whose norms have seen small variances, so that their eps matters."""
    torch.manual_seed(0)
    network = as_if_trained(CloFormer.from_variant(variant, num_classes=7)).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_var is not None
            module.running_var.uniform_(1e-4, 1e-2)
    return network


def official(network: CloFormer) -> dict[str, Tensor]:
    return {key: tensor.clone() for key, tensor in network.official_tensors().items()}


def maps(detector: DetectionModel, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """P3, P4 and P5: the outputs of the first, second and fourth stage."""
    outputs, x = [], images
    with torch.no_grad():
        for layer in detector.eval().model[:5]:
            x = layer(x)
            outputs.append(x)
    return outputs[1], outputs[2], outputs[4]


@pytest.mark.parametrize("variant", ["xxs", pytest.param("xs", marks=pytest.mark.slow), "global", "no_global"])
def test_the_backbone_with_official_weights_computes_the_networks_maps(variant: str) -> None:
    network = trained(variant)
    detector = resolve_base(f"cloformer-{variant}").build()
    assert load_official_backbone(detector, official(network)) == CLASSIFIER
    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        expected = network.forward_features(images)
    for got, wanted in zip(maps(detector, images), expected, strict=True):
        assert torch.equal(got, wanted)


def test_weights_that_miss_a_tensor_change_nothing() -> None:
    detector = resolve_base("cloformer-xxs").build()
    before = {key: value.clone() for key, value in detector.state_dict().items()}
    weights = official(trained("xxs"))
    del weights["layers.3.blocks.1.norm1.weight"]
    with pytest.raises(UserError, match=re.escape("missing: layers.3.blocks.1.norm1.weight")):
        load_official_backbone(detector, weights)
    assert all(torch.equal(value, before[key]) for key, value in detector.state_dict().items())


def test_weights_of_another_variant_are_refused() -> None:
    detector = resolve_base("cloformer-xxs").build()
    with pytest.raises(UserError, match=r"do not fit the detector's CloFormer backbone: .*instead of"):
        load_official_backbone(detector, official(CloFormer.from_variant("xs")))


def test_a_detector_without_cloformer_takes_no_such_weights() -> None:
    with pytest.raises(UserError, match="no CloFormer backbone"):
        load_official_backbone(resolve_base("yolov8n").build(), {})


@pytest.mark.parametrize("variant", VARIANTS)
def test_sites_are_the_ends_of_the_stages_at_the_variants_widths(variant: str) -> None:
    sites = find_sites(resolve_base(f"cloformer-{variant}"))
    assert list(sites) == SITES
    p2, p3, p4, p5 = VARIANTS[variant].widths
    assert [site.channels for site in sites.values()] == [p2, p3, p4, p5, p5, p4, p3, p4, p5]
    assert [site.stride for site in sites.values()] == [4, 8, 16, 32, 32, 16, 8, 16, 32]


def test_the_parameters_are_the_networks_and_the_necks() -> None:
    detector = resolve_base("cloformer-xxs").build()
    network = CloFormer.from_variant("xxs", num_classes=0)
    final_norm = 2 * 256
    backbone = sum(p.numel() for p in detector.model[:5].parameters())
    assert backbone == sum(p.numel() for p in network.parameters()) - final_norm


def test_a_detector_trains_one_step() -> None:
    torch.manual_seed(0)
    detector = resolve_base("cloformer-xxs").build(4)
    detector.args = get_cfg()  # the trainer does this
    before = {name: parameter.clone() for name, parameter in detector.named_parameters()}
    optimiser = torch.optim.AdamW([p for p in detector.parameters() if p.requires_grad], lr=1e-3, weight_decay=0.0)
    batch = {
        "img": torch.rand(2, 3, 64, 64),
        "batch_idx": torch.tensor([0.0, 1.0]),
        "cls": torch.tensor([[1.0], [3.0]]),
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.6], [0.3, 0.6, 0.5, 0.3]]),
    }
    loss, _ = detector.train()(batch)
    assert loss.isfinite().all()
    loss.sum().backward()
    optimiser.step()
    backbone = tuple(f"model.{layer}." for layer in range(5))
    matrices = [(n, p) for n, p in detector.named_parameters() if n.startswith(backbone) and p.ndim > 1]
    assert [name for name, parameter in matrices if parameter.equal(before[name])] == []


def test_an_unknown_variant_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="base cloformer-m: no such CloFormer; there are cloformer-xxs, cloformer-xs"):
        resolve_base("cloformer-m")


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: CloFormerStem(3, 48, "xxs"), r"stem of xxs: channels \(3, 48\) in its row; they are \(3, 32\)"),
        (lambda: CloFormerStage(64, 64, "xxs", 2), r"stage 2 of xxs: .*they are \(64, 128\)"),
    ],
)
def test_channels_that_are_not_the_variants_are_refused(build: type[nn.Module], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        build()
