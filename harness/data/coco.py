"""A data set in COCO's format, made trainable without a copy of its images.

In the cache it becomes a folder of an Ultralytics data set:

- `images/<split>`, a link to where the images are, and `train.txt` and `val.txt`, which list them through it.
  Lists, because Ultralytics puts labels beside images, and resolves links of an image folder
  (`check_det_dataset`), which would lead to the user's own folder, but not paths in a list (`get_img_files`);
- `labels/<split>`, by Ultralytics' converter ([coco_labels](coco_labels.py));
- `annotations/instances_val*.json`, the original byte for byte, by which COCOeval judges;
- `repairs.json`, what was repaired in the labels.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

from harness.common.atomic import write_folder_once
from harness.common.digest import json_digest, text_digest
from harness.common.errors import UserError
from harness.data.coco_file import CocoFile, counted, read_coco
from harness.data.coco_images import CocoImages, find_images, wrong_size
from harness.data.coco_labels import repair, write_labels

_VERSION = 1  # of the folder's content


@dataclass(frozen=True, kw_only=True)
class CocoDataset:
    """The Ultralytics data set that was made, and what was repaired, in sentences."""

    yaml: Path
    repairs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Split:
    file: Path
    digest: str  # of its bytes
    content: CocoFile
    images: CocoImages

    @property
    def name(self) -> str:
        return self.file.stem.removeprefix("instances_")


def ensure_coco(train: Path, val: Path, cache: Path) -> CocoDataset:
    """Make a data set of two COCO annotation files, unless it is in the cache.

    Several processes may call this at once. A half-written one is never seen.

    Raises:
        UserError: The files or their images are not what they must be, or the cache cannot be written.
    """
    splits = (_read(train, areas=False), _read(val, areas=True))
    _check_same_categories(*splits)
    folder = cache.absolute() / f"coco-{_identity(splits)[:16]}"
    try:
        if not folder.is_dir():
            write_folder_once(folder, lambda draft: _write(draft, splits))
        repairs = json.loads((folder / "repairs.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"The labels of {train} cannot be written to {folder}: {error.strerror or error}.") from error
    return CocoDataset(yaml=folder / "data.yaml", repairs=tuple(repairs))


def _read(file: Path, *, areas: bool) -> _Split:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}.") from error
    parsed = read_coco(file, content, areas=areas)
    # COCOeval's ground truth goes by the name of an image without its folder.
    images = find_images(file, parsed, unique_names=areas)
    return _Split(file=file, digest=hashlib.sha256(content).hexdigest(), content=parsed, images=images)


def _check_same_categories(train: _Split, val: _Split) -> None:
    names = [{category.name for category in split.content.categories} for split in (train, val)]
    for one, other, missing in ((train, val, names[0] - names[1]), (val, train, names[1] - names[0])):
        if missing:
            raise UserError(
                f"{one.file} has the category {min(missing)!r} and {other.file.name} has not; both must list the same."
            )


def _identity(splits: Sequence[_Split]) -> str:
    """Hash all that determines the folder's content."""
    from ultralytics import __version__

    parts = [[split.file.name, split.digest, str(split.images.folder.resolve())] for split in splits]
    return json_digest([_VERSION, __version__, parts])


def _write(draft: Path, splits: Sequence[_Split]) -> None:
    _check_sizes(splits)
    categories = sorted(splits[0].content.categories, key=lambda category: category.id)
    number = {category.name: n for n, category in enumerate(categories)}
    repaired = {
        split.name: repair(
            split.content,
            split.file.name,
            {category.id: number[category.name] for category in split.content.categories},
            split.images.names,
        )
        for split in splits
    }
    write_labels(repaired, draft)
    _date_labels(draft / "labels", splits)
    repairs = [sentence for each in repaired.values() for sentence in each.repairs]
    for split, key in zip(splits, ("train", "val"), strict=True):
        if not _link(split.images, draft / "images" / split.name):
            repairs.append(f"{split.file.name}: the cache takes no links to folders, so its images are copies.")
        listed = (f"./images/{split.name}/{name}\n" for name in split.images.names.values())
        (draft / f"{key}.txt").write_text("".join(listed), encoding="utf-8")
    (draft / "annotations").mkdir()
    shutil.copyfile(splits[1].file, draft / "annotations" / splits[1].file.name)
    (draft / "repairs.json").write_text(json.dumps(repairs, indent=1), encoding="utf-8")
    # Without `path`, Ultralytics takes the YAML's folder, wherever the cache is moved.
    content = {"train": "train.txt", "val": "val.txt", "names": dict(enumerate(number))}
    (draft / "data.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def _check_sizes(splits: Sequence[_Split]) -> None:
    """Refuse an image whose size on disk is not the one that the file tells, by which its boxes are divided."""
    for split in splits:
        images = split.content.images
        with ThreadPoolExecutor(8) as pool:
            wrong = [text for text in pool.map(wrong_size, map(split.images.path, images), images) if text]
        if wrong:
            raise UserError(f"{split.file}: {wrong[0]}; {len(wrong):,} of {counted(len(images), 'image')} so.")


def _date_labels(folder: Path, splits: Sequence[_Split]) -> None:
    """Give labels a time that stands for their content, as the fingerprint of a large data set takes it."""
    seconds = int(text_digest("".join(split.digest for split in splits))[:7], 16)
    for label in folder.rglob("*.txt"):
        os.utime(label, (seconds, seconds))


def _link(images: CocoImages, link: Path) -> bool:
    """Link to the images; where links are not possible, have them there by hard links or copies and say False."""
    link.parent.mkdir(exist_ok=True)
    try:
        link.symlink_to(images.folder.resolve(), target_is_directory=True)
    except (OSError, NotImplementedError):
        for name in images.names.values():
            (link / name).parent.mkdir(parents=True, exist_ok=True)
            try:
                (link / name).hardlink_to(images.folder / name)
            except (OSError, NotImplementedError):
                shutil.copy2(images.folder / name, link / name)
        return False
    return True
