"""Some images of a data set as a tensor, for what looks at a network's maps rather than at its mAP."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.data.check import DatasetInfo, image_paths


def validation_images(data: DatasetInfo, imgsz: int, count: int) -> Tensor:
    """The first images of the validation set, letterboxed as in validation.

    Returns:
        (B, 3, imgsz, imgsz), 0 to 1; B is `count`, or fewer where there are fewer.
    """
    from ultralytics.data.augment import LetterBox
    from ultralytics.utils.patches import imread

    letterbox = LetterBox((imgsz, imgsz))
    found = []
    for path in image_paths(data.path, "val")[:count]:
        image = letterbox(image=imread(path))
        found.append(torch.from_numpy(image[..., ::-1].transpose(2, 0, 1).copy()).float() / 255)
    return torch.stack(found)
