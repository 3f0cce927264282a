"""The data set that every training reads: Ultralytics' own, which touches nothing of the user's.

Left alone, Ultralytics takes a `.npy` beside an image for the image, overwrites or deletes it, keeps pickles of labels
beside the labels, and writes a JPEG anew that does not end as it should. Trainings of all kinds, the validations and
the check before them go through `read_data_our_way`.
"""

from __future__ import annotations

import functools
import io
import os
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from ultralytics.data import build as ultralytics_build
from ultralytics.data import dataset as ultralytics_dataset
from ultralytics.data import utils as ultralytics_utils
from ultralytics.utils import DEFAULT_CFG, LOGGER

from harness.common.digest import text_digest
from harness.common.isolation import cache_folder
from harness.data.listing import Description

_NOWHERE = Path(os.devnull) / "no.npy"
_TWICE = re.compile(r": (\d+) duplicate labels removed$")
_ENDING = "corrupt JPEG restored and saved"  # Ultralytics' message, although here nothing is saved


class _NoFiles:
    """Ultralytics' list of the `.npy` beside each image; there is none, whatever lies there."""

    def __getitem__(self, _number: int) -> Path:
        return _NOWHERE


class UserDataset(ultralytics_dataset.YOLODataset):
    """Ultralytics' data set, which reads and writes no copies of images; in memory it keeps them where that is asked.

    Attributes:
        messages: What Ultralytics says of single images.
    """

    messages: tuple[str, ...] = ()

    def __init__(self, *args: Any, cache: object = None, **options: Any) -> None:
        super().__init__(*args, cache="ram" if cache == "ram" and options.get("augment") else None, **options)

    def check_cache_ram(self, safety_margin: float = 1.0) -> bool:
        """Keep training images in memory where they fit into this training's share of half of the machine's.

        Mosaic draws from all images where they are kept and from the last ones where not, so that what other programs
        take at the moment must not decide: trainings of one seed would see different batches.

        Args:
            safety_margin: Memory for what else there is, over that of the images.
        """
        needed = self.ni * self.imgsz**2 * self.channels * (1 + safety_margin)
        fits = bool(needed <= psutil.virtual_memory().total / max(1, torch.cuda.device_count()))
        self.cache = "ram" if fits else None
        return fits

    @property
    def npy_files(self) -> _NoFiles:
        """None, not even one that is there."""
        return _NoFiles()

    @npy_files.setter
    def npy_files(self, _files: object) -> None:
        """Keep Ultralytics' list from being one."""

    def _load_or_scan_cache(self, cache_path: Path, cache_hash: str) -> tuple[dict[str, Any], bool]:
        """Keep what is said of single images; two splits whose labels share a folder have two files."""
        listed = text_digest("\0".join(self.im_files))[:16]
        cache, exists = super()._load_or_scan_cache(cache_path.with_name(f"{cache_path.stem}-{listed}"), cache_hash)
        self.messages = tuple(cache["msgs"])
        return cache, exists


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What a training would use of a split.

    Attributes:
        images: Paths of the images.
        objects: Rows of labels.
        backgrounds: Images without an object.
        duplicates: Rows left out because there is another like it in their file.
        odd_endings: JPEGs with bytes missing or added at their end, used as they are.
        boxes: (objects, 3): number of the image, number of the class, and the box's side (the square root of its area)
            over the longer side of its image.
    """

    images: frozenset[str]
    objects: int
    backgrounds: int
    duplicates: int
    odd_endings: int
    boxes: NDArray[np.float64]


def load_split(sources: list[str], data: Description) -> Loaded:
    """Load a split as a training does; what was read is kept in the cache, where the trainings find it.

    Args:
        sources: Folders or lists of images.
        data: The data set, as Ultralytics describes it.
    """
    read_data_our_way()
    LOGGER.setLevel("ERROR")
    state = random.getstate()  # Ultralytics draws images to time how fast they are read
    try:
        found = UserDataset(img_path=sources, data=data, augment=False, hyp=DEFAULT_CFG, task="detect")
    except RuntimeError:  # no image is valid
        return Loaded(images=frozenset(), objects=0, backgrounds=0, duplicates=0, odd_endings=0, boxes=np.empty((0, 3)))
    finally:
        random.setstate(state)
    counts = [len(label["cls"]) for label in found.labels]
    return Loaded(
        images=frozenset(found.im_files),
        objects=sum(counts),
        backgrounds=counts.count(0),
        duplicates=sum(int(match[1]) for said in found.messages if (match := _TWICE.search(said))),
        odd_endings=sum(_ENDING in said for said in found.messages),
        boxes=np.concatenate([np.empty((0, 3)), *(_boxes(at, label) for at, label in enumerate(found.labels))]),
    )


def _boxes(image: int, label: Mapping[str, Any]) -> NDArray[np.float64]:
    height, width = label["shape"]
    sides = np.sqrt(np.prod(label["bboxes"][:, 2:] * (width, height), axis=1)) / max(height, width)
    return np.column_stack([np.full(len(sides), image), label["cls"].ravel(), sides])


@functools.cache
def read_data_our_way() -> None:
    """Have Ultralytics, in this process, read data by `UserDataset`, keep labels in our cache, leave images alone."""
    ultralytics_build.YOLODataset = UserDataset
    load, save = ultralytics_dataset.load_dataset_cache_file, ultralytics_dataset.save_dataset_cache_file
    ultralytics_dataset.load_dataset_cache_file = lambda path: load(_label_cache(path))
    ultralytics_dataset.save_dataset_cache_file = lambda prefix, path, x, version: save(
        prefix, _label_cache(path), x, version
    )
    ultralytics_utils._replace_image = _leave_image


def _label_cache(path: Path) -> Path:
    folder = cache_folder() / "labels"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{text_digest(str(path.absolute()))[:16]}.cache"


def _leave_image(_image: str, write: Callable[[Any], None]) -> None:
    """Find out whether a JPEG without its end can be decoded, as Ultralytics does by writing it anew; write nothing.

    Raises:
        OSError: It cannot.
    """
    write(io.BytesIO())
