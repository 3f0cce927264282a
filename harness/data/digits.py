"""The embedded data set: scenes of real handwritten digits that a detector finds hard but not hopeless.

A search must run on a fresh machine without a download, on real pen strokes, and leave a detector
room to improve. So scenes are composed from the 1,797 digits that scikit-learn ships [1], with small,
touching, low-contrast digits on clutter, and written once (`embedded`).

[1] E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository, 1998, https://doi.org/10.24432/C50P49, CC BY 4.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.data.embedded import Painted, ensure_written
from harness.data.painting import Pixels, generator
from harness.data.scenes import DigitsSettings, PlacedDigit, compose_scene

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

    Raises:
        UserError: The cache cannot be written.
    """
    settings = settings or DigitsSettings()
    return ensure_written(
        cache,
        "digits-v1",
        asdict(settings),
        classes=[str(label) for label in range(10)],
        source=SOURCE,
        splits=lambda: _paint(settings),
    )


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


def _paint(settings: DigitsSettings) -> Iterator[tuple[str, Iterator[Painted]]]:
    from sklearn.datasets import load_digits  # slow to import, and needed once a machine

    bunch = load_digits()
    glyphs, labels = bunch.images.astype(np.float64), bunch.target.astype(np.int64)
    digits = split_digits(labels, settings)

    def scenes(split: str, number: int, count: int) -> Iterator[Painted]:
        deck = _deck(digits[split], generator(settings.seed, 1, number))
        for index in range(count):
            rng = generator(settings.seed, 2, number, index)
            image, placed, _ = compose_scene(deck, glyphs, labels, rng, settings)
            objects = [(one.label, one.box) for one in placed]
            yield Painted(pixels=image, objects=objects, about=[asdict(one) for one in placed])

    for number, (split, count) in enumerate((("train", settings.train_images), ("val", settings.val_images))):
        yield split, scenes(split, number, count)


def _deck(digits: list[int], rng: np.random.Generator) -> Iterator[int]:
    """Deal all digits, shuffle, deal again: every image is used about equally often."""
    while True:
        yield from (digits[i] for i in np.argsort(rng.random(len(digits)), kind="stable"))
