"""CloFormer against its published figures, and networks that are built otherwise."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from harness.blocks import CloFormer
from harness.blocks.cloformer import Downsample
from harness.claims.network import GFLOPS, has_the_published_flops, has_the_published_params, has_the_published_shape
from harness.claims.verdict import Verdict


class MaxPooled(CloFormer):
    """The classifier takes the greatest value of each channel instead of its mean."""

    def forward(self, image: Tensor) -> Tensor:
        pooled = self.norm(self.forward_features(image)[-1].flatten(2)).amax(dim=-1)
        logits: Tensor = self.head(pooled)
        return logits


@pytest.fixture
def network() -> CloFormer:
    return CloFormer.from_variant("xxs")


def test_the_network_has_the_published_shape() -> None:
    finding = has_the_published_shape()
    assert finding.verdict is Verdict.REPRODUCED
    assert [row["found"] for row in finding.rows[:4]] == ["stride 2", "stride 2", "stride 1", "stride 1"]
    assert finding.rows[6]["found"] == "6 × CloBlock"


def test_other_strides_in_the_stem_are_refuted(network: CloFormer) -> None:
    for step, stride in ((1, 1), (2, 2)):  # the same stride in all, at another place
        network.stem.steps[step][0].stride = (stride, stride)  # type: ignore[index]
    finding = has_the_published_shape(network)
    assert finding.verdict is Verdict.REFUTED
    assert "strides 2, 1, 2, 1" in finding.sentence


def test_a_stage_without_convffn_is_refuted(network: CloFormer) -> None:
    network.stages[2][0].mlp.dwconv = nn.Identity()  # type: ignore[index]
    finding = has_the_published_shape(network)
    assert finding.verdict is Verdict.REFUTED
    assert "3 of 4 stages" in finding.sentence


def test_another_classifier_is_refuted() -> None:
    torch.manual_seed(0)
    assert has_the_published_shape(MaxPooled.from_variant("xxs")).verdict is Verdict.REFUTED


def test_the_published_codes_parameters_round_to_the_published_ones() -> None:
    finding = has_the_published_params()
    assert finding.verdict is Verdict.REPRODUCED
    assert [row["published"] for row in finding.rows] == [4.2, 7.2, 12.3]
    counted = [4.166728, 7.172216, 12.345576]  # of the published code, by its authors' checkpoints
    assert [figure.value for figure in finding.figures] == counted


def test_other_parameters_are_refuted() -> None:
    def with_ten_classes(name: str, skip: Downsample) -> nn.Module:
        return CloFormer.from_variant(name, 10, skip)

    assert has_the_published_params(with_ten_classes).verdict is Verdict.REFUTED


def test_the_published_operations_are_not_those_of_the_network_with_the_published_parameters() -> None:
    """docs/cost.md: 0.661, 1.219 and 2.170 GMACs against 0.6, 1.1 and 2.0."""
    finding = has_the_published_flops()
    assert finding.verdict is Verdict.REFUTED
    assert [round(figure.value, 3) for figure in finding.figures] == [0.661, 1.219, 2.170]
    assert finding.sentence.endswith("for: paper's text, with norms.")


def test_a_network_with_the_published_operations_would_be_found() -> None:
    """A convolution of 8-pixel patches has 28² · 3 · 8² MACs at 224 pixels for each of its outputs."""

    def patches(name: str, _skip: Downsample) -> nn.Module:
        return nn.Conv2d(3, round(GFLOPS[name] * 1e9 / (28**2 * 3 * 8**2)), 8, 8)

    assert has_the_published_flops(patches).verdict is Verdict.REPRODUCED
