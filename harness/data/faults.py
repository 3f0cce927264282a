"""Why Ultralytics leaves out an image, in a user's words.

Whether it does is Ultralytics' to say (`loader`); here is only looked for the reason, in the order in which
`verify_image_label` looks at an image and its labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

# Ultralytics' bound of a coordinate, a share of the image's side.
_MOST = 1.01
_LEAST = -0.01
# What is beyond this is meant as pixels.
_PIXELS = 2.0
_PIXELS_LEAST = 10
_HEADS = (b"<!doctype", b"<html", b"<?xml", b"version https://git-lfs")


@dataclass(frozen=True)
class Fault:
    """What is wrong, as `3 <reason>` reads, and the file and line of one case."""

    reason: str
    where: str


def fault_of(image: str, label: str, classes: int) -> Fault:
    """Find what is wrong with an image that is left out, or with its labels.

    Args:
        image: Path of the image.
        label: Path of its labels.
        classes: Number of classes of the data.
    """
    if reason := _of_image(image):
        return Fault(reason, image)
    try:
        text = Path(label).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return Fault("with a label file that cannot be read", label)
    rows = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    is_polygons = any(len(row) > 6 for _, row in rows)
    for number, row in rows:
        if reason := _of_row(row, classes, is_polygons):
            return Fault(reason, f"{label}, line {number}")
    return Fault("that Ultralytics cannot read", image)


def _of_image(path: str) -> str:
    """Check an image as Ultralytics' `check_image` does, which leaves the file open; empty if nothing is wrong."""
    from PIL import Image, UnidentifiedImageError
    from ultralytics.data.utils import IMG_FORMATS

    try:
        with Image.open(path) as opened:
            opened.verify()
            size, kind = opened.size, str(opened.format).lower()
        if kind == "jpeg":
            with Image.open(path) as opened:
                opened.load()
    except FileNotFoundError:
        return "that are not there"
    except (UnidentifiedImageError, ImportError):
        return _unknown_content(path)
    except Image.DecompressionBombError:
        return "with more pixels than Pillow opens"
    except Exception:  # noqa: BLE001 - Pillow's readers raise anything at what they cannot read
        return "corrupt or truncated"
    if min(size) < _PIXELS_LEAST:
        return f"under {_PIXELS_LEAST} pixels wide or high"
    return (
        "" if kind in {*IMG_FORMATS, "jpeg2000"} else f"in the format {kind.upper()}, which Ultralytics does not read"
    )


def _unknown_content(path: str) -> str:
    """Describe what no reader of images knows."""
    with Path(path).open("rb") as file:
        head = file.read(64)
    if not head:
        return "of 0 bytes"
    if head.lstrip().lower().startswith(_HEADS):
        return "not an image but a text such as an HTML page"
    if head[4:8] == b"ftyp":
        return "in the format HEIC or AVIF, for which no reader is installed; convert to .jpg or .png"
    return "not an image, or corrupt at their beginning"


def _of_row(row: list[str], classes: int, is_polygons: bool) -> str:
    """Return what is wrong with a row of labels, if anything is."""
    try:
        values = [float(value) for value in row]
    except ValueError:
        return "with a label row that holds a word instead of a number"
    if is_polygons and len(values) == 5:
        return "with rows of boxes and of polygons in one label file"
    if not (len(values) == 5 or (is_polygons and len(values) % 2)):
        return f"with a label row of {len(values)} columns instead of 5"
    if not all(map(math.isfinite, values)):
        return "with a label row that holds no number"
    return _of_values(values, row[0], classes, is_polygons)


def _of_values(values: list[float], name: str, classes: int, is_polygons: bool) -> str:
    number, places = values[0], values[1:]
    if number % 1 or not 0 <= number < classes:
        return f"with a label of class {name}, which is not one of the classes 0 to {classes - 1}"
    if max(places) > _PIXELS:
        return "with a label row in pixels, not in shares of the image's sides"
    if not is_polygons and min(places[2:]) < 0:
        return "with a label row of negative width or height"
    if max(places) > _MOST or min(places) < _LEAST:
        return "with a label row outside the image"
    return ""
