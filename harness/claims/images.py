"""Images as a network takes them, without the borders that training pads them with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from harness.common.errors import UserError


def read_images(paths: Sequence[str | Path], side: int) -> Tensor:
    """Read the middle square of each image, (B, 3, side, side), RGB from 0 to 1.

    Cut, not padded: grey bars would be edges that no image has, and so high frequencies.

    Args:
        paths: Image files of any size.
        side: Side of the square, in pixels.

    Raises:
        UserError: One isn't a readable image.
    """
    return torch.stack([_read(Path(path), side) for path in paths]) if paths else torch.empty(0, 3, side, side)


def _read(path: Path, side: int) -> Tensor:
    try:
        with Image.open(path) as image:
            square = ImageOps.fit(image.convert("RGB"), (side, side), Image.Resampling.BILINEAR)
    except (
        OSError,
        ImportError,
    ) as error:  # Ultralytics' own `Image.open` looks for another package before it gives up
        raise UserError(f"{path}: not a readable image ({error}); give image files such as .jpg or .png") from error
    return torch.from_numpy(np.array(square)).permute(2, 0, 1).float() / 255
