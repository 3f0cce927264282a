"""A second oracle of mAP50-95: what Ultralytics would compute of copies of the images, as often as each weighs.

It needs a sort of the detections and a draw of weights, no derivative: jackknife and bootstrap are made of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.training.image_matches import ImageMatches

Floats = npt.NDArray[np.float64]
Array = npt.NDArray[Any]

_RECALLS = np.linspace(0, 1, 101)
_TRAPEZOID = np.array([0.5, *[1.0] * 99, 0.5]) / 100


def weighted_map50_95(matches: ImageMatches, weights: Array) -> Floats:
    """mAP50-95 as if each image had been there `weights` times; classes without an object are in no mean.

    Args:
        matches: Of all images.
        weights: Whole numbers; shape (draws, images).

    Returns:
        Shape (draws,); NaN for a draw without any object.
    """
    by_image = weights.T.astype(np.float64)
    matched, confidence, predicted = map(np.concatenate, (matches.matched, matches.confidence, matches.predicted))
    image = _images(matches.confidence)
    order = np.argsort(-confidence)  # as Ultralytics sorts
    matched, predicted, image = matched[order].astype(bool), predicted[order], image[order]
    target, target_image = np.concatenate(matches.target), _images(matches.target)
    total, classes = np.zeros(len(weights)), np.zeros(len(weights))
    for number in np.unique(target):
        objects = by_image[target_image[target == number]].sum(0)
        own = predicted == number
        total += _average_precision(matched[own], by_image[image[own]], objects)
        classes += objects > 0
    means: Floats = np.divide(total, classes, out=np.full(len(weights), np.nan), where=classes > 0)
    return means


def _average_precision(matched: Array, weights: Floats, objects: Floats) -> Floats:
    """One class's AP50-95 in each draw; 0 where the draw has no object of it.

    Ultralytics interpolates precision linearly between the points of its envelope. Neighbouring points differ
    either in precision or in recall, so that this is a step: at recall r the highest precision at any recall above r.

    Args:
        matched: (detections, IoUs), best detection first.
        weights: (detections, draws).
        objects: (draws,).
    """
    found = np.maximum(np.cumsum(weights, axis=0), 1)  # at least 1: where it is 0, nothing was matched either
    result: Floats = np.zeros(len(objects))
    for hit in matched.T:
        hits = np.cumsum(weights[hit], axis=0)
        precision = np.maximum.accumulate((hits / found[hit])[::-1], axis=0)[::-1]
        for draw in np.flatnonzero(objects):
            recall = hits[:, draw] / objects[draw]
            steps = np.append(precision[:, draw], 0.0)
            result[draw] += steps[np.searchsorted(recall, _RECALLS, side="right")] @ _TRAPEZOID
    result /= matched.shape[1]
    return result


def _images(values: Sequence[Array]) -> Array:
    """The number of the image of each entry."""
    return np.repeat(np.arange(len(values)), [len(own) for own in values])
