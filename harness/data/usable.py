"""What of a split is used and what is not, counted by reason; too much that is not is refused.

Validation images that are training images are counted, too: an accuracy measured on them tells nothing of others.
Images are the same if they are one file, or byte for byte alike. Only files of equal size can be, so that of a large
set few are read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.common.digest import file_digest
from harness.common.errors import UserError
from harness.data.coco_file import counted
from harness.data.faults import fault_of
from harness.data.listing import Description, Split, label_paths


def shared_images(train: Iterable[str], val: Iterable[str]) -> list[str]:
    """Return the validation images that are also training images, sorted.

    Args:
        train: Paths of training images that exist.
        val: Paths of validation images that exist.
    """
    trained = {_file(stat): (path, stat.st_size) for path in train for stat in [os.stat(path)]}  # noqa: PTH116 - 100,000s
    validated = {path: os.stat(path) for path in val}  # noqa: PTH116
    same = {path for path, stat in validated.items() if _file(stat) in trained}
    sizes = {size for _, size in trained.values()} & {validated[path].st_size for path in validated.keys() - same}
    alike = [path for path in validated if path not in same and validated[path].st_size in sizes]
    with ThreadPoolExecutor(8) as pool:
        known = set(pool.map(file_digest, (Path(path) for path, size in trained.values() if size in sizes)))
        same |= {
            path for path, digest in zip(alike, pool.map(file_digest, map(Path, alike)), strict=True) if digest in known
        }
    return sorted(same)


def _file(stat: os.stat_result) -> tuple[int, int]:
    """Identify a file, the same for all its names and links."""
    return stat.st_dev, stat.st_ino


# Share of the images, or of the rows of labels, above which a data set with unusable ones is refused.
MOST_UNUSABLE = 0.02
# Share of the validation images above which a data set is refused whose training images they are, too.
MOST_SHARED = 0.02
# Names of files that a sentence shows.
_SHOWN = 3
_UNLISTED = "in a format that Ultralytics does not list"


@dataclass(frozen=True, kw_only=True)
class Usable:
    """What a training uses of a split.

    Attributes:
        images: Paths of the images that are used.
        listed: Number of images that are there.
        objects: Rows of labels that are used.
        without_labels: Used images without a label file.
        empty_labels: Used images whose label file is empty.
        odd_endings: JPEGs with bytes missing or added at their end, used as they are.
        unused: Reason to the places of the images that are not used.
        duplicates: Rows of labels that are in their file twice; one is used.
        stray: Label files without an image.
        stray_rows: Rows in these.
        boxes: As `loader.Loaded` has them.
    """

    images: frozenset[str]
    listed: int
    objects: int
    without_labels: int
    empty_labels: int
    odd_endings: int
    unused: Mapping[str, Sequence[str]]
    duplicates: int
    stray: Sequence[str]
    stray_rows: int
    boxes: NDArray[np.float64]

    @property
    def unused_images(self) -> int:
        """Of all reasons."""
        return sum(map(len, self.unused.values()))

    @property
    def unused_rows(self) -> int:
        """Rows of labels that are left out although no image is."""
        return self.duplicates + self.stray_rows

    def counts(self) -> dict[str, int | dict[str, int]]:
        """Return plain data for `environment.json`."""
        reasons = {reason: len(places) for reason, places in self.unused.items()}
        return {
            "images_listed": self.listed,
            "images_used": len(self.images),
            "objects": self.objects,
            "images_without_label_file": self.without_labels,
            "images_with_empty_label_file": self.empty_labels,
            "images_unused": reasons,
            "duplicate_label_rows": self.duplicates,
            "label_files_without_image": len(self.stray),
        }

    def sentences(self, kind: str, root: Path, *, labels_are_made: bool = False) -> list[str]:
        """Say what a person should know before training.

        Args:
            kind: `training` or `validation`.
            root: Folder that places are named from.
            labels_are_made: Whether label files are made here, so that an image without objects has none.
        """
        said = [
            f"{len(places):,} of {counted(self.listed, f'{kind} image')} not used: {reason} ({_some(places, root)})."
            for reason, places in self.unused.items()
        ]
        if self.stray:
            said.append(
                f"{counted(len(self.stray), f'{kind} label file')} without an image not used "
                f"({_some(self.stray, root)})."
            )
        if self.duplicates:
            rows = counted(self.duplicates, f"{kind} label row")
            said.append(f"{rows} used once, though they are in their files twice.")
        if self.without_labels and not labels_are_made:
            said.append(
                f"{counted(self.without_labels, f'{kind} image')} without a label file used as images without objects."
            )
        if self.odd_endings:
            said.append(
                f"{counted(self.odd_endings, f'{kind} image')} with bytes missing or added after the JPEG's end used "
                "as they are."
            )
        return said


def usable(split: Split, data: Description, splits: Iterable[Split]) -> Usable:
    """Ask Ultralytics' loader what it would use, and look for the reasons of what it would not.

    Args:
        split: What there is.
        data: The data set, as Ultralytics describes it.
        splits: All splits: a label of one's image is not without an image in another.
    """
    from harness.data.loader import load_split

    loaded = load_split([str(source) for source in split.sources], data)
    unused: dict[str, list[str]] = {}
    label_of = dict(zip(split.images, label_paths(split.images), strict=True))
    for image in split.images:
        if image not in loaded.images:
            fault = fault_of(image, label_of[image], len(data["names"]))
            unused.setdefault(fault.reason, []).append(fault.where)
    if split.unlisted:
        unused[_UNLISTED] = [*split.unlisted]
    images = frozenset(loaded.images & label_of.keys())
    without = sum(not Path(label_of[image]).is_file() for image in images) if loaded.backgrounds else 0
    known = set(label_paths([image for each in splits for image in (*each.images, *each.unlisted)]))
    stray = {path: rows for path in split.stray_labels if path not in known and (rows := _rows(path))}
    return Usable(
        images=images,
        listed=len(split.images) + len(split.unlisted),
        objects=loaded.objects,
        without_labels=without,
        empty_labels=loaded.backgrounds - without,
        odd_endings=loaded.odd_endings,
        unused=dict(sorted(unused.items(), key=lambda entry: -len(entry[1]))),
        duplicates=loaded.duplicates,
        stray=[*stray],
        stray_rows=sum(stray.values()),
        boxes=loaded.boxes,
    )


def refuse_unusable(part: Usable, kind: str, root: Path, yaml: Path) -> None:
    """Stop where too much would be left out.

    Raises:
        UserError: It would.
    """
    rows = part.objects + part.unused_rows
    of_images, of_rows = part.unused_images / max(1, part.listed), part.unused_rows / max(1, rows)
    if part.images and max(of_images, of_rows) <= MOST_UNUSABLE:
        return
    said = [f"{len(places):,} {reason} ({_some(places, root)})" for reason, places in part.unused.items()]
    if part.duplicates:
        said.append(f"{part.duplicates:,} label rows that are in their files twice")
    if part.stray:
        said.append(f"{counted(len(part.stray), 'label file')} without an image ({_some(part.stray, root)})")
    what = (
        f"{part.unused_images:,} of {counted(part.listed, f'{kind} image')} cannot be used"
        if of_images > MOST_UNUSABLE
        else f"{part.unused_rows:,} of {counted(rows, f'{kind} label row')} would not be used"
    )
    allow = (
        f", or give --allow-unusable (in a file: allow_unusable: true) to go on with {len(part.images):,}"
        if part.images
        else ""
    )
    raise UserError(f"Data set {yaml}: {what}: {'; '.join(said)}. Mend or remove them{allow}.")


def refuse_shared(
    train: Iterable[str], val: Sequence[str] | frozenset[str], root: Path, yaml: Path, *, allowed: bool
) -> list[str]:
    """Refuse more than a few validation images that are training images; return a sentence about what passes.

    Raises:
        UserError: There are more than a few, and they are not allowed.
    """
    shared = shared_images(train, val)
    if not shared:
        return []
    what = (
        f"{len(shared):,} of {counted(len(val), 'validation image')} are training images, by name or byte for byte "
        f"({_some(shared, root)})"
    )
    if len(shared) > MOST_SHARED * len(val) and not allowed:
        raise UserError(
            f"Data set {yaml}: {what}: a gain on these says nothing of other images. Name another validation set, or "
            "give --allow-val-in-train (in a file: allow_val_in_train: true) to train all the same."
        )
    return [f"{what}: a gain on these says nothing of other images."]


def _some(paths: Sequence[str], root: Path) -> str:
    """List the first few, as seen from the data set's folder."""
    shown = [_below(path, root) for path in paths[:_SHOWN]]
    return ", ".join(shown) + (", …" if len(paths) > _SHOWN else "")


def _below(path: str, root: Path) -> str:
    return os.path.relpath(path, root) if Path(path).is_relative_to(root) else path


def _rows(path: str) -> int:
    """Count the rows of labels in a file; 0 where it is no label file, such as a list of class names."""
    try:
        rows = [line.split() for line in Path(path).read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        return len(rows) if rows and all(len([float(value) for value in row]) >= 5 for row in rows) else 0
    except (OSError, ValueError):  # a UnicodeDecodeError is one
        return 0
