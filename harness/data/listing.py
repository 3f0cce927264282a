"""The images of a split as Ultralytics lists them, and what lies beside them that it passes over.

Its rules were copied from `check_det_dataset` and `get_img_files` (Ultralytics 8.4), because those two look for fonts
on the network and need a started training. One is different: where a folder of images is a link, and the labels are
not where the link leads to but beside the link, the link is not followed.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from harness.common.errors import UserError
from harness.data.root import refuse_windows, searched

# Suffixes of images that Ultralytics does not list.
_OTHER_IMAGES = frozenset(
    {"arw", "cr2", "cr3", "exr", "gif", "hdr", "jfif", "jpe", "jxl", "nef", "orf", "pbm", "pgm", "pnm", "ppm", "psd"}
    | {"raf", "ras", "raw", "rw2", "svg", "tga"}
)


class Description(TypedDict, total=False):
    """A checked data set in Ultralytics' form."""

    names: dict[int, str]
    nc: int
    channels: int
    kpt_shape: list[int]
    path: Path
    yaml_file: str
    train: str | list[str]
    val: str | list[str]


@dataclass(frozen=True, kw_only=True)
class Split:
    """What there is of one split, `train` or `val`.

    Attributes:
        sources: Folders, and text files with one path of an image a line.
        images: Sorted paths of the images.
        unlisted: Images whose suffix Ultralytics does not read.
        stray_labels: Label files in folders of labels, without an image of this split.
    """

    sources: tuple[Path, ...]
    images: tuple[str, ...]
    unlisted: tuple[str, ...] = ()
    stray_labels: tuple[str, ...] = ()


def list_split(split: str, content: Mapping[str, Any], root: Path, yaml: Path) -> Split:
    """List a split.

    Raises:
        UserError: It is not there, or empty.
    """
    named = content[split]
    sources: list[Path] = []
    images: set[str] = set()
    unlisted: set[str] = set()
    stray: set[str] = set()
    for name in [named] if isinstance(named, str) else named:
        refuse_windows(name, split, yaml)
        try:
            source = _source(root, name)
            if not (source.is_dir() or source.is_file()):  # a device or a pipe would never end
                raise UserError(_missing(split, source, content, yaml))
            source = _source_with_labels(root / name, source, yaml)
            sources.append(source)
            listed = _files_of(source)
            images.update(_with_suffix(listed, _formats()))
            unlisted.update(_with_suffix(listed, _OTHER_IMAGES))
            stray.update(_label_files_of(source))
        except (OSError, ValueError) as error:
            raise UserError(f"Data set {yaml}: its {split!r} images cannot be found: {error}.") from error
    if not images:
        kind = "validation" if split == "val" else "training"
        raise UserError(
            f"The {kind} set of {yaml} is empty: no images in {root / str(named)}{_of_another_kind(unlisted)}."
        )
    return Split(
        sources=tuple(sources),
        images=tuple(sorted(images)),
        unlisted=tuple(sorted(unlisted)),
        stray_labels=tuple(sorted(stray - set(label_paths([*images, *unlisted])))),
    )


def label_paths(images: Sequence[str]) -> list[str]:
    """Return the label file of each image, whether it exists or not."""
    from ultralytics.data.utils import img2label_paths

    paths: list[str] = img2label_paths(list(images))
    return paths


def _formats() -> frozenset[str]:
    from ultralytics.data.utils import IMG_FORMATS

    return frozenset(IMG_FORMATS)


def _source(root: Path, name: str) -> Path:
    source = (root / name).resolve()
    if not source.exists() and name.startswith("../"):
        source = (root / name[3:]).resolve()
    return source


def _source_with_labels(named: Path, followed: Path, yaml: Path) -> Path:
    """Return the path under which labels are found, for a folder of images that is a link."""
    link = Path(os.path.normpath(named))
    if link == followed or not followed.is_dir() or not link.is_dir():
        return followed
    there, here = _first_label(followed), _first_label(link)
    if there and here and Path(there).resolve() != Path(here).resolve():
        raise UserError(
            f"Data set {yaml}: {link} is a link to {followed}, and there are labels on both sides, such as {here} and "
            f"{there}; remove those that you do not mean, or name the folder itself in the YAML."
        )
    return link if here and not there else followed


def _first_label(folder: Path) -> str | None:
    images = list(_with_suffix(_files_of(folder), _formats()))
    return next((label for label in label_paths(images) if Path(label).is_file()), None)


def followed_link(root: Path, content: Mapping[str, Any], split: str) -> str:
    """Return a clause that says that a folder of images is a link, and where labels may be; empty where none is."""
    named = content[split]
    for name in [named] if isinstance(named, str) else named:
        link = Path(os.path.normpath(root / name))
        if link.is_dir() and link != link.resolve():
            places = [str(Path(label_paths([str(side / "x.jpg")])[0]).parent) for side in (link, link.resolve())]
            return f"; {link} is a link to {link.resolve()}, so they may also be in {places[0]}"
    return ""


def _missing(split: str, place: Path, content: Mapping[str, Any], yaml: Path) -> str:
    where = searched(content, yaml)
    if content.get("download"):
        return f"The images of {yaml.name} must be downloaded first: the {split} images are expected at {place}{where}."
    return f"Data set {yaml}: {place}, where its {split!r} images should be, does not exist{where}."


def missing_image(split: str, image: str, content: Mapping[str, Any], yaml: Path) -> str:
    """Return the sentence about an image that a list names and that is not there."""
    return _missing(split, Path(image), content, yaml)


def _of_another_kind(unlisted: Iterable[str]) -> str:
    suffixes = sorted({Path(path).suffix for path in unlisted})
    return f" but files in formats that Ultralytics does not list ({', '.join(suffixes)})" if suffixes else ""


def _files_of(source: Path) -> list[str]:
    """List all files below a folder, or those that a text file lists."""
    if source.is_dir():
        # Not Path.glob: like Ultralytics, follow links and skip hidden files.
        return glob.glob(str(Path(glob.escape(str(source))) / "**" / "*.*"), recursive=True)  # noqa: PTH207
    lines = map(str.strip, source.read_text(encoding="utf-8-sig").splitlines())
    return [str(source.parent / line[2:]) if line.startswith("./") else line for line in lines]


def _with_suffix(paths: Iterable[str], suffixes: frozenset[str]) -> Iterator[str]:
    return (path for path in paths if path.rpartition(".")[-1].lower() in suffixes)


def _label_files_of(source: Path) -> list[str]:
    """List all label files for a folder of images; none for a list, since only its images' own are meant."""
    if not source.is_dir():
        return []
    folder = Path(label_paths([str(source / "x.jpg")])[0]).parent
    return [path for path in _files_of(folder) if path.endswith(".txt")] if folder.is_dir() else []
