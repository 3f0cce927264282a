"""The embedded data set: scenes of real handwritten digits that a detector finds hard but not hopeless.

A search must run on a fresh machine without a download, on real pen strokes, and leave a detector
room to improve. So scenes are composed from the 1,797 digits that scikit-learn ships [1], with small,
touching, low-contrast digits on clutter, and written once as an ordinary Ultralytics data set.

Same settings, same bytes, on every machine: `scenes` paints with exact arithmetic alone, and PNGs are
written without compression, because zlib builds differ.

[1] E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository, 1998, https://doi.org/10.24432/C50P49, CC BY 4.0.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.common.atomic import write_folder_once
from harness.common.digest import json_digest
from harness.common.errors import UserError
from harness.data.scenes import DigitsSettings, Pixels, PlacedDigit, compose_scene, generator

__all__ = [
    "SOURCE",
    "DigitsSettings",
    "Pixels",
    "PlacedDigit",
    "compose_scene",
    "ensure_digits",
    "split_digits",
]

SOURCE = """\
Scenes composed from the Optical Recognition of Handwritten Digits data set by E. Alpaydin and C. Kaynak
(UCI Machine Learning Repository, 1998, https://doi.org/10.24432/C50P49), as shipped with scikit-learn
(sklearn.datasets.load_digits).
Licence of the digits: Creative Commons Attribution 4.0 International (CC BY 4.0),
https://creativecommons.org/licenses/by/4.0/legalcode
Changes: the 8x8 digits were enlarged, sheared, rotated, coloured and composed into scenes.
These scenes are offered under the same licence. scenes.json tells which digit is where.
"""


def ensure_digits(cache: Path, settings: DigitsSettings | None = None) -> Path:
    """Write the data set to `cache` unless it is there, and return the path of its YAML.

    Several processes may call this at once. A half-written one is never seen.

    Raises:
        UserError: The cache cannot be written.
    """
    settings = settings or DigitsSettings()
    folder = cache.absolute() / f"digits-v1-{json_digest(asdict(settings))[:10]}"
    yaml = folder / "data.yaml"
    try:
        if not folder.is_dir():
            write_folder_once(folder, lambda draft: _write_all(draft, folder, settings))
        elif yaml.read_text(encoding="utf-8") != _yaml_text(folder):  # the cache was moved here
            _replace_text(yaml, _yaml_text(folder))
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"The digits data set cannot be written to {folder}: {reason}.") from error
    return yaml


def split_digits(labels: NDArray[np.int64], settings: DigitsSettings) -> dict[str, list[int]]:
    """Divide the digit images themselves, class by class, so that no image is in both splits."""
    rng = generator(settings.seed, 0)
    split: dict[str, list[int]] = {"train": [], "val": []}
    for label in range(10):
        of_class = np.flatnonzero(labels == label)
        shuffled = of_class[np.argsort(rng.random(len(of_class)), kind="stable")].tolist()
        cut = int(len(shuffled) * settings.train_share)
        split["train"] += shuffled[:cut]
        split["val"] += shuffled[cut:]
    return split


def _write_all(draft: Path, folder: Path, settings: DigitsSettings) -> None:
    _write(draft, settings)
    (draft / "data.yaml").write_text(_yaml_text(folder), encoding="utf-8")


def _write(folder: Path, settings: DigitsSettings) -> None:
    from sklearn.datasets import load_digits  # slow to import, and needed once a machine

    bunch = load_digits()
    glyphs, labels = bunch.images.astype(np.float64), bunch.target.astype(np.int64)
    record: dict[str, list[dict[str, object]]] = {}
    digits = split_digits(labels, settings)
    for number, (split, count) in enumerate((("train", settings.train_images), ("val", settings.val_images))):
        images, texts = folder / "images" / split, folder / "labels" / split
        images.mkdir(parents=True)
        texts.mkdir(parents=True)
        deck = _deck(digits[split], generator(settings.seed, 1, number))
        for index in range(count):
            rng = generator(settings.seed, 2, number, index)
            image, placed, _ = compose_scene(deck, glyphs, labels, rng, settings)
            name = f"{index:05d}"
            (images / f"{name}.png").write_bytes(_png(image))
            (texts / f"{name}.txt").write_text(_label_text(placed, settings.image_size), encoding="utf-8")
            record[f"{split}/{name}"] = [asdict(one) for one in placed]
    (folder / "scenes.json").write_text(json.dumps(record), encoding="utf-8")
    (folder / "SOURCE.txt").write_text(SOURCE, encoding="utf-8")


def _deck(digits: list[int], rng: np.random.Generator) -> Iterator[int]:
    """Deal all digits, shuffle, deal again: every image is used about equally often."""
    while True:
        yield from (digits[i] for i in np.argsort(rng.random(len(digits)), kind="stable"))


def _yaml_text(folder: Path) -> str:
    names = "".join(f"  {label}: '{label}'\n" for label in range(10))
    # A JSON string is a YAML string, whatever characters the path holds.
    return f"path: {json.dumps(str(folder))}\ntrain: images/train\nval: images/val\nnames:\n{names}"


def _replace_text(path: Path, text: str) -> None:
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _label_text(placed: list[PlacedDigit], size: int) -> str:
    lines = []
    for one in placed:
        left, top, right, bottom = one.box
        values = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
        lines.append(" ".join([str(one.label), *(f"{value / size:.8f}" for value in values)]) + "\n")
    return "".join(lines)


def _png(image: NDArray[np.uint8]) -> bytes:
    """An RGB image (height, width, 3) as PNG, its pixels stored, not compressed."""

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
