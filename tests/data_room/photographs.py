"""A small data set as a user has one: images that differ, with a box each."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import yaml

BOX = "0 0.5 0.5 0.25 0.25\n"


def photographs(folder: Path, *, train: int = 60, val: int = 60, suffix: str = ".png") -> Path:
    """Write images of 16 × 16 pixels, no two alike, and give the YAML; it names no `path`."""
    draw = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for number in range(count):
            cv2.imwrite(str(image(folder, split, number, suffix)), draw.integers(0, 255, (16, 16, 3), dtype=np.uint8))
            label(folder, split, number).write_text(BOX, encoding="utf-8")
    return describe(folder)


def describe(folder: Path, /, **change: object) -> Path:
    """Write the YAML anew."""
    content = {"train": "images/train", "val": "images/val", "names": ["cat", "dog"], **change}
    path = folder / "data.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def image(folder: Path, split: str, number: int, suffix: str = ".png") -> Path:
    return folder / "images" / split / f"{number:03}{suffix}"


def label(folder: Path, split: str, number: int) -> Path:
    return folder / "labels" / split / f"{number:03}.txt"
