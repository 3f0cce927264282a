"""Look at a data set before hours are spent on it: every fault in one sentence, nothing downloaded.

Ultralytics finds most faults too, but late, and says nothing: an image with one bad row of labels is left out. What a
training would use is asked of Ultralytics' own loader ([loader](loader.py)); here it is counted, and why.

Nothing is written here, except the embedded data set and labels in the cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from harness.common.errors import UserError
from harness.common.isolation import cache_folder
from harness.common.yaml_file import MOST_BYTES, parse_yaml
from harness.data.boxes import boxes_at, cautions_of
from harness.data.coco import ensure_coco
from harness.data.coco_file import find_coco
from harness.data.digits import ensure_digits
from harness.data.listing import Description, Split, followed_link, label_paths, list_split, missing_image
from harness.data.planted import PLANTED, Task, ensure_planted, task_settings
from harness.data.root import find_root
from harness.data.usable import Usable, refuse_shared, refuse_unusable, usable
from harness.record.settings import EMBEDDED, EMBEDDED_DATA
from harness.record.surroundings import EFFECT_WAS_PLANTED

LARGE = 5_000  # images from which not every label is read
_COLOURS = 3  # channels of an image
_STRIDE = 32  # of the coarsest feature map of every base
_KINDS = {"train": "training", "val": "validation"}
# Validation objects below which a caution is given.
_FEW_OBJECTS = 30


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """A data set that can be trained on.

    Attributes:
        path: Of the YAML, absolute.
        names: Class names by number; no two are alike.
        train_images: How many images a training uses.
        val_images: How many images it is validated on.
        fingerprint: Hexadecimal SHA-256; the same for the same data in another folder.
        repairs: What was wrong and how it was repaired, and what is not used, in sentences.
        cautions: What bears on what the data can tell, in sentences.
        root: Folder that the data set's paths are relative to; None of the embedded one.
        planted: The task of data with a planted effect (`harness.data.planted`); empty of others.
        counts: Of each split: images listed and used, objects, backgrounds, what is not used by reason, and what its
            boxes are like (`boxes_at`).
    """

    path: Path
    names: dict[int, str]
    train_images: int
    val_images: int
    fingerprint: str
    repairs: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    root: Path | None = None
    planted: str = ""
    counts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def check_dataset(
    data: str,
    imgsz: int,
    cache: Path | None = None,
    *,
    allow_unusable: bool = False,
    allow_val_in_train: bool = False,
) -> DatasetInfo:
    """Find a data set, check it and say what it holds.

    Args:
        data: The name of an embedded one (`EMBEDDED`), the path of an Ultralytics dataset YAML, the name of one
            that ships with Ultralytics (`coco8.yaml`), or COCO data: an `instances_*.json` or a folder
            that has `annotations/instances_train*.json` and `instances_val*.json`.
        imgsz: Side of the square training images, in pixels.
        cache: Where the embedded data set and labels of COCO data are kept; by default the user's cache.
        allow_unusable: Whether more than a few images or rows of labels may be left out.
        allow_val_in_train: Whether more than a few validation images may be training images.

    Raises:
        UserError: Whatever makes a training on it impossible or misleading.
    """
    if imgsz <= 0 or imgsz % _STRIDE:
        right = max(_STRIDE, -(-imgsz // _STRIDE) * _STRIDE)
        raise UserError(f"Image size {imgsz} is not a positive multiple of {_STRIDE}; {right} would be.")
    found = _find(data, cache or cache_folder())
    yaml, content = found.yaml, _read_yaml(found.yaml)
    names = _names(content, yaml)
    root = find_root(content, yaml)
    splits = {split: _list(split, content, root, yaml) for split in _KINDS}
    described = _description(content, names, root, splits, yaml)
    used = {split: usable(splits[split], described, splits.values()) for split in _KINDS}
    for split, part in used.items():
        if not allow_unusable or not part.images:
            refuse_unusable(part, _KINDS[split], root, yaml)
        if not part.objects:
            where = Path(label_paths(splits[split].images[:1])[0]).parent
            raise UserError(
                f"The {_KINDS[split]} set of {yaml} has images but not a single label; labels belong in {where}"
                f"{followed_link(root, content, split)}."
            )
    shared = refuse_shared(used["train"].images, used["val"].images, root, yaml, allowed=allow_val_in_train)
    said = [
        sentence
        for split, part in used.items()
        for sentence in part.sentences(_KINDS[split], root, labels_are_made=found.root is not None)
    ]
    return DatasetInfo(
        path=yaml,
        names=names,
        train_images=len(used["train"].images),
        val_images=len(used["val"].images),
        fingerprint=_fingerprint(names, root, splits),
        repairs=(*found.repairs, *_renamed(content, names), *said),
        cautions=(
            *shared,
            *_few(used["val"]),
            *cautions_of(used["val"].boxes, len(used["val"].images), imgsz),
            *([EFFECT_WAS_PLANTED] if PLANTED in content else []),
        ),
        root=found.root or (None if data in EMBEDDED else root),
        planted=str(content.get(PLANTED, "")),
        counts={
            split: {**part.counts(), **boxes_at(part.boxes, len(part.images), names, imgsz)}
            for split, part in used.items()
        },
    )


def require_unchanged(yaml: Path, fingerprint: str) -> None:
    """Find out whether a data set is still the one that was checked.

    Ultralytics leaves out what has vanished without a word, so that a training would yield a lower mAP that looks
    like its candidate's.

    Args:
        yaml: A checked data set's.
        fingerprint: Of then.

    Raises:
        UserError: It isn't, or cannot be read any more.
    """
    again = "put back what it was, then run the same command again"
    try:
        content = _read_yaml(yaml)
        root = find_root(content, yaml)
        splits = {split: _list(split, content, root, yaml) for split in _KINDS}
    except UserError as error:
        raise UserError(f"{error} It was there when the search began: {again}.") from error
    if _fingerprint(_names(content, yaml), root, splits) != fingerprint:
        raise UserError(f"Data set {yaml} has changed while the search ran, its images, labels or names: {again}.")


def image_paths(yaml: Path, split: str) -> list[str]:
    """Return the sorted paths of a checked data set's images of a split, `train` or `val`."""
    content = _read_yaml(yaml)
    return [*_list(split, content, find_root(content, yaml), yaml).images]


def description(dataset: str | Path, **_: object) -> Description:
    """Describe a checked data set to Ultralytics, in place of its `check_det_dataset`.

    Ultralytics would look elsewhere for it, run a `download` that may be Python code, and ask the network for fonts.

    Args:
        dataset: Path of the YAML.
    """
    yaml = Path(dataset)
    content = _read_yaml(yaml)
    root = find_root(content, yaml)
    splits = {name: _list(name, content, root, yaml) for name in _KINDS}
    return _description(content, _names(content, yaml), root, splits, yaml)


def _description(
    content: Mapping[str, Any], names: dict[int, str], root: Path, splits: Mapping[str, Split], yaml: Path
) -> Description:
    """Build Ultralytics' form: a split is one path where it can be, for names of COCO's folders are looked for in it.

    Of the YAML's other keys none is passed on but those that bear on how images and labels are read.
    """
    channels, points = content.get("channels", 3), content.get("kpt_shape")
    if type(channels) is not int or channels < 1:
        raise UserError(f"Data set {yaml}: 'channels' must be a number of colour channels such as 3, not {channels!r}.")
    if points is not None and not (isinstance(points, list) and [type(value) for value in points] == [int, int]):
        raise UserError(f"Data set {yaml}: 'kpt_shape' must be two whole numbers such as [17, 3], not {points!r}.")
    sources = {name: [str(source) for source in split.sources] for name, split in splits.items()}
    described = {
        "names": names,
        "nc": len(names),
        "channels": channels,
        **({"kpt_shape": points} if points else {}),
        "path": root,
        "yaml_file": str(yaml),
        **{name: paths[0] if len(paths) == 1 else paths for name, paths in sources.items()},
    }
    return cast(Description, described)


def _list(split: str, content: Mapping[str, Any], root: Path, yaml: Path) -> Split:
    found = list_split(split, content, root, yaml)
    if absent := next((image for image in _sample(found.images) if not Path(image).exists()), None):
        raise UserError(missing_image(split, absent, content, yaml))
    return found


@dataclass(frozen=True, kw_only=True)
class _Found:
    """A YAML, what was repaired to make it, and where its images are if not where it says."""

    yaml: Path
    repairs: tuple[str, ...] = ()
    root: Path | None = None


def _find(data: str, cache: Path) -> _Found:
    if data in EMBEDDED:
        is_digits = data == EMBEDDED_DATA
        return _Found(yaml=ensure_digits(cache) if is_digits else ensure_planted(cache, task_settings(Task(data))))
    if files := find_coco(data):
        made = ensure_coco(*files, cache)
        folder = files[0].absolute().parent
        return _Found(
            yaml=made.yaml, repairs=made.repairs, root=folder.parent if folder.name == "annotations" else folder
        )
    return _Found(yaml=_find_yaml(data))


def _find_yaml(data: str) -> Path:
    from ultralytics.utils.checks import check_yaml

    if "://" in data:
        raise UserError(f"Data set {data!r} is an address; nothing is downloaded, so give a local YAML file.")
    path = Path(data).expanduser()
    if path.is_dir():
        raise UserError(
            f"Data set {path} is a folder; give the YAML file that describes the data set, or a folder with COCO's "
            "annotations/instances_train*.json and instances_val*.json."
        )
    if path.suffix.lower() not in {".yaml", ".yml", ""} or (path.is_file() and not path.suffix):
        raise UserError(f"Data set {data!r} is not a YAML file; its name must end in .yaml or .yml.")
    if not path.is_file() and len(path.parts) == 1:  # a name that ships with Ultralytics
        shipped = check_yaml(data if path.suffix else f"{data}.yaml", hard=False)
        path = Path(shipped) if shipped else path
    if not path.is_file():
        raise UserError(
            f"Data set {data!r} does not exist; give one of {', '.join(EMBEDDED)}, the path of an Ultralytics "
            "dataset YAML, or the name of one that ships with Ultralytics, such as 'coco8.yaml'."
        )
    return path.absolute()


def _read_yaml(path: Path) -> dict[str, Any]:
    from ultralytics.utils import YAML

    try:
        parse_yaml(
            path.read_bytes()[: MOST_BYTES + 4].decode("utf-8-sig", errors="ignore")
        )  # Ultralytics reads it with no bounds
        content: dict[str, Any] = YAML.load(path)
    except OSError as error:
        raise UserError(f"Data set {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        lines = re.findall(r"line (\d+)", str(error))
        where = f"malformed at line {lines[-1]}" if lines else "not a mapping of keys to values"
        raise UserError(f"Data set {path} is not a dataset YAML: it is {where}.") from error
    if "val" not in content and "validation" in content:  # Ultralytics takes both
        content["val"] = content.pop("validation")
    for key in ("train", "val"):
        if not content.get(key):
            raise UserError(f"Data set {path} has no key {key!r}; it must name the folder of its {key} images.")
        if not _is_text_or_texts(content[key]):
            raise UserError(f"Data set {path}: {key!r} must be a path or a list of paths, not {content[key]!r}.")
    if (channels := content.get("channels", _COLOURS)) != _COLOURS:  # Ultralytics would build a network of so many
        raise UserError(
            f"Data set {path} says channels: {channels}; a model here takes colour images. Take that line out: images "
            "of one channel are read as colour images with three equal ones."
        )
    return content


def _is_text_or_texts(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(x, str) for x in value))


def _names(content: Mapping[str, Any], yaml: Path) -> dict[int, str]:
    """Return class names by index; `class_0`, … where the YAML has only their number, as in Ultralytics."""
    names, number = content.get("names"), content.get("nc")
    if names is None and isinstance(number, int) and number > 0:
        names = [f"class_{index}" for index in range(number)]
    if not names:
        raise UserError(f"Data set {yaml} has no class names; it needs a key 'names' such as 'names: [cat, dog]'.")
    if not isinstance(names, (list, dict)):
        raise UserError(f"Data set {yaml}: 'names' must be a list or a mapping of class names, not {names!r}.")
    found = dict(enumerate(names)) if isinstance(names, list) else names
    if sorted(found, key=str) != sorted(range(len(found)), key=str):
        raise UserError(f"Data set {yaml}: 'names' must number its {len(found)} classes from 0 to {len(found) - 1}.")
    if isinstance(number, int) and number != len(found):
        raise UserError(f"Data set {yaml} names {len(found)} classes, but its 'nc' says {number}.")
    return _apart([str(found[index]) for index in range(len(found))])


def _apart(names: Sequence[str]) -> dict[int, str]:
    """Return names by number; whose name is an earlier one's gets a number behind it: figures by name lose none."""
    given, taken, copies = set(names), set[str](), Counter[str]()
    apart: dict[int, str] = {}
    for index, name in enumerate(names):
        wanted = name
        while wanted in taken or (wanted != name and wanted in given):
            copies[name] += 1
            wanted = f"{name} ({copies[name] + 1})"
        taken.add(wanted)
        apart[index] = wanted
    return apart


def _renamed(content: Mapping[str, Any], names: Mapping[int, str]) -> list[str]:
    """Return a sentence about classes that were called alike, if any were."""
    given = content.get("names") or {}
    before = dict(enumerate(given)) if isinstance(given, list) else given
    changed = [name for index, name in names.items() if str(before.get(index, name)) != name]
    if not changed:
        return []
    return [f"Several classes have the same name; in tables they are told apart as {', '.join(changed)}."]


def _few(val: Usable) -> list[str]:
    """Return a sentence about a validation set that is too small to judge by, if it is."""
    if len(val.images) >= 2 and val.objects >= _FEW_OBJECTS:
        return []
    images = "1 image" if len(val.images) == 1 else f"{len(val.images):,} images"
    objects = "1 object" if val.objects == 1 else f"{val.objects:,} objects"
    return [f"The validation set has only {images} with {objects}: on other images the mAP may be quite another."]


def _sample(paths: Sequence[str]) -> Sequence[str]:
    """Return all of them, or about `LARGE` evenly spaced ones."""
    return paths[:: -(-len(paths) // LARGE) or 1]


def _fingerprint(names: Mapping[int, str], root: Path, splits: Mapping[str, Split]) -> str:
    """Hash names, image paths below the root, image sizes, labels, and COCO's own annotations for validation.

    Reading every label of a large set takes minutes: with more than `LARGE` images, size and time of
    change stand for a label's content. Copying such a set without its times changes its fingerprint.
    """
    large = sum(len(split.images) for split in splits.values()) > LARGE
    digest = hashlib.sha256(json.dumps(sorted(names.items())).encode())
    for split in sorted(splits):
        for image, label in zip(splits[split].images, label_paths(splits[split].images), strict=True):
            name = os.path.relpath(image, root).replace(os.sep, "/")
            content = _stat(label, with_time=True) if large else [_text(label)]
            digest.update(json.dumps([split, name, *_stat(image, with_time=large), *content]).encode())
    for file in sorted((root / "annotations").glob("instances_val*.json")):  # crowds and areas are in no label
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _stat(path: str, with_time: bool) -> list[object]:
    try:
        stat = Path(path).stat()
    except FileNotFoundError:
        return [None]
    return [stat.st_size, stat.st_mtime_ns] if with_time else [stat.st_size]


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return None
