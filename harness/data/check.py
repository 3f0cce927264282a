"""Look at a data set before hours are spent on it: every fault in one sentence, nothing downloaded.

Ultralytics finds most faults too, but late, some as warnings (an image whose label has an unknown
class is silently left out), and it fetches what is missing from the network. Its rules for where a
data set's files are were copied from `check_det_dataset` and `get_img_files` (Ultralytics 8.4),
because those two look for fonts on the network and need a started training.

Nothing is written here, except the embedded data set and labels of COCO data into the cache. Ultralytics itself writes
`labels/*.cache` beside the labels when a training starts; the fingerprint leaves them out.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.data.coco import ensure_coco
from harness.data.coco_file import find_coco
from harness.data.digits import ensure_digits
from harness.errors import UserError
from harness.isolation import cache_folder
from harness.yaml_file import MOST_BYTES, parse_yaml

EMBEDDED = "digits"
LARGE = 5_000  # images from which not every label is read
_COLOURS = 3  # channels of an image
_STRIDE = 32  # of the coarsest feature map of every base


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """A data set that can be trained on."""

    path: Path  # absolute, of the YAML
    names: dict[int, str]
    train_images: int
    val_images: int
    fingerprint: str  # hexadecimal SHA-256; the same for the same data in another folder
    repairs: tuple[str, ...] = ()  # what was wrong in it and how it was repaired, in sentences


def check_dataset(data: str, imgsz: int, cache: Path | None = None) -> DatasetInfo:
    """Find a data set, check it and say what it holds.

    Args:
        data: `digits` for the embedded one, the path of an Ultralytics dataset YAML, the name of one
            that ships with Ultralytics (`coco8.yaml`), or COCO data: an `instances_*.json` or a folder
            that has `annotations/instances_train*.json` and `instances_val*.json`.
        imgsz: Side of the square training images, in pixels.
        cache: Where the embedded data set and labels of COCO data are kept; by default the user's cache.

    Raises:
        UserError: Whatever makes a training on it impossible or misleading.
    """
    if imgsz <= 0 or imgsz % _STRIDE:
        right = max(_STRIDE, -(-imgsz // _STRIDE) * _STRIDE)
        raise UserError(f"Image size {imgsz} is not a positive multiple of {_STRIDE}; {right} would be.")
    yaml, repairs = _find(data, cache or cache_folder())
    content = _read_yaml(yaml)
    names = _names(content, yaml)
    root = _root(content, yaml)
    images = {split: _images_of(split, content, root, yaml) for split in ("train", "val")}
    labels = {split: _label_paths(paths) for split, paths in images.items()}
    for split, paths in labels.items():
        count = sum(_check_labels(path, names, yaml) for path in _sample(paths))
        if not count:
            kind = "validation" if split == "val" else "training"
            where = Path(paths[0]).parent
            raise UserError(f"The {kind} set of {yaml} has images but not a single label; labels belong in {where}.")
    return DatasetInfo(
        path=yaml,
        names=names,
        train_images=len(images["train"]),
        val_images=len(images["val"]),
        fingerprint=_fingerprint(names, root, images, labels),
        repairs=repairs,
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
        root = _root(content, yaml)
        images = {split: _images_of(split, content, root, yaml) for split in ("train", "val")}
    except UserError as error:
        raise UserError(f"{error} It was there when the search began: {again}.") from error
    labels = {split: _label_paths(paths) for split, paths in images.items()}
    if _fingerprint(_names(content, yaml), root, images, labels) != fingerprint:
        raise UserError(f"Data set {yaml} has changed while the search ran, its images, labels or names: {again}.")


def image_paths(yaml: Path, split: str) -> list[str]:
    """Sorted paths of a checked data set's images of a split, `train` or `val`."""
    content = _read_yaml(yaml)
    return _images_of(split, content, _root(content, yaml), yaml)


def _find(data: str, cache: Path) -> tuple[Path, tuple[str, ...]]:
    if data == EMBEDDED:
        return ensure_digits(cache), ()
    if files := find_coco(data):
        made = ensure_coco(*files, cache)
        return made.yaml, made.repairs
    return _find_yaml(data), ()


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
            f"Data set {data!r} does not exist; give {EMBEDDED!r}, the path of an Ultralytics dataset YAML, "
            "or the name of one that ships with Ultralytics, such as 'coco8.yaml'."
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
    """Class names by index; `class_0`, … where the YAML has only their number, as in Ultralytics."""
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
    return {index: str(found[index]) for index in range(len(found))}


def _root(content: Mapping[str, Any], yaml: Path) -> Path:
    from ultralytics.data.utils import DATASETS_DIR

    given = content.get("path") or str(yaml.parent)
    if not isinstance(given, str):
        raise UserError(f"Data set {yaml}: 'path' must be the path of a folder, not {given!r}.")
    root = Path(given)
    try:
        if not root.exists() and not root.is_absolute():
            root = DATASETS_DIR / root
        return root.resolve()
    except (OSError, ValueError) as error:
        raise UserError(f"Data set {yaml}: 'path' can be no folder's: {error}.") from error


def _images_of(split: str, content: Mapping[str, Any], root: Path, yaml: Path) -> list[str]:
    """Sorted paths of a split's images."""
    named = content[split]
    found: set[str] = set()
    for name in [named] if isinstance(named, str) else named:
        try:
            source = (root / name).resolve()
            if not source.exists() and name.startswith("../"):
                source = (root / name[3:]).resolve()
            if not (source.is_dir() or source.is_file()):  # a device or a pipe would never end
                raise UserError(_missing(split, source, content, yaml))
            found.update(_images_in(source))
        except (OSError, ValueError) as error:
            raise UserError(f"Data set {yaml}: its {split!r} images cannot be found: {error}.") from error
    if not found:
        kind = "validation" if split == "val" else "training"
        raise UserError(f"The {kind} set of {yaml} is empty: no images in {root / str(named)}.")
    absent = next((image for image in _sample(sorted(found)) if not Path(image).exists()), None)
    if absent:
        raise UserError(_missing(split, Path(absent), content, yaml))
    return sorted(found)


def _missing(split: str, place: Path, content: Mapping[str, Any], yaml: Path) -> str:
    if content.get("download"):
        return f"The images of {yaml.name} must be downloaded first: the {split} images are expected at {place}."
    return f"Data set {yaml}: {place}, where its {split!r} images should be, does not exist."


def _images_in(source: Path) -> Iterator[str]:
    """A folder with everything below it, or a text file with one image path a line."""
    from ultralytics.data.utils import IMG_FORMATS

    if source.is_dir():
        # Not Path.glob: like Ultralytics, follow links and skip hidden files.
        everything = str(Path(glob.escape(str(source))) / "**" / "*.*")
        listed: Iterable[str] = glob.glob(everything, recursive=True)  # noqa: PTH207
    else:
        lines = map(str.strip, source.read_text(encoding="utf-8-sig").splitlines())
        listed = (str(source.parent / line[2:]) if line.startswith("./") else line for line in lines)
    return (path for path in listed if path.rpartition(".")[-1].lower() in IMG_FORMATS)


def _label_paths(images: list[str]) -> list[str]:
    from ultralytics.data.utils import img2label_paths

    paths: list[str] = img2label_paths(images)
    return paths


def _sample(paths: list[str]) -> list[str]:
    """All of them, or about `LARGE` evenly spaced ones."""
    return paths[:: -(-len(paths) // LARGE) or 1]


def _check_labels(path: str, names: Mapping[int, str], yaml: Path) -> int:
    """Count the labels in one file; an image without a file has none."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return 0
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Label file {path} cannot be read: {error}.") from error
    rows = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    for number, row in rows:
        try:
            label = float(row[0])
        except ValueError:
            label = -1.0
        if label not in names:
            raise UserError(
                f"Label file {path}, line {number}: class {row[0]} is not one of the classes "
                f"0 to {len(names) - 1} of {yaml}."
            )
    return len(rows)


def _fingerprint(
    names: Mapping[int, str], root: Path, images: Mapping[str, list[str]], labels: Mapping[str, list[str]]
) -> str:
    """Hash of names, image paths below the root, image sizes, labels, and COCO's own annotations for validation.

    Reading every label of a large set takes minutes: with more than `LARGE` images, size and time of
    change stand for a label's content. Copying such a set without its times changes its fingerprint.
    """
    large = sum(map(len, images.values())) > LARGE
    digest = hashlib.sha256(json.dumps(sorted(names.items())).encode())
    for split in sorted(images):
        for image, label in zip(images[split], labels[split], strict=True):
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
