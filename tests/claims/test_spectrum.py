"""Spectra of waves that one knows, and hooks that leave a model as it was."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from harness.blocks import CloAttention
from harness.claims.frequency import CONSTANT, branch_spectrum, relative_log_amplitude
from harness.detectors import load_model


@pytest.mark.parametrize("cycles", [1, 2, 3])
def test_a_wave_has_its_amplitude_at_its_frequency_and_none_elsewhere(cycles: int) -> None:
    """1 + a·cos(2πk(i + j)/s) has a/2 of the mean's amplitude at (k, k)."""
    side, a = 8, 0.25
    places = torch.arange(side, dtype=torch.float64)
    wave = 1 + a * torch.cos(2 * math.pi * cycles * (places[:, None] + places[None, :]) / side)
    (curve,) = relative_log_amplitude(wave[None, None].float())
    assert curve.shape == (side // 2 + 1,)
    assert curve[0] == 0
    assert curve[cycles] == pytest.approx(math.log(a / 2), abs=1e-5)
    others = [float(curve[k]) for k in range(1, 5) if k != cycles]
    assert max(others) < CONSTANT


def test_the_highest_frequency_is_pi() -> None:
    """A chessboard around 1 with contrast a has a of the mean's amplitude there."""
    places = torch.arange(6)
    board = 1 + 0.1 * (-1.0) ** (places[:, None] + places[None, :])
    assert relative_log_amplitude(board[None, None])[0, -1] == pytest.approx(math.log(0.1), abs=1e-5)


def test_channels_are_averaged_and_images_are_not() -> None:
    maps = torch.rand(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    whole = relative_log_amplitude(maps)
    parts = torch.stack([relative_log_amplitude(maps[:, [channel]]) for channel in range(4)])
    torch.testing.assert_close(whole, parts.mean(dim=0))
    torch.testing.assert_close(whole[1:2], relative_log_amplitude(maps[1:2]))


def test_of_a_map_that_is_no_square_the_middle_is_taken() -> None:
    maps = torch.rand(1, 2, 8, 12, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(relative_log_amplitude(maps), relative_log_amplitude(maps[..., 2:10]))


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_constant_map_has_rounding_alone_and_no_infinity(value: float) -> None:
    curve = relative_log_amplitude(torch.full((1, 2, 8, 8), value))
    assert torch.isfinite(curve).all()


def test_a_model_is_left_as_it_was() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 1), CloAttention(8, 2, [1, 1], [3], 2), nn.BatchNorm2d(8)).train()
    images = torch.rand(5, 3, 8, 8)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    (one,) = branch_spectrum(model, images)
    assert (one.name, one.side, one.local_branch.shape) == ("1", 8, (5, 5))
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_batches_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 1), CloAttention(8, 2, [1, 1], [3], 2))
    images = torch.rand(5, 3, 8, 8)
    (whole,) = branch_spectrum(model, images)
    monkeypatch.setattr("harness.claims.frequency.BATCH", 2)
    (split,) = branch_spectrum(model, images)
    torch.testing.assert_close(torch.tensor(whole.local_branch), torch.tensor(split.local_branch), atol=1e-4, rtol=0)


def test_attentions_with_one_branch_or_a_tiny_map_have_no_comparison() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 1), CloAttention(8, 2, [2, 0], [3], 2), CloAttention(8, 2, [2], [], 2),
        nn.AvgPool2d(4), CloAttention(8, 2, [1, 1], [3], 2),
    )  # fmt: skip
    assert branch_spectrum(model, torch.rand(2, 3, 8, 8)) == []


def test_every_attention_of_a_detector_is_seen() -> None:
    spectra = branch_spectrum(load_model("yolov5n-clo-head"), torch.rand(2, 3, 128, 128))
    assert [one.side for one in spectra] == [16, 8, 4]
    assert [one.name.rpartition(".")[2] for one in spectra] == ["attn"] * 3
