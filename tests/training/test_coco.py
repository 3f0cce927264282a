"""COCOeval by faster-coco-eval: against pycocotools on random scenes, against closed forms where a hand can count."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from ultralytics.utils.metrics import compute_ap

from harness.common.errors import UserError
from harness.training import coco
from harness.training.coco import Detections, Truth, coco_accuracy, find_annotations, read_annotations

Scene = tuple[Truth, Detections]
BOX = (10.0, 10.0, 60.0, 60.0)


def truth(*boxes: tuple[float, ...], crowd: tuple[int, ...] = (), classes: tuple[int, ...] | None = None) -> Truth:
    """Objects of class 0 that fill their boxes; `crowd` has the places of the crowds."""
    corners = np.array(boxes, dtype=float).reshape(-1, 4)
    flags = np.isin(np.arange(len(corners)), crowd)
    numbers = np.zeros(len(corners), int) if classes is None else np.array(classes)
    return Truth(boxes=corners, classes=numbers, crowd=flags, areas=np.prod(corners[:, 2:] - corners[:, :2], axis=1))


def found(*boxes: tuple[float, ...], scores: tuple[float, ...] | None = None) -> Detections:
    """Detections of class 0, the first the surest."""
    ranks = tuple(1 / (2 + n) for n in range(len(boxes))) if scores is None else scores
    corners = np.array(boxes, dtype=float).reshape(-1, 4)
    return Detections(boxes=corners, scores=np.array(ranks), classes=np.zeros(len(boxes), int))


# --- Against pycocotools --------------------------------------------------------------------------


def random_scene(rng: np.random.Generator, *, ties: bool, many: bool) -> Scene:
    """Up to eight objects of four classes, of all sizes, some crowds; detections near them, or nothing at all."""
    objects, detections = int(rng.integers(0, 9)), 250 if many else int(rng.integers(0, 30))
    corners = rng.uniform(0, 400, (objects, 2))
    boxes = np.hstack(
        [corners, corners + rng.choice([15, 60, 200], (objects, 1)) * rng.uniform(0.6, 1.5, (objects, 2))]
    )
    classes, near = rng.integers(0, 4, objects), rng.integers(0, max(objects, 1), detections)
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    if objects:
        places, guess = boxes[near] + rng.normal(0, 0.1, (detections, 4)) * sides[near], classes[near]
    else:
        places, guess = np.tile([0.0, 0.0, 50.0, 50.0], (detections, 1)), np.zeros(detections, int)
    scores = rng.random(detections)
    return (
        Truth(
            boxes=boxes,
            classes=classes,
            crowd=rng.random(objects) < 0.15,
            areas=np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) * rng.uniform(0.4, 1, objects),  # as of a mask
        ),
        Detections(
            boxes=np.hstack([places[:, :2], np.maximum(places[:, 2:], places[:, :2] + 1)]),
            scores=np.round(scores, 1) if ties else scores,
            classes=np.where(rng.random(detections) < 0.8, guess, rng.integers(0, 4, detections)),
        ),
    )


def by_pycocotools(scenes: list[Scene], classes: int) -> tuple[dict[str, float], dict[int, float]]:
    """The same figures by the reference, from files as its documentation describes them."""

    def sized(box: Any) -> list[float]:
        return [box[0], box[1], box[2] - box[0], box[3] - box[1]]

    annotations = [
        {"image_id": image, "category_id": int(c), "bbox": sized(b), "area": float(a), "iscrowd": int(w)}
        for image, (t, _) in enumerate(scenes, 1)
        for b, c, a, w in zip(t.boxes.tolist(), t.classes, t.areas, t.crowd, strict=True)
    ]
    results = [
        {"image_id": image, "category_id": int(c), "bbox": sized(b), "score": float(s)}
        for image, (_, d) in enumerate(scenes, 1)
        for b, c, s in zip(d.boxes.tolist(), d.classes, d.scores, strict=True)
    ]
    reference = COCO()
    reference.dataset = {
        "images": [{"id": image} for image in range(1, len(scenes) + 1)],
        "categories": [{"id": number} for number in range(classes)],
        "annotations": [each | {"id": number} for number, each in enumerate(annotations, 1)],
    }
    reference.createIndex()
    evaluation = COCOeval(reference, reference.loadRes(results), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    names = ("map50_95", "map50", "map75", "map_small", "map_medium", "map_large", "", "", "recall")
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    per_class = {n: float(precision[:, :, n].mean()) for n in range(classes) if (precision[:, :, n] > -1).all()}
    return dict(zip(names, evaluation.stats, strict=False)), per_class


@pytest.mark.parametrize("seed", range(24))
def test_faster_coco_eval_agrees_with_pycocotools(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(seed)
    scenes = [random_scene(rng, ties=seed % 2 == 1, many=image == 0 and seed % 4 < 2) for image in range(12)]
    expected, per_class = by_pycocotools(scenes, classes=5)  # the fifth has no object
    mine = coco_accuracy(scenes, range(5))
    for name in ("map50_95", "map50", "map75", "map_small", "map_medium", "map_large", "recall"):
        reference = expected[name] if expected[name] > -1 else math.nan
        assert getattr(mine, name) == pytest.approx(reference, abs=1e-9, nan_ok=True), name
    assert mine.per_class == pytest.approx(per_class, abs=1e-9)
    assert 4 not in mine.per_class and 0 < mine.map50_95 < 1


# --- Closed forms ---------------------------------------------------------------------------------


def test_one_object_found_exactly_has_precision_one() -> None:
    result = coco_accuracy([(truth(BOX), found(BOX))], [0])
    assert (result.map50_95, result.map50, result.map75, result.recall) == (1, 1, 1, 1)
    assert result.per_class == {0: 1}
    assert (result.map_medium, math.isnan(result.map_small), math.isnan(result.map_large)) == (1, True, True)  # 50² px


def test_a_surer_false_detection_halves_the_precision() -> None:
    assert coco_accuracy([(truth(BOX), found((200.0, 200.0, 250.0, 250.0), BOX))], [0]).map50_95 == pytest.approx(0.5)


def test_an_overlap_of_72_percent_counts_at_five_of_ten_thresholds() -> None:
    narrow = (10.0, 10.0, 10.0 + 0.72 * 50, 60.0)
    result = coco_accuracy([(truth(BOX), found(narrow))], [0])
    assert (result.map50, result.map75) == (1, 0)
    assert result.map50_95 == pytest.approx(5 / 10)


def test_a_crowd_takes_detections_that_would_else_be_false() -> None:
    region, inside = (100.0, 100.0, 300.0, 300.0), (120.0, 120.0, 160.0, 160.0)
    detections = found(inside, (200.0, 200.0, 240.0, 240.0), BOX)
    assert coco_accuracy([(truth(BOX, region, crowd=(1,)), detections)], [0]).map50_95 == 1
    assert coco_accuracy([(truth(BOX), detections)], [0]).map50_95 == pytest.approx(1 / 3)


def test_a_class_of_crowds_alone_is_in_no_mean() -> None:
    objects = truth(BOX, (100.0, 100.0, 300.0, 300.0), crowd=(1,), classes=(0, 1))
    assert coco_accuracy([(objects, found(BOX))], [0, 1]).per_class == {0: 1}


@pytest.mark.parametrize(("before", "expected"), [(99, 1 / 100), (100, 0)])
def test_of_an_image_and_class_the_hundred_best_detections_count(before: int, expected: float) -> None:
    elsewhere = [(200.0, 200.0, 250.0, 250.0)] * before
    assert coco_accuracy([(truth(BOX), found(*elsewhere, BOX))], [0]).map50 == pytest.approx(expected)


def test_another_class_has_a_hundred_of_its_own() -> None:
    many = found(*[(200.0, 200.0, 250.0, 250.0)] * 100, BOX)
    classes = np.array([1] * 100 + [0])
    shared = Detections(boxes=many.boxes, scores=many.scores, classes=classes)
    assert coco_accuracy([(truth(BOX), shared)], [0, 1]).map50 == 1


def test_without_an_object_nothing_is_a_number() -> None:
    result = coco_accuracy([(truth(), found(BOX))], [0])
    assert math.isnan(result.map50_95) and math.isnan(result.recall) and result.per_class == {}


def test_without_a_detection_the_precision_is_zero() -> None:
    assert coco_accuracy([(truth(BOX), found())], [0]).map50_95 == 0


def test_ultralytics_gives_a_perfect_detector_half_a_hundredth_less() -> None:
    ultralytics, _, _ = compute_ap(np.array([1.0]), np.array([1.0]))
    assert ultralytics == pytest.approx(0.995)  # the trapezoid to recall 1, where its curve has fallen to 0
    assert coco_accuracy([(truth(BOX), found(BOX))], [0]).map50 == 1


def test_the_evaluator_says_its_name_version_and_limit() -> None:
    assert coco_accuracy([(truth(BOX), found(BOX))], [0]).evaluator.startswith("COCOeval (faster-coco-eval 1.")


def test_an_evaluator_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coco, "find_spec", lambda _name: None)
    with pytest.raises(UserError, match=r"faster-coco-eval is not installed.*pip install faster-coco-eval"):
        coco_accuracy([(truth(BOX), found(BOX))], [0])


# --- COCO's own ground truth ----------------------------------------------------------------------

FILE: dict[str, Any] = {
    "images": [{"id": 42, "file_name": "000000000042.jpg"}, {"id": 7, "file_name": "val2017/000000000007.jpg"}],
    "categories": [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}, {"id": 90, "name": "toothbrush"}],
    "annotations": [
        {"image_id": 42, "category_id": 18, "bbox": [10, 20, 30, 40], "area": 700.5, "iscrowd": 0},
        {"image_id": 42, "category_id": 1, "bbox": [0, 0, 100, 50], "area": 4000, "iscrowd": 1},
        {"image_id": 42, "category_id": 90, "bbox": [0, 0, 1, 1], "area": 1, "iscrowd": 0},
    ],
}  # fmt: skip


def test_annotations_are_read_with_crowds_areas_and_classes_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(FILE))
    images = read_annotations(tmp_path / "a.json", {0: "dog", 1: "person"})
    assert set(images) == {"000000000042.jpg", "000000000007.jpg"}
    own = images["000000000042.jpg"]
    assert own.boxes.tolist() == [[10, 20, 40, 60], [0, 0, 100, 50]]
    assert (own.classes.tolist(), own.crowd.tolist(), own.areas.tolist()) == ([0, 1], [False, True], [700.5, 4000])
    assert images["000000000007.jpg"].boxes.shape == (0, 4)


def test_annotations_without_a_class_of_the_data_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(FILE))
    with pytest.raises(UserError, match=r"a\.json has no category 'cat'"):
        read_annotations(tmp_path / "a.json", {0: "dog", 1: "cat"})


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"images": [], "categories": [{}], "annotations": []}'])
def test_what_is_no_annotation_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=r"a\.json is not a COCO annotation file"):
        read_annotations(tmp_path / "a.json", {0: "dog"})


def test_a_validation_sets_annotations_are_found_by_its_name(tmp_path: Path) -> None:
    assert find_annotations(tmp_path, "images/val2017") is None
    (tmp_path / "annotations").mkdir()
    for year in (2014, 2017):
        (tmp_path / "annotations" / f"instances_val{year}.json").touch()
        found = find_annotations(tmp_path, f"/anywhere/val{year}.txt")
        assert found is not None and found.stem == f"instances_val{year}"
    with pytest.raises(UserError, match=r"which of its files is for images/val.*instances_val\.json"):
        find_annotations(tmp_path, "images/val")


def test_a_single_annotation_file_need_not_have_the_splits_name(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_val2017.json").touch()
    assert find_annotations(tmp_path, "images/val") == tmp_path / "annotations" / "instances_val2017.json"
