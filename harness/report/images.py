"""The validation images on which a candidate and the baseline differ most, with what each of them found.

What is correct is Ultralytics' matching at IoU 0.50: pairs of one class by falling overlap, each detection and each
object once. The images themselves are where they were when the detector was judged, or, once shown, in the study's
folder.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from harness.architecture import BASELINE
from harness.record.state import State
from harness.record.study import StudyRecord
from harness.record.tables import of_one
from harness.training.image_matches import LEAST_DRAWN, ImageMatches, matches_path, read_matches

Floats = NDArray[np.float64]
# Architecture, epochs, seed of the base, seed.
Key = tuple[str, int, int, int]
Reader = Callable[[Key], ImageMatches | None]
# The baseline's and a candidate's, of the same images in the same order.
Pair = tuple[ImageMatches, ImageMatches]
# Images shown in which a candidate is better, and as many in which it is worse.
SIDE = 6
THRESHOLDS = np.round(np.arange(0.05, 0.951, 0.05), 2)
# Pixels of the longer side in the page; the file beside it has all.
THUMBNAIL = 320
_FULL = 2048
# An image that claims more is not opened.
_MOST_PIXELS = 100_000_000


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one detector found in one image.

    Attributes:
        boxes: Left, top, right, bottom as shares of the image; (D, 4).
        confidence: (D,); at least `LEAST_DRAWN`.
        object_of: Number of the object that a detection is matched with at IoU 0.50, or −1; (D,).
    """

    boxes: Floats
    classes: NDArray[np.int64]
    confidence: Floats
    object_of: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One image for one candidate: the file's name, its place in `Gallery.pictures`, and what the two found there.

    `difference` is its score with the candidate minus that with the baseline, whose boxes are first.
    """

    name: str
    number: int
    difference: float
    sides: tuple[Found, Found]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An image as it is shown: two JPEGs, the name of the larger one, and objects' boxes as shares of it; (T, 4)."""

    thumbnail: bytes
    full: bytes
    file: str
    objects: Floats
    classes: NDArray[np.int64]
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A candidate's images beside the baseline's.

    Attributes:
        seed: Under which both were judged, after so many epochs.
        shots: Better ones first, then worse ones.
        rates: Precision and recall over the whole validation set, of the baseline and of the candidate, at each of
            `THRESHOLDS`; (2, 2, N).
    """

    architecture: str
    seed: int
    epochs: int
    shots: tuple[Shot, ...]
    rates: Floats


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """All that is shown of images, each once; `threshold` is where the slider begins: at the baseline's highest F1.

    `gone` is how many images could not be read.
    """

    kind: ClassVar[str] = "gallery"

    compared: tuple[Compared, ...]
    pictures: tuple[Picture, ...]
    classes: tuple[str, ...]
    threshold: float
    gone: int


def read_kept(folder: Path, key: Key) -> ImageMatches | None:
    """Read the matches of a training by the images' names; None where there are none with boxes."""
    matches = of_one(key[0], lambda: read_matches(matches_path(folder, *key)))
    return matches.sorted_by_name() if matches and matches.target_boxes and matches.names else None


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Matches of the baseline and of a candidate under the evaluation seeds of its longest trainings, a pair a seed."""

    architecture: str
    epochs: int
    seeds: tuple[int, ...]
    pairs: tuple[Pair, ...]


def judged(record: StudyRecord, name: str, read: Reader, most: int) -> Judged | None:
    """Read the kept matches of a candidate and the baseline, of `most` seeds; None where none have boxes."""
    done = record.trials[record.trials["state"] == State.COMPLETE].fillna({"base_seed": 0})
    columns = ["epochs", "base_seed", "seed"]
    ours, theirs = (done.loc[done["architecture"] == each, columns] for each in (BASELINE, name))
    both = ours.merge(theirs).sort_values(["epochs", "seed"], ascending=[False, True]).astype(int)
    for epochs in both["epochs"].unique():
        seeds: list[int] = []
        pairs: list[Pair] = []
        for _, base_seed, seed in both[both["epochs"] == epochs].itertuples(index=False, name=None):
            one, other = (read((each, int(epochs), base_seed, seed)) for each in (BASELINE, name))
            if len(pairs) < most and one and other and list(one.names) == list(other.names):
                seeds.append(seed)
                pairs.append((one, other))
        if pairs:
            return Judged(architecture=name, epochs=int(epochs), seeds=tuple(seeds), pairs=tuple(pairs))
    return None


def best_threshold(found: Judged) -> float:
    """Find the confidence of `THRESHOLDS` at which the baseline's F1 over all images is the highest."""
    precision, recall = np.nan_to_num(_rates(found.pairs[0][0]))  # F1 is 0 where nothing is found
    return float(THRESHOLDS[int(np.argmax(2 * precision * recall / np.maximum(precision + recall, 1e-9)))])


def gallery(found: Sequence[Judged], kept: Path, *, originals: bool = True) -> Gallery:
    """Return the images that tell most of some candidates, the pick first; the first seed of each is shown.

    Args:
        found: One or more.
        kept: Folder with the pictures of an earlier report, beside the study.
        originals: Whether images are also opened where the matches say that they are: a stranger's may name any file.
    """
    threshold, album = best_threshold(found[0]), _Album(kept, originals=originals)
    compared = [
        Compared(
            architecture=each.architecture,
            seed=each.seeds[0],
            epochs=each.epochs,
            shots=tuple(_shots(*each.pairs[0], threshold, album)),
            rates=np.stack([_rates(side) for side in each.pairs[0]], axis=1),
        )
        for each in found
    ]
    return Gallery(
        compared=tuple(compared),
        pictures=tuple(album.pictures),
        classes=tuple(found[0].pairs[0][0].classes),
        threshold=threshold,
        gone=len(album.gone),
    )


def _shots(ours: ImageMatches, theirs: ImageMatches, threshold: float, album: _Album) -> list[Shot]:
    """Choose images where the score differs most and that can be shown."""
    difference = _scores(theirs, threshold) - _scores(ours, threshold)
    order = np.argsort(-difference, kind="stable")
    shots: list[Shot] = []
    for numbers, sign in ((order, 1), (order[::-1], -1)):
        taken = 0
        for at in map(int, numbers):
            if taken == SIDE or difference[at] * sign <= 1e-9:
                break
            number = album.number(ours.names[at], ours.target_boxes[at], ours.target[at])
            if number is None:
                continue
            name, sides = Path(ours.names[at]).name, (_found(ours, at), _found(theirs, at))
            shots.append(Shot(name=name, number=number, difference=float(difference[at]), sides=sides))
            taken += 1
    return shots


def _scores(matches: ImageMatches, threshold: float) -> Floats:
    """Compute each image's F1 at a confidence, the mean over IoUs; 1 where there is nothing and nothing is found."""
    scores = []
    for matched, confidence, target in zip(matches.matched, matches.confidence, matches.target, strict=True):
        sure = confidence >= threshold
        both = int(sure.sum()) + len(target)
        scores.append(float(2 * matched[sure].sum(axis=0).mean() / both) if both else 1.0)
    return np.array(scores)


def _rates(matches: ImageMatches) -> tuple[Floats, Floats]:
    """Compute precision and recall at IoU 0.50 over all images, for each of `THRESHOLDS`; precision of none is NaN."""
    confidence, hit = np.concatenate(matches.confidence), np.concatenate(matches.matched)[:, 0].astype(bool)
    objects = max(1, sum(map(len, matches.target)))
    sure = confidence >= THRESHOLDS[:, None]
    hits, count = (sure & hit).sum(axis=1), sure.sum(axis=1)
    return np.where(count > 0, hits / np.maximum(count, 1), np.nan), hits / objects


def _found(matches: ImageMatches, at: int) -> Found:
    drawn = matches.confidence[at] >= LEAST_DRAWN
    return Found(
        boxes=matches.boxes[at][drawn],
        classes=matches.predicted[at][drawn].astype(np.int64),
        confidence=matches.confidence[at][drawn].astype(np.float64),
        object_of=object_of(matches, at)[drawn],
    )


def object_of(matches: ImageMatches, at: int) -> NDArray[np.int64]:
    """Match each detection of an image with an object at IoU 0.50: pairs of one class, by falling overlap.

    Returns:
        The object's number, −1 of a detection without one or whose box was not kept; (D,).
    """
    objects, target = matches.target_boxes[at], matches.target[at]
    result = np.full(len(matches.confidence[at]), -1, dtype=np.int64)
    hits = np.flatnonzero(matches.matched[at][:, 0])  # few of hundreds
    if not (len(hits) and len(objects)):
        return result
    alike = matches.predicted[at][hits][:, None] == target[None, :]
    overlap = np.where(alike, overlaps(matches.boxes[at][hits], objects), 0.0)
    for flat in np.argsort(-overlap, axis=None, kind="stable"):
        place, one = divmod(int(flat), len(objects))
        if overlap[place, one] <= 0:
            break
        if result[hits[place]] < 0 and one not in result:
            result[hits[place]] = one
    return result


def overlaps(one: Floats, other: Floats) -> Floats:
    """Compute the IoU of each box with each other; (N, 4), (M, 4) → (N, M)."""
    low, high = np.maximum(one[:, None, :2], other[None, :, :2]), np.minimum(one[:, None, 2:], other[None, :, 2:])
    both: Floats = np.prod((high - low).clip(min=0), axis=2)
    areas = [np.prod(each[:, 2:] - each[:, :2], axis=1) for each in (one, other)]
    union: Floats = np.maximum(areas[0][:, None] + areas[1][None, :] - both, 1e-12)
    return both / union


class _Album:
    """Images as they are shown, each read once."""

    def __init__(self, kept: Path, *, originals: bool) -> None:
        self._originals = originals
        self.pictures: list[Picture] = []
        self.gone: set[str] = set()
        self._kept = kept
        self._numbers: dict[str, int] = {}

    def number(self, path: str, objects: Floats, classes: Any) -> int | None:
        """Return an image's place, added if it is new; None where it cannot be read."""
        if path in self.gone or path in self._numbers:
            return self._numbers.get(path)
        file = f"{hashlib.sha256(path.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}.jpg"
        again = _opened(self._kept / file)
        image = again or (_opened(Path(path).expanduser()) if self._originals else None)
        if image is None:
            self.gone.add(path)
            return None
        image.thumbnail((_FULL, _FULL))
        full = (self._kept / file).read_bytes() if again else jpeg(image)  # not a copy of a copy
        image.thumbnail((THUMBNAIL, THUMBNAIL))
        self._numbers[path] = len(self.pictures)
        self.pictures.append(
            Picture(
                thumbnail=jpeg(image),
                full=full,
                file=file,
                objects=objects,
                classes=classes.astype(np.int64),
                width=image.width,
                height=image.height,
            )
        )
        return self._numbers[path]


def _opened(path: Path) -> Image.Image | None:
    """Open an image upright and in colours, nothing else of it; None where there is none."""
    try:
        with Image.open(path) as image:
            if image.width * image.height > _MOST_PIXELS:
                return None
            return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, SyntaxError, ImportError, Image.DecompressionBombError):
        return None  # ImportError: Ultralytics' own `Image.open` tries a reader of HEIF


def jpeg(image: Image.Image) -> bytes:
    """Encode an image as JPEG, without what a camera wrote beside the pixels."""
    out = io.BytesIO()
    image.save(out, format="JPEG", quality=90, subsampling=0)  # boxes and marks keep their colours
    return out.getvalue()
