"""What an mAP is computed from, the matches of each validation image, and how much each image moves it: its influence.

Images are a sample; others would have given another mAP. The influence is the derivative by the image's weight: to
first order the change is the sum of the images'
influences, so that its variance is that of a sum of independent terms: the infinitesimal jackknife [1], which is what
a bootstrap over images tends to [2], without a draw. A pair's difference has the difference of both influences, image
by image, so that what both detectors find hard cancels. `harness.analysis.new_images` makes intervals of it.

mAP is Ultralytics'. For one class and IoU, with objects O and detections d in order of confidence,

    AP = Σ over hits h of w(h) / O · P(h),   P(h) = highest precision at any hit from h on,

whose derivative by an image's weight w has three parts: its hits' own terms, the objects that it adds to O, and what
its hits and false detections do to the precision at every later hit.

References:
    1. Jaeckel, "The infinitesimal jackknife", Bell Laboratories memorandum MM 72-1215-11, 1972.
    2. Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter 21.

The matches are kept in a file of the study.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from harness.common.atomic import whole

Array = npt.NDArray[Any]
# IoU 0.50, 0.55 … 0.95.
IOUS = 10
_BITS = 1 << np.arange(IOUS, dtype=np.uint16)
# Boxes of detections that are less confident are not kept: nobody looks at them, and they are most.
LEAST_DRAWN = 0.05
_STEPS = np.float32(65_535)


@dataclass(frozen=True, kw_only=True)
class ImageMatches:
    """Ultralytics' matches, one entry an image; D detections and T objects in each.

    Attributes:
        matched: Whether a detection has an object at each IoU of 0.50 to 0.95; (D, 10).
        confidence: (D,).
        predicted: Class of each detection; (D,).
        target: Class of each object; (T,).
        names: Path of each image, its name alone in files of earlier versions; empty where it is not known.
        boxes: Of each detection, (D, 4): left, top, right, bottom as shares of the image's width and height; zeros
            where it is less confident than `LEAST_DRAWN`. Empty in files from before they were kept.
        target_boxes: Of each object, (T, 4).
        classes: Name of each class.
    """

    matched: Sequence[Array]
    confidence: Sequence[Array]
    predicted: Sequence[Array]
    target: Sequence[Array]
    names: Sequence[str] = ()
    boxes: Sequence[Array] = ()
    target_boxes: Sequence[Array] = ()
    classes: Sequence[str] = ()

    def sorted_by_name(self) -> ImageMatches:
        """Return the images in the order of their names, so that two detectors' entries are of the same images."""
        return self.of(sorted(range(len(self.names)), key=lambda at: Path(self.names[at]).name))

    def of(self, images: Iterable[int]) -> ImageMatches:
        """Return those images, by number, in that order."""
        order, of_images = list(images), {name: values for name, values in vars(self).items() if name != "classes"}
        taken: dict[str, Any] = {
            name: [values[at] for at in order] if values else () for name, values in of_images.items()
        }
        return ImageMatches(**taken, classes=self.classes)


def matches_path(folder: Path, identity: str, epochs: int, base_seed: int, seed: int) -> Path:
    """Return where the matches of a training lie in a study's folder."""
    return folder / f"{identity}-{epochs}epochs-base{base_seed}-seed{seed}.npz"


def write_matches(matches: ImageMatches, path: Path) -> None:
    """Write matches compressed, the IoUs of a detection as bits, boxes to 1/65,535 of the image's sides.

    A reader never sees half a file.

    Args:
        matches: Of all images.
        path: File to write, named `.npz`; its folder is made.
    """
    confidence, boxes = _joined(matches.confidence), _joined(matches.boxes, (0, 4))
    drawn = confidence[: len(boxes), None] >= LEAST_DRAWN
    with whole(path) as part, part.open("wb") as file:
        np.savez_compressed(
            file,
            names=np.array(matches.names, dtype=np.str_),
            detections=np.array([len(values) for values in matches.confidence], dtype=np.uint32),
            objects=np.array([len(values) for values in matches.target], dtype=np.uint32),
            matched=_joined(matches.matched, (0, IOUS)).astype(np.uint16) @ _BITS,
            confidence=confidence.astype(np.float32),
            predicted=_joined(matches.predicted).astype(np.uint16),
            target=_joined(matches.target).astype(np.uint16),
            boxes=_steps(np.where(drawn, boxes, 0)),
            target_boxes=_steps(_joined(matches.target_boxes, (0, 4))),
            classes=np.array(matches.classes, dtype=np.str_),
        )


def read_matches(path: Path) -> ImageMatches:
    """Read what `write_matches` wrote.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is none of these files.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
        detections, objects = (np.cumsum(found[name])[:-1] for name in ("detections", "objects"))
        boxes, target_boxes = (found.get(name, np.zeros((0, 4))) / _STEPS for name in ("boxes", "target_boxes"))
        return ImageMatches(
            matched=np.split((found["matched"][:, None] & _BITS) > 0, detections),
            confidence=np.split(found["confidence"], detections),
            predicted=np.split(found["predicted"], detections),
            target=np.split(found["target"], objects),
            names=found["names"].tolist(),
            boxes=np.split(boxes, detections) if len(target_boxes) else (),
            target_boxes=np.split(target_boxes, objects) if len(target_boxes) else (),
            classes=found["classes"].tolist() if "classes" in found else (),
        )
    except (KeyError, EOFError, BadZipFile) as error:
        raise ValueError(f"{path}: no file of matches ({error})") from error


def _joined(values: Sequence[Array], shape: tuple[int, ...] = (0,)) -> Array:
    """Return all entries as one array, where there are no images as well."""
    return np.concatenate([np.zeros(shape, np.uint8), *values])


def _steps(shares: Array) -> Array:
    steps: Array = np.rint(shares.clip(0, 1) * _STEPS).astype(np.uint16)
    return steps


Floats = npt.NDArray[np.float64]

# Sums over this many blocks of images estimate a standard deviation to 5 %, however many images there are.
MOST_BLOCKS = 200


def block_influence(matches: ImageMatches) -> tuple[float, ...]:
    """Return the influences summed over blocks of neighbouring images, in the order of their names.

    Neighbours are often alike (frames of one film, one source), which a block's sum takes along.

    Args:
        matches: Of all images, with their names.

    Returns:
        A number an image, or `MOST_BLOCKS` numbers where there are more images; 0 in all but rounding.
    """
    influence = map_influence(matches.sorted_by_name() if matches.names else matches)
    blocks = np.array_split(influence, min(MOST_BLOCKS, max(1, len(influence))))
    return tuple(float(block.sum()) for block in blocks)


def map_influence(matches: ImageMatches) -> Floats:
    """Return the derivative of mAP50-95 by each image's weight, where all weigh 1; shape (images,).

    A class counts with the factor √(k / (k − 1)), where k of the images have an object of it (at least 2): deviations
    from a mean of k terms are too small by that.
    """
    images = len(matches.target)
    image, target_image = _images(matches.confidence), _images(matches.target)
    influence: Floats = np.zeros(images)
    if not len(target_image):
        return influence
    target, confidence = np.concatenate(matches.target), np.concatenate(matches.confidence)
    order = np.argsort(-confidence)  # as Ultralytics sorts
    predicted, image = np.concatenate(matches.predicted)[order], image[order]
    matched = np.concatenate(matches.matched)[order].astype(bool)
    classes = np.unique(target)
    for number in classes:
        own = predicted == number
        objects = np.bincount(target_image[target == number], minlength=images)
        precision, terms = _class_influence(matched[own], int(objects.sum()))
        change = np.bincount(image[own], terms, minlength=images) - precision * objects / objects.sum()
        with_objects = max(2, int(np.count_nonzero(objects)))
        influence += change * np.sqrt(with_objects / (with_objects - 1))
    return influence / len(classes)


def _class_influence(matched: Array, objects: int) -> tuple[float, Floats]:
    """Return one class's AP50-95, its recall not rounded to 101 points, and what each detection adds to its image's.

    Args:
        matched: (detections, IoUs), best detection first.
        objects: How many there are.
    """
    found = np.arange(1, len(matched) + 1)
    total, terms = 0.0, np.zeros(len(matched))
    for hit in matched.T:
        hits = np.flatnonzero(hit)
        if not len(hits):
            continue
        precision = np.arange(1, len(hits) + 1) / found[hits]
        best = _last_best(precision)
        envelope = precision[best]
        share = np.bincount(best, minlength=len(hits)) / objects / found[hits]  # of AP, by precision, by count
        gained, lost = (np.append(np.cumsum(each[::-1])[::-1], 0.0) for each in (share, share * precision))
        terms -= lost[np.searchsorted(hits, np.arange(len(matched)))]
        terms[hits] += envelope / objects + gained[:-1]
        total += float(envelope.sum()) / objects
    return total / IOUS, terms / IOUS


def _last_best(precision: Floats) -> Array:
    """Return for each hit where, from it on, precision is the highest."""
    backwards = precision[::-1]
    is_best = backwards >= np.maximum.accumulate(backwards)
    latest = np.maximum.accumulate(np.where(is_best, np.arange(len(precision)), 0))
    return len(precision) - 1 - latest[::-1]


def _images(values: Sequence[Array]) -> Array:
    """Return the number of the image of each entry."""
    return np.repeat(np.arange(len(values)), [len(own) for own in values])
