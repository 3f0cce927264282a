"""A COCO annotation file, read strictly: what is wrong in it is said before anything is made of it.

The format [1] is checked for what a detector's training and COCOeval need; segmentations are skipped.

[1] https://cocodataset.org/#format-data
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from harness.common.errors import UserError

_NAME = re.compile(r"instances_(train|val)(.*)\.json")
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


_STRICT = ConfigDict(strict=True)  # with dataclasses instead of models, because COCO has a million annotations


@dataclass(config=_STRICT, frozen=True, kw_only=True, slots=True)
class CocoImage:
    """An image; its size in pixels."""

    id: int
    file_name: Annotated[str, Field(min_length=1)]
    width: _Positive
    height: _Positive


@dataclass(config=_STRICT, frozen=True, kw_only=True, slots=True)
class CocoCategory:
    """A class of objects."""

    id: int
    name: Annotated[str, Field(min_length=1)]


@dataclass(config=_STRICT, frozen=True, kw_only=True, slots=True)
class CocoAnnotation:
    """An object, or a crowd of them; box as left, top, width, height in pixels, area in pixels of the object itself."""

    id: int
    image_id: int
    category_id: int
    bbox: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
    area: FiniteFloat | None = None
    iscrowd: bool | int = 0


@dataclass(config=_STRICT, frozen=True, kw_only=True, slots=True)
class CocoFile:
    """All of an annotation file that is used."""

    images: Annotated[tuple[CocoImage, ...], Field(min_length=1)]
    categories: Annotated[tuple[CocoCategory, ...], Field(min_length=1)]
    annotations: tuple[CocoAnnotation, ...]


def find_coco(data: str) -> tuple[Path, Path] | None:
    """Find the annotation files of the training and the validation set; None if `data` names nothing of COCO's.

    Args:
        data: Path of either file, or of a folder that has both in `annotations/`.

    Raises:
        UserError: It is COCO's, but one of the two is missing or there are several.
    """
    if "://" in data:
        return None
    path = Path(data).expanduser().absolute()
    if path.is_dir():
        found = [sorted((path / "annotations").glob(f"instances_{split}*.json")) for split in ("train", "val")]
        if not any(found):
            return None
        several = next((files for files in found if len(files) > 1), None)
        if several:
            raise UserError(f"Data set {path} has several: {_listed(several)}; give the path of the one that is meant.")
        path = (found[0] or found[1])[0]
    if path.suffix.lower() != ".json":
        return None
    named = _NAME.fullmatch(path.name)
    if named is None:
        raise UserError(
            f"Data set {path}: a COCO annotation file is named instances_train*.json or instances_val*.json, "
            "so that the one of the other set is found."
        )
    if not path.is_file():
        raise UserError(f"Data set {path} does not exist.")
    other = _sibling(path, "val" if named[1] == "train" else "train", named[2])
    return (path, other) if named[1] == "train" else (other, path)


def _sibling(path: Path, split: str, rest: str) -> Path:
    same = path.with_name(f"instances_{split}{rest}.json")
    if same.is_file():
        return same
    others = sorted(path.parent.glob(f"instances_{split}*.json"))
    if len(others) == 1:
        return others[0]
    kind = "validation" if split == "val" else "training"
    have = f"there are several: {_listed(others)}; name one of them {same.name}" if others else "there is none"
    raise UserError(f"Data set {path} needs {same.name} beside it for its {kind} set, and {have}.")


def _listed(files: Iterable[Path]) -> str:
    return ", ".join(file.name for file in files)


def read_coco(path: Path, content: bytes, *, areas: bool) -> CocoFile:
    """Read an annotation file and check that it refers to nothing that it lacks.

    Args:
        path: Where it is, for messages.
        content: Its bytes.
        areas: Whether every annotation must have its area, as COCOeval needs it.

    Raises:
        UserError: It is no such file, or contradicts itself.
    """
    try:
        file = TypeAdapter(CocoFile).validate_json(content)
    except ValidationError as error:
        raise UserError(f"{path} is not a COCO annotation file: {_first(error)}.") from error
    for what, values in {
        "two images with the id": (image.id for image in file.images),
        "two images with the file name": (image.file_name for image in file.images),
        "two categories with the id": (category.id for category in file.categories),
        "two categories with the name": (category.name for category in file.categories),
    }.items():
        if (twice := _repeated(values)) is not None:
            raise UserError(f"{path} has {what} {twice!r}; each may be there once.")
    _check_known(path, file, "image", {image.id for image in file.images})
    _check_known(path, file, "category", {category.id for category in file.categories})
    if areas and (bare := [each.id for each in file.annotations if each.area is None]):
        raise UserError(
            f"{path}: {counted(len(bare), 'annotation')} without 'area', by which COCOeval tells small objects from "
            f"large ones, first annotation {bare[0]}."
        )
    return file


def _first(error: ValidationError) -> str:
    """Return what is wrong first, and where: `'annotations[5].bbox': field required`."""
    fault = error.errors(include_url=False, include_input=False)[0]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"]).lstrip(".")
    what = fault["msg"][:1].lower() + fault["msg"][1:].rstrip(".")
    return f"{where!r}: {what}" if where else what


def _repeated(values: Iterable[Hashable]) -> Hashable | None:
    value, count = Counter(values).most_common(1)[0]
    return value if count > 1 else None


def _check_known(path: Path, file: CocoFile, what: str, known: set[int]) -> None:
    unknown = [each for each in file.annotations if getattr(each, f"{what}_id") not in known]
    if unknown:
        first = unknown[0]
        raise UserError(
            f"{path}: {counted(len(unknown), 'annotation')} of an unknown {what}, first annotation {first.id} with "
            f"{what}_id {getattr(first, f'{what}_id')}, which is not among the file's {_PLURAL[what]}."
        )


_PLURAL = {"image": "images", "category": "categories"}


def counted(number: int, noun: str) -> str:
    """Format a number with its noun: `1 box`, `2 boxes`."""
    plural = f"{noun}es" if noun.endswith("x") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"
