"""Which pixels hear which, against what one can count by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from harness.claims.reach import WIDTH, pixels_reached, share_reached


def test_a_point_wise_layer_hears_its_own_pixel() -> None:
    layer = nn.Conv2d(WIDTH, WIDTH, 1)
    heard = pixels_reached(layer, 6)
    assert heard.nonzero().tolist() == [[3, 3]]
    assert share_reached(layer, (3, 5)) == pytest.approx(1 / 15)


@pytest.mark.parametrize(("height", "width"), [(3, 3), (4, 6), (5, 2)])
def test_a_convolution_hears_its_kernel_clipped_at_the_border(height: int, width: int) -> None:
    # In a row of n pixels n hear themselves and n - 1 each neighbour: 3 n - 2 pairs.
    layer = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
    pairs = (3 * height - 2) * (3 * width - 2)
    assert share_reached(layer, (height, width)) == pytest.approx(pairs / (height * width) ** 2)
    assert int(pixels_reached(layer, 7).sum()) == 9


def test_the_mean_hears_all() -> None:
    class Mean(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean(dim=(2, 3), keepdim=True).expand_as(x)

    assert share_reached(Mean(), (4, 5)) == 1
