"""An image's influence is the derivative of Ultralytics' mAP by its weight; sums of squares are the jackknife's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ultralytics.utils.metrics import ap_per_class

from harness.training.image_matches import (
    LEAST_DRAWN,
    MOST_BLOCKS,
    ImageMatches,
    block_influence,
    map_influence,
    matches_path,
    read_matches,
    write_matches,
)
from tests.training.weighted_map import weighted_map50_95


def simulated(images: int, seed: int, classes: int = 4, skill: float = 0.8) -> ImageMatches:
    """Up to four objects an image, each found with probability `skill` and at some overlap, beside false ones."""
    rng = np.random.default_rng(seed)
    parts: dict[str, Any] = {"matched": [], "confidence": [], "predicted": [], "target": []}
    for _ in range(images):
        objects = rng.integers(0, classes, rng.integers(0, 5))
        hits = objects[rng.random(len(objects)) < skill]
        false = rng.integers(0, classes, rng.integers(0, 6))
        levels = np.concatenate([rng.integers(1, 11, len(hits)), np.zeros(len(false), int)])  # IoUs passed
        parts["matched"].append(np.arange(10) < levels[:, None])
        parts["confidence"].append(np.concatenate([rng.beta(4, 2, len(hits)), rng.beta(1, 4, len(false))]))
        parts["predicted"].append(np.concatenate([hits, false]).astype(float))
        parts["target"].append(objects.astype(float))
    return ImageMatches(**parts)


def by_ultralytics(matches: ImageMatches) -> float:
    parts = (matches.matched, matches.confidence, matches.predicted, matches.target)
    return float(ap_per_class(*map(np.concatenate, parts))[5].mean())


def test_weights_are_copies_of_images() -> None:
    """The oracle itself; with nine classes some draws lack one."""
    for seed in range(3):
        matches = simulated(60, seed, classes=3 + 6 * seed)
        rng = np.random.default_rng(seed)
        weights = np.vstack([np.ones((1, 60), int), rng.multinomial(60, np.full(60, 1 / 60), size=8)])
        expected = [by_ultralytics(matches.of(np.repeat(np.arange(60), row))) for row in weights]
        assert weighted_map50_95(matches, weights) == pytest.approx(expected, abs=1e-12)


def precision_over_recall(matches: ImageMatches, weights: np.ndarray) -> float:
    """mAP50-95 of images that weigh so much, its recall not rounded to 101 points, by the definition and slowly."""
    image = np.repeat(np.arange(len(weights)), [len(own) for own in matches.confidence])
    order = np.argsort(-np.concatenate(matches.confidence))
    matched, predicted = np.concatenate(matches.matched)[order], np.concatenate(matches.predicted)[order]
    of_detection = weights[image[order]]
    target, of_object = np.concatenate(matches.target), np.repeat(weights, [len(own) for own in matches.target])
    parts = []
    for number in np.unique(target):
        weight, objects = of_detection[predicted == number], of_object[target == number].sum()
        for hit in matched[predicted == number].T:
            precision = np.cumsum(weight * hit) / np.cumsum(weight)
            envelope = np.array([precision[at:][hit[at:]].max(initial=0) for at in range(len(precision))])
            parts.append(float((weight * hit * envelope).sum() / objects))
    return float(np.mean(parts))


def test_influence_is_the_slope_of_map_in_an_images_weight() -> None:
    matches = simulated(40, 0, classes=1)
    one = np.eye(40)
    slopes = [
        (precision_over_recall(matches, 1 + 1e-6 * own) - precision_over_recall(matches, 1 - 1e-6 * own)) / 2e-6
        for own in one
    ]
    with_objects = sum(len(values) > 0 for values in matches.target)
    factor = np.sqrt(with_objects / (with_objects - 1))
    found, expected = map_influence(matches) / factor, np.array(slopes)
    # Where two hits have the same precision the highest has a kink, and a difference takes the mean of both slopes.
    assert found == pytest.approx(expected, abs=0.02 * expected.std())


def test_influences_add_up_to_nothing() -> None:
    """Twice as many copies of all images have the same mAP."""
    assert map_influence(simulated(80, 1)).sum() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("images", "classes"), [(120, 3), (120, 10)])
def test_the_deviation_is_that_of_the_jackknife_and_of_the_bootstrap(images: int, classes: int) -> None:
    ratios = []
    for seed in range(3):
        matches = simulated(images, seed, classes)
        rng = np.random.default_rng(seed)
        left_out = weighted_map50_95(matches, np.ones((images, images), int) - np.eye(images, dtype=int))
        drawn = weighted_map50_95(matches, rng.multinomial(images, np.full(images, 1 / images), size=200))
        own = np.sqrt(np.sum(map_influence(matches) ** 2))
        ratios.append([own / (np.std(left_out) * np.sqrt(images - 1)), own / np.std(drawn)])
    jackknife, bootstrap = np.mean(ratios, axis=0)
    assert 0.9 < jackknife < 1.05  # the jackknife's steps over the grid of recalls add a little
    assert 0.9 < bootstrap < 1.15  # images drawn twice make a bootstrap's mAP vary less


def test_a_class_with_few_images_counts_for_more_than_its_influence() -> None:
    """Two images have the one object each: half of each other's deviation from their mean is missing."""
    found, missed = np.ones((1, 10), bool), np.zeros((1, 10), bool)
    of_one_class = ImageMatches(
        matched=[found, missed], confidence=[np.array([0.9]), np.array([0.5])],
        predicted=[np.zeros(1)] * 2, target=[np.zeros(1)] * 2,
    )  # fmt: skip
    assert map_influence(of_one_class) == pytest.approx(np.sqrt(2) * np.array([0.25, -0.25]))


def test_a_detector_without_detections_and_a_set_without_objects_have_no_influence() -> None:
    nothing = np.zeros((0, 10), bool), np.zeros(0)
    silent = ImageMatches(
        matched=[nothing[0]] * 3, confidence=[nothing[1]] * 3, predicted=[nothing[1]] * 3, target=[np.zeros(1)] * 3
    )
    assert map_influence(silent).tolist() == [0, 0, 0]
    assert map_influence(replace(silent, target=[nothing[1]] * 3)).tolist() == [0, 0, 0]


def test_blocks_are_of_neighbours_by_name_whatever_the_order_they_were_seen_in() -> None:
    matches = simulated(90, 2)
    named = replace(matches, names=[f"{number:03}.jpg" for number in range(90)])
    shuffled = np.random.default_rng(0).permutation(90)
    seen = named.of(shuffled)
    assert block_influence(seen) == pytest.approx(map_influence(matches).tolist())
    many = replace(simulated(2 * MOST_BLOCKS, 3), names=[f"{number:03}.jpg" for number in range(2 * MOST_BLOCKS)])
    pairs = map_influence(many).reshape(MOST_BLOCKS, 2).sum(axis=1)
    assert block_influence(many) == pytest.approx(pairs.tolist())


def test_matches_come_back_from_their_file_as_they_were(tmp_path: Path) -> None:
    matches = replace(simulated(30, 4), names=[f"bild-{number}-犬.jpg" for number in range(30)])
    path = matches_path(tmp_path / "matches", "3fa9c1d2", 3, 0, 1)
    write_matches(matches, path)
    again = read_matches(path)
    assert [file.name for file in path.parent.iterdir()] == ["3fa9c1d2-3epochs-base0-seed1.npz"]
    assert list(again.names) == list(matches.names)
    for name in ("matched", "predicted", "target"):
        for one, other in zip(getattr(again, name), getattr(matches, name), strict=True):
            np.testing.assert_array_equal(one, other)
    assert block_influence(again) == pytest.approx(block_influence(matches), abs=1e-7)


def test_boxes_come_back_where_somebody_would_draw_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    matches = simulated(30, 4)
    boxes = [rng.random((len(each), 4)) for each in matches.confidence]
    placed = replace(
        matches, names=["a.jpg"] * 30, boxes=boxes, target_boxes=[np.ones((len(t), 4)) for t in matches.target]
    )
    write_matches(placed, tmp_path / "a.npz")
    again = read_matches(tmp_path / "a.npz")
    for found, drawn, confidence in zip(again.boxes, boxes, matches.confidence, strict=True):
        seen = confidence >= LEAST_DRAWN
        np.testing.assert_allclose(found[seen], drawn[seen], atol=1e-5)
        assert not found[~seen].any()
    assert all((each == 1).all() for each in again.target_boxes)
    write_matches(matches, tmp_path / "before.npz")  # as files were before boxes were kept
    assert read_matches(tmp_path / "before.npz").boxes == ()


def test_another_file_is_said_to_be_none_of_matches(tmp_path: Path) -> None:
    (tmp_path / "other.npz").write_bytes(b"PK\x03\x04 no archive")
    np.savez(tmp_path / "arrays.npz", names=np.zeros(3))
    for name in ("other.npz", "arrays.npz"):
        with pytest.raises(ValueError, match=f"{name}: no file of matches"):
            read_matches(tmp_path / name)
