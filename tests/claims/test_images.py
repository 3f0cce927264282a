"""What is read is what was written: colours in order, the middle kept, nothing padded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import harness.detectors  # noqa: F401 - Ultralytics replaces PIL's Image.open, as it does in a real run
from harness.claims.images import read_images
from harness.common.errors import UserError


def test_an_image_of_the_right_size_is_read_pixel_by_pixel(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (read,) = read_images([tmp_path / "a.png"], 8)
    assert torch.equal(read, torch.from_numpy(pixels).permute(2, 0, 1) / 255)


def test_of_a_wide_image_the_middle_is_read(tmp_path: Path) -> None:
    pixels = np.zeros((8, 24, 3), dtype=np.uint8)
    pixels[:, 8:16] = (255, 0, 0)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (read,) = read_images([tmp_path / "a.png"], 8)
    assert read[0].min() == 1 and read[1:].max() == 0


def test_a_grey_image_has_three_equal_channels(tmp_path: Path) -> None:
    Image.fromarray(np.full((10, 10), 51, dtype=np.uint8)).save(tmp_path / "a.png")
    assert torch.equal(read_images([tmp_path / "a.png"] * 2, 4), torch.full((2, 3, 4, 4), 51 / 255))


def test_no_path_is_no_image() -> None:
    assert read_images([], 4).shape == (0, 3, 4, 4)


@pytest.mark.parametrize("content", [b"no image", None])
def test_what_is_no_image_is_refused_by_name(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UserError, match=r"a.png: not a readable image"):
        read_images([tmp_path / "a.png"], 4)
