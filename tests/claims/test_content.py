"""Effective weights: a convolution's are numbers, AttnConv's follow the input."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from harness.blocks import CloAttention
from harness.blocks.attention import AttnConv
from harness.claims import content
from harness.claims.content import WIDTH, Build, attention, effective_weights, variation, weights_adapt
from harness.claims.verdict import Verdict


def constant_gate(kernel: int, seed: int) -> nn.Module:
    """An AttnConv whose gate is its bias alone."""
    module = attention("attnconv")(kernel, seed)
    assert isinstance(module, CloAttention)
    branch = module.local_branch[0]
    assert isinstance(branch, AttnConv)
    nn.init.zeros_(branch.gate_out.weight)
    return module


def parts(build: Build) -> tuple[CloAttention, Tensor]:
    module = build(3, 0)
    assert isinstance(module, CloAttention)
    return module, torch.randn(2, WIDTH, 18, 18, generator=torch.Generator().manual_seed(1))


def test_attnconvs_weights_follow_the_content() -> None:
    finding = weights_adapt(kernels=(3, 5), images=4)
    assert finding.verdict is Verdict.REPRODUCED
    assert finding.figures[0].value > 0.05
    assert finding.figures[1].value == 0


def test_a_constant_gate_is_refuted() -> None:
    finding = weights_adapt(constant_gate, kernels=(3, 5), images=4)
    assert finding.verdict is Verdict.REFUTED
    assert finding.figures[0].value < 1e-6


def test_a_convolution_is_refuted() -> None:
    assert weights_adapt(attention("conv"), kernels=(3,), images=4).verdict is Verdict.REFUTED


def test_a_convolution_that_seems_to_vary_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    gated = attention("attnconv")
    monkeypatch.setattr(content, "attention", lambda _operator: gated)
    assert weights_adapt(kernels=(3,), images=4).verdict is Verdict.UNDECIDED


def test_a_convolutions_weight_is_its_central_tap_and_the_residual() -> None:
    module, images = parts(attention("conv"))
    tap = module.local_branch[0].aggregate.weight[:, 0, 1, 1]  # type: ignore[union-attr, index]
    weights = effective_weights(module, 3, images)
    torch.testing.assert_close(weights, (1 + tap).view(1, -1, 1, 1).expand_as(weights))
    assert variation(module, 3, 4).spread == 0


def test_attnconvs_weight_is_its_central_tap_times_the_gate_of_the_paper() -> None:
    """tanh(FC(Swish(FC(Q ⊙ K))) / √d), with Q and K after the depth-wise convolution."""
    module, images = parts(attention("attnconv"))
    branch = module.local_branch[0]
    assert isinstance(branch, AttnConv)
    query, key, _ = branch.aggregate(module.project_in(images)).chunk(3, dim=1)
    hidden = branch.gate_in(query * key)
    gate = torch.tanh(branch.gate_out(hidden * torch.sigmoid(hidden)) / (WIDTH / content.HEADS) ** 0.5)
    tap = branch.aggregate.weight[2 * WIDTH :, 0, 1, 1].view(1, -1, 1, 1)
    torch.testing.assert_close(effective_weights(module, 3, images), (gate * tap)[..., 3:-3:3, 3:-3:3])
