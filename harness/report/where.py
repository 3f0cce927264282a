"""Where a candidate finds more than the baseline, and what it takes for what: exploratory, with no verdicts.

Counts of all evaluation seeds that both have, at one confidence; intervals by a paired bootstrap over the images [1],
so that what both detectors find hard cancels. They are not corrected for how many there are.

References:
    1. Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter 13.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from harness.report import words
from harness.report.images import Floats, Pair, object_of, overlaps
from harness.report.tables import Cell, Column, Table, cell, row, worded
from harness.training.image_matches import IOUS, LEAST_DRAWN, ImageMatches

DRAWS = 1_000
# Rows of a table: the classes with the most objects, or with the largest changes.
MOST_CLASSES = 12
# Steps of a colour on either side of none.
_TINTS = 4
# Objects in a group, and confusions of one kind over both detectors, below which nothing is said of it.
_FEWEST = 10


@dataclass(frozen=True, kw_only=True)
class Change:
    """A share of one detector and of the other, and the 95 % interval of candidate minus baseline.

    `count` is how many objects, or detections of either detector, are behind it, of one seed.
    """

    group: str
    count: int
    baseline: float
    candidate: float
    low: float
    high: float


def found_by_group(pairs: Sequence[Pair], threshold: float) -> dict[str, list[Change]]:
    """Compute the share of objects that are found, by size, crowding, class and IoU, where there are enough of them.

    Args:
        pairs: Matches of the baseline and of the candidate under one seed each, of the same images in the same order.
        threshold: Detections that are less confident do not count.
    """
    first = pairs[0][0]
    image = np.repeat(np.arange(len(first.target)), [len(each) for each in first.target])
    if len(image) < _FEWEST:
        return {}
    boxes, target = np.concatenate(first.target_boxes), np.concatenate(first.target).astype(int)
    sides = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)).round(3)  # boxes are kept to 1/65,535
    crowd = np.bincount(image, minlength=len(first.target))[image]
    # (sides of the pair, seeds, objects, IoUs)
    found = np.array([[_found(matches, threshold) for matches in side] for side in zip(*pairs, strict=True)])
    at_half = found[..., 0].mean(axis=1)
    draws = _draws(len(first.target))

    def changes(groups: Sequence[tuple[str, NDArray[np.bool_]]], shares: Floats = at_half) -> list[Change]:
        return [_change(name, shares, inside, image, draws) for name, inside in groups if inside.sum() >= _FEWEST]

    every = np.ones(len(image), dtype=bool)
    most = np.argsort(-np.bincount(target), kind="stable")[:MOST_CLASSES]
    return {
        "size": changes(list(_thirds(sides, "% of the image's side", scale=100))),
        "objects in the image": changes(list(_thirds(crowd.astype(float), "objects in the image"))),
        "class": changes([(f"class {_named(first, int(number))}", target == number) for number in most]),
        "IoU": [
            change
            for at in range(0, IOUS, 3)
            for change in changes([(f"at IoU {0.5 + 0.05 * at:.2f}", every)], found[..., at].mean(axis=1))
        ],
    }


def confusions(pairs: Sequence[Pair], threshold: float) -> dict[tuple[int, int], Change]:
    """Count what each detector takes for what: detections of one class on objects of another, or on none.

    A detection is of the object that it overlaps most, by IoU 0.50 or more; of none, of the background.

    Returns:
        Number of the true class (that of the background is the number of classes) and of the detected one, to how many
        detections there are an object of that class, or an image; where both detectors have `_FEWEST` together.
    """
    first, seeds = pairs[0][0], len(pairs)
    classes, images = len(first.classes), len(first.target)
    sides = [[_taken(matches, threshold, classes) for matches in side] for side in zip(*pairs, strict=True)]
    total = np.zeros((classes + 1, classes), dtype=np.int64)
    for _, true, predicted in (each for side in sides for each in side):
        np.add.at(total, (true, predicted), 1)
    objects = np.array([np.bincount(each.astype(int), minlength=classes) for each in first.target])
    draws = _draws(images)
    found = {}
    for true, predicted in np.argwhere(total >= _FEWEST):
        per = objects[:, true].astype(float) if true < classes else np.ones(images)
        if not per.sum():
            continue
        counts = np.zeros((2, images))
        for side, each in enumerate(sides):
            for image, of, taken in each:
                counts[side] += np.bincount(image[(of == true) & (taken == predicted)], minlength=images) / seeds
        name = f"{_named(first, int(true))} detected as {_named(first, int(predicted))}"
        found[int(true), int(predicted)] = _of_counts(name, counts, per, draws)
    return found


def right_by_class(pairs: Sequence[Pair], threshold: float) -> list[Change]:
    """Compute the share of detections right at IoU 0.50, of all and by their class; arguments as `found_by_group`."""
    first = pairs[0][0]
    classes, images = len(first.classes), len(first.target)
    every, right = np.zeros((2, 2, classes, images))
    for side, seeds in enumerate(zip(*pairs, strict=True)):
        for image, true, predicted in (_taken(matches, threshold, classes) for matches in seeds):
            np.add.at(every[side], (predicted, image), 1 / len(pairs))
            np.add.at(right[side], (predicted, image), (true == predicted) / len(pairs))
    most = np.argsort(-every.sum(axis=(0, 2)), kind="stable")[:MOST_CLASSES]
    groups = [("all", np.arange(classes)), *((f"class {_named(first, int(each))}", each[None]) for each in most)]
    draws = _draws(images)
    return [
        _of_counts(name, right[:, which].sum(axis=1), every[:, which].sum(axis=1), draws)
        for name, which in groups
        if every[:, which].sum(axis=(1, 2)).min() >= _FEWEST
    ]


def where_tables(name: str, pairs: Sequence[Pair], threshold: float) -> Iterator[Table]:
    """Yield the section's tables: what a candidate finds, what of its detections is right, what it takes for what."""
    groups = found_by_group(pairs, threshold)
    if rows := [change for each in groups.values() for change in each]:
        yield _as_table(name, rows, "where", "Objects found (recall), by what they are", "Objects")
    if rows := right_by_class(pairs, threshold):
        yield _as_table(name, rows, "right", "Detections that are right (precision), by their class", "Detections")
    if mixed := confusions(pairs, threshold):
        yield _as_matrix(name, pairs[0][0], mixed)


def _difference(change: Change, largest: float, unit: str = "", *, more_is_better: bool = True) -> Cell:
    """Make a cell: blue where it is better, orange where it is worse, without a colour where the interval holds 0."""
    value = 100 * (change.candidate - change.baseline)
    is_seen = round(value, 1) != 0 and not change.low <= 0 <= change.high
    tint = round((_TINTS if more_is_better else -_TINTS) * value / largest) * is_seen
    ends = words.interval(100 * change.low, 100 * change.high, 1, sign=True)
    return Cell(text=f"{words.signed(value, 1)}{unit}", details=(ends,), sort=value, tint=tint)


def _as_matrix(name: str, first: ImageMatches, mixed: Mapping[tuple[int, int], Change]) -> Table:
    """Tabulate differences, a row a true class and a column a detected one; of many classes those that change most."""
    classes = len(first.classes)
    change = {at: 100 * (each.candidate - each.baseline) for at, each in mixed.items()}
    moved = np.zeros(classes + 1)
    for (true, predicted), value in change.items():
        moved[[true, predicted]] += abs(value)
    shown = sorted(np.argsort(-moved[:classes], kind="stable")[:MOST_CLASSES].tolist())
    largest = max(map(abs, change.values())) or 1.0

    def difference(true: int, predicted: int) -> Cell:
        if (found := mixed.get((true, predicted))) is None:
            return cell("", sort=0.0)
        return _difference(found, largest, more_is_better=true == predicted)

    left_out = f"; {classes - len(shown)} further classes change less" if classes > len(shown) else ""
    return Table(
        key="confusions",
        caption=f"What is detected as what: {name} minus baseline, detections per 100 objects (last row: per 100 "
        f"images){left_out}",
        columns=(
            worded("True class", "detected as →"),
            *(Column(name=_named(first, number)) for number in shown),
        ),
        rows=tuple(
            row(
                "measured",
                cell(_named(first, true) if true < classes else "no object"),
                *(difference(true, predicted) for predicted in shown),
            )
            for true in (*shown, classes)
        ),
    )


def _as_table(name: str, rows: Sequence[Change], key: str, caption: str, counted: str) -> Table:
    largest = max(100 * abs(change.candidate - change.baseline) for change in rows) or 1.0
    return Table(
        key=key,
        caption=caption,
        columns=(
            worded("Group", counted.lower()),
            Column(name="Baseline", unit="share"),
            Column(name=name, unit="share"),
            Column(name="Difference", unit="percentage points, 95 % over images"),
            Column(name=counted),
        ),
        rows=tuple(
            row(
                "measured",
                cell(change.group),
                *(cell(words.part(share, 1), sort=share) for share in (change.baseline, change.candidate)),
                _difference(change, largest, " pp"),
                cell(f"{change.count:,}", sort=change.count),
            )
            for change in rows
        ),
    )


def _named(matches: ImageMatches, number: int) -> str:
    return matches.classes[number] if number < len(matches.classes) else str(number)


def _thirds(values: Floats, unit: str, *, scale: int = 1) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield the lowest, the middle and the highest third; fewer where values repeat."""
    uppers = np.unique(np.quantile(values, [1 / 3, 2 / 3, 1], method="lower"))
    for low, high in pairwise([-np.inf, *uppers]):
        inside = (values > low) & (values <= high)
        ends = dict.fromkeys(f"{scale * end:.3g}" for end in (values[inside].min(), high))
        yield f"{' to '.join(ends)} {unit}", inside


def _found(matches: ImageMatches, threshold: float) -> NDArray[np.bool_]:
    """Return whether each object is found at each IoU; (objects, IoUs)."""
    rows = []
    for at, target in enumerate(matches.target):
        found = np.zeros((len(target), IOUS), dtype=bool)
        sure = matches.confidence[at] >= max(threshold, LEAST_DRAWN)
        given = object_of(matches, at)
        found[given[sure & (given >= 0)]] = matches.matched[at][sure & (given >= 0)]
        rows.append(found)
    return np.concatenate(rows)


def _taken(matches: ImageMatches, threshold: float, classes: int) -> NDArray[np.int64]:
    """Return each detection's image, the class of what it lies on (`classes`: the background) and its own; (3, N)."""
    found = [np.empty((3, 0), dtype=np.int64)]
    for at, target in enumerate(matches.target):
        sure = matches.confidence[at] >= max(threshold, LEAST_DRAWN)
        given, predicted = object_of(matches, at)[sure], matches.predicted[at][sure].astype(int)
        true = np.full(len(given), classes)
        if len(target) and len(given):
            overlap = overlaps(matches.boxes[at][sure], matches.target_boxes[at])
            lies_on = np.where(given >= 0, given, overlap.argmax(axis=1))
            of = target[lies_on].astype(int)
            # A second detection of an object's own class is one too many: of the background.
            true = np.where((given >= 0) | ((overlap.max(axis=1) >= 0.5) & (of != predicted)), of, classes)
        found.append(np.stack([np.full(len(given), at), true, predicted]))
    return np.concatenate(found, axis=1)


def _draws(images: int) -> Floats:
    """Draw how often each image is in each bootstrap resample; (draws, images)."""
    rng = np.random.default_rng(0)
    return rng.multinomial(images, np.full(images, 1 / images), size=DRAWS).astype(np.float64)


def _change(name: str, found: Floats, inside: NDArray[np.bool_], image: NDArray[np.int64], draws: Floats) -> Change:
    """Compare both detectors on the objects of a group; `found` is (2, objects)."""
    images = draws.shape[1]
    counts = np.array([np.bincount(image[inside], side[inside], minlength=images) for side in found])
    return _of_counts(name, counts, np.bincount(image[inside], minlength=images).astype(float), draws)


def _of_counts(name: str, counts: Floats, per: Floats, draws: Floats) -> Change:
    """Compare both detectors' ratios of sums over images: `counts` is (2, images), `per` too, or (images,) for both."""
    per = np.broadcast_to(per, counts.shape)
    shares = counts.sum(axis=1) / per.sum(axis=1)
    drawn = counts @ draws.T / np.maximum(per @ draws.T, 1e-12)
    low, high = np.percentile(drawn[1] - drawn[0], [2.5, 97.5])
    return Change(
        group=name,
        count=round(float(per.mean(axis=0).sum())),
        baseline=float(shares[0]),
        candidate=float(shares[1]),
        low=float(low),
        high=float(high),
    )
