"""Each validation image's matches: what an mAP is computed from, kept in a file of the study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from harness.half_written import part_of

Array = npt.NDArray[Any]
IOUS = 10
"""IoU 0.50, 0.55 … 0.95."""
_BITS = 1 << np.arange(IOUS, dtype=np.uint16)


@dataclass(frozen=True, kw_only=True)
class ImageMatches:
    """Ultralytics' matches, one entry an image; D detections and T objects in each.

    Attributes:
        matched: Whether a detection has an object at each IoU of 0.50 to 0.95; (D, 10).
        confidence: (D,).
        predicted: Class of each detection; (D,).
        target: Class of each object; (T,).
        names: File name of each image; empty where it is not known.
    """

    matched: Sequence[Array]
    confidence: Sequence[Array]
    predicted: Sequence[Array]
    target: Sequence[Array]
    names: Sequence[str] = ()

    def sorted_by_name(self) -> ImageMatches:
        """Return the images in the order of their names, so that two detectors' entries are of the same images."""
        order = sorted(range(len(self.names)), key=self.names.__getitem__)
        return ImageMatches(**{name: [values[index] for index in order] for name, values in vars(self).items()})


def matches_path(folder: Path, identity: str, epochs: int, base_seed: int, seed: int) -> Path:
    """Return where the matches of a training lie in a study's folder."""
    return folder / f"{identity}-{epochs}epochs-base{base_seed}-seed{seed}.npz"


def write_matches(matches: ImageMatches, path: Path) -> None:
    """Write matches compressed, the IoUs of a detection as bits. A reader never sees half a file.

    Args:
        matches: Of all images.
        path: File to write, named `.npz`; its folder is made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path)
    try:
        with part.open("wb") as file:
            np.savez_compressed(
                file,
                names=np.array(matches.names, dtype=np.str_),
                detections=np.array([len(values) for values in matches.confidence], dtype=np.uint32),
                objects=np.array([len(values) for values in matches.target], dtype=np.uint32),
                matched=_joined(matches.matched, (0, IOUS)).astype(np.uint16) @ _BITS,
                confidence=_joined(matches.confidence).astype(np.float32),
                predicted=_joined(matches.predicted).astype(np.uint16),
                target=_joined(matches.target).astype(np.uint16),
            )
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_matches(path: Path) -> ImageMatches:
    """Read what `write_matches` wrote.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is none of these files.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
        detections, objects = (np.cumsum(found[name])[:-1] for name in ("detections", "objects"))
        return ImageMatches(
            matched=np.split((found["matched"][:, None] & _BITS) > 0, detections),
            confidence=np.split(found["confidence"], detections),
            predicted=np.split(found["predicted"], detections),
            target=np.split(found["target"], objects),
            names=found["names"].tolist(),
        )
    except (KeyError, EOFError, BadZipFile) as error:
        raise ValueError(f"{path}: no file of matches ({error})") from error


def _joined(values: Sequence[Array], shape: tuple[int, ...] = (0,)) -> Array:
    """Return all entries as one array, where there are no images as well."""
    return np.concatenate([np.zeros(shape, np.uint8), *values])
