"""What is said of the data before a training begins, and what is kept of them in `environment.json`."""

from __future__ import annotations

from typing import Any

from harness.common.machine import without_home
from harness.data.check import DatasetInfo
from harness.record.study import DATA_CAUTIONS, DATA_REPAIRS


def data_notes(data: DatasetInfo, imgsz: int, batch: int) -> list[str]:
    """Sentences for the plan: where the data are, how much is used, what is not, and what to beware of.

    Args:
        data: Of `check_dataset`.
        imgsz: Side of the square input, in pixels.
        batch: Batch size.
    """
    counts = f"{data.train_images:,} training and {data.val_images:,} validation images"
    where = f"{data.root}, " if data.root else ""
    cautions = (*data.cautions, *_remainder(data.train_images, batch))
    return [f"data: {each}" for each in (f"{where}{counts}, at {imgsz} px", *data.repairs, *cautions)]


def data_environment(data: DatasetInfo) -> dict[str, Any]:
    """Plain data for JSON: what the loader uses, and what it does not."""
    return {
        "train_images": data.train_images,
        "val_images": data.val_images,
        "data_root": None if data.root is None else without_home(str(data.root)),
        "data_counts": {split: dict(counts) for split, counts in data.counts.items()},
        DATA_REPAIRS: list(data.repairs),
        DATA_CAUTIONS: list(data.cautions),
    }


def _remainder(images: int, batch: int) -> list[str]:
    """A sentence about batches of one image, of which batch normalisation of a 1 × 1 map has no variance."""
    if batch > 1 and images % batch != 1:
        return []
    which = "each batch is one image" if batch == 1 else "the last batch of each epoch is a single image"
    sizes = range(max(2, batch - 1), batch + images)
    better = next((f"; --batch {size} avoids it" for size in sizes if images % size != 1), "")
    return [
        f"{which}: a block that pools a map to one value and normalises it over the batch cannot be trained so{better}."
    ]
