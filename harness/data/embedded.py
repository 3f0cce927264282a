"""Data sets that clo-nas paints itself, written once to the cache as ordinary Ultralytics data sets.

Same settings, same bytes, on every machine: what paints uses exact arithmetic alone (`painting`), and PNGs are written
without compression, because zlib builds differ.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.common.atomic import write_folder_once, write_whole
from harness.common.digest import json_digest
from harness.common.errors import UserError
from harness.data.painting import Box

_SCENES = "scenes.json"


def is_painted(yaml: Path) -> bool:
    """Tell whether clo-nas painted a data set, rather than somebody took its images."""
    return (yaml.parent / _SCENES).is_file()


@dataclass(frozen=True, kw_only=True)
class Painted:
    """One image of a data set.

    Attributes:
        pixels: (H, W, 3).
        objects: Class and box of each.
        about: What `scenes.json` keeps of it, plain data.
    """

    pixels: NDArray[np.uint8]
    objects: Sequence[tuple[int, Box]]
    about: object


def ensure_written(
    cache: Path,
    name: str,
    settings: Mapping[str, object],
    *,
    classes: Sequence[str],
    source: str,
    splits: Callable[[], Iterable[tuple[str, Iterable[Painted]]]],
    also: str = "",
) -> Path:
    """Write a data set to `cache` unless it is there, and return the path of its YAML.

    Several processes may call this at once. A half-written one is never seen.

    Args:
        cache: Where data sets are kept, each in a folder of its own.
        name: The data set's, with the version of what paints it.
        settings: What it is made of; other values make another folder.
        classes: Names by number.
        source: Text of `SOURCE.txt`.
        splits: Paints: `train` and `val`, each with its images.
        also: Lines of the YAML behind the others.

    Raises:
        UserError: The cache cannot be written.
    """
    folder = cache.absolute() / f"{name}-{json_digest(dict(settings))[:10]}"
    yaml, text = folder / "data.yaml", _yaml_text(folder, classes) + also

    def write(draft: Path) -> None:
        _write(draft, splits(), source)
        (draft / yaml.name).write_text(text, encoding="utf-8")

    try:
        if not folder.is_dir():
            write_folder_once(folder, write)
        elif yaml.read_text(encoding="utf-8") != text:  # the cache was moved here
            write_whole(yaml, text.encode())
    except OSError as error:
        reason = error.strerror or str(error)
        called = name.partition("-")[0]
        raise UserError(f"The {called} data set cannot be written to {folder}: {reason}.") from error
    return yaml


def _write(folder: Path, splits: Iterable[tuple[str, Iterable[Painted]]], source: str) -> None:
    record: dict[str, object] = {}
    for split, painted in splits:
        images, texts = folder / "images" / split, folder / "labels" / split
        images.mkdir(parents=True)
        texts.mkdir(parents=True)
        for index, one in enumerate(painted):
            name = f"{index:05d}"
            (images / f"{name}.png").write_bytes(_png(one.pixels))
            (texts / f"{name}.txt").write_text(_label_text(one), encoding="utf-8")
            record[f"{split}/{name}"] = one.about
    (folder / _SCENES).write_text(json.dumps(record), encoding="utf-8")
    (folder / "SOURCE.txt").write_text(source, encoding="utf-8")


def _yaml_text(folder: Path, classes: Sequence[str]) -> str:
    names = "".join(f"  {number}: '{name}'\n" for number, name in enumerate(classes))
    # A JSON string is a YAML string, whatever characters the path holds.
    return f"path: {json.dumps(str(folder))}\ntrain: images/train\nval: images/val\nnames:\n{names}"


def _label_text(painted: Painted) -> str:
    height, width = painted.pixels.shape[:2]
    lines = []
    for label, (left, top, right, bottom) in painted.objects:
        values = (
            (left + right) / 2 / width,
            (top + bottom) / 2 / height,
            (right - left) / width,
            (bottom - top) / height,
        )
        lines.append(" ".join([str(label), *(f"{value:.8f}" for value in values)]) + "\n")
    return "".join(lines)


def _png(image: NDArray[np.uint8]) -> bytes:
    """Encode an RGB image (H, W, 3) as PNG, its pixels stored, not compressed."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width, _ = image.shape
    raw = np.zeros((height, 1 + 3 * width), np.uint8)  # each row starts with its filter: 0, none
    raw[:, 1:] = image.reshape(height, -1)
    pixels = raw.tobytes()
    blocks = [pixels[i : i + 65535] for i in range(0, len(pixels), 65535)]
    stored = b"".join(
        struct.pack("<BHH", i == len(blocks) - 1, len(block), 65535 - len(block)) + block
        for i, block in enumerate(blocks)
    )
    stream = b"\x78\x01" + stored + struct.pack(">I", zlib.adler32(pixels))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", stream) + chunk(b"IEND", b"")
