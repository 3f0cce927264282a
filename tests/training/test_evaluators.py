"""Two evaluators see the same detections."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from ultralytics.cfg import get_cfg

from harness.common.errors import UserError
from harness.training import accuracy, validation
from harness.training.accuracy import Accuracy, Training, train
from harness.training.coco import Truth
from harness.training.image_matches import block_influence
from harness.training.torchvision_compat import ensure_torchvision
from tests.training.watched import BASELINE, Run
from tests.training.weighted_map import weighted_map50_95

pytestmark = pytest.mark.usefixtures("torch_as_it_was")


LETTERBOX = ((0.32, 0.32), (0.0, 16.0))  # an image of 200 × 100 pixels in 64 × 64, 16 rows of padding above
ON_DISK = np.array([[10.0, 20.0, 60.0, 70.0], [100.0, 10.0, 190.0, 90.0]])


def letterboxed(boxes: np.ndarray) -> torch.Tensor:
    return torch.tensor(boxes * 0.32 + np.array([0, 16, 0, 16]), dtype=torch.float32)


@pytest.fixture
def validator(tmp_path: Path) -> Any:
    """A validator that has not seen an image yet."""
    ensure_torchvision()
    made: Any = validation.Validator(args={"plots": False}, save_dir=tmp_path)
    made.data, made.device = {"val": "val"}, torch.device("cpu")
    made.init_metrics(SimpleNamespace(names={0: "cat", 1: "dog"}))
    return made


def show(validator: Any, detections: np.ndarray) -> dict[str, Any]:
    """One image with a cat and a dog, and what was detected there as rows of box, score and class."""
    boxes = letterboxed(ON_DISK)
    centres = torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1) / 64
    batch = {
        "img": torch.zeros(1, 3, 64, 64), "batch_idx": torch.zeros(2), "cls": torch.tensor([[0.0], [1.0]]),
        "bboxes": centres, "ori_shape": [(100, 200)], "ratio_pad": [LETTERBOX], "im_file": ["/data/val/7.jpg"],
    }  # fmt: skip
    found = {
        "bboxes": letterboxed(detections[:, :4]), "conf": torch.tensor(detections[:, 4], dtype=torch.float32),
        "cls": torch.tensor(detections[:, 5], dtype=torch.float32), "extra": torch.zeros(len(detections), 0),
    }  # fmt: skip
    validator.update_metrics([found], batch)
    validator.get_stats()
    figures: dict[str, Any] = validator.figures()
    return figures


PERFECT = np.column_stack([ON_DISK, [0.9, 0.8], [0, 1]])


def test_detections_are_kept_in_pixels_of_the_image_on_disk(validator: Any) -> None:
    show(validator, PERFECT)
    [seen] = validator._images
    truth, found = seen.truth, seen.found
    assert seen.path.name == "7.jpg" and validator.matches.classes == ["cat", "dog"]
    np.testing.assert_allclose(found.boxes, ON_DISK, atol=1e-3)
    np.testing.assert_allclose(truth.boxes, ON_DISK, atol=1e-3)
    assert (found.classes.tolist(), truth.classes.tolist(), truth.crowd.any()) == ([0, 1], [0, 1], False)
    np.testing.assert_allclose(truth.areas, [50 * 50, 90 * 80], rtol=1e-4)


def test_where_there_are_no_coco_annotations_the_headline_is_ultralytics(validator: Any) -> None:
    result = Accuracy(**show(validator, PERFECT), train_seconds=1.0, transferred="")
    assert result.evaluator.startswith("Ultralytics 8.") and result.evaluator.endswith("validator")
    assert (result.map50_95, result.map50) == pytest.approx((0.995, 0.995))
    assert result.per_class == pytest.approx({"cat": 0.995, "dog": 0.995})
    assert (result.ultralytics_map50_95, result.coco_map50_95, result.coco_map50) == pytest.approx((0.995, 1, 1))
    assert (result.coco_map_medium, math.isnan(result.coco_map_small)) == (1, True)
    assert "coco_map_small" not in result.figures() and "matches" not in result.figures()


def test_on_coco_data_the_headline_is_cocoevals_and_crowds_excuse(validator: Any) -> None:
    crowd = np.array([[120.0, 20.0, 180.0, 80.0]])
    validator.annotations = {
        "7.jpg": Truth(
            boxes=np.vstack([ON_DISK, crowd]),
            classes=np.array([0, 1, 1]),
            crowd=np.array([False, False, True]),
            areas=np.array([2500.0, 7200.0, 3600.0]),
        )
    }
    surest_in_crowd = np.array([[125.0, 25.0, 150.0, 60.0, 0.95, 1]])
    figures = show(validator, np.vstack([surest_in_crowd, PERFECT]))
    assert figures["evaluator"].startswith("COCOeval (faster-coco-eval")
    assert figures["evaluator"].endswith("COCO annotations")
    assert figures["map50_95"] == figures["coco_map50_95"] == 1
    assert figures["per_class"] == {"cat": 1, "dog": 1}
    assert figures["ultralytics_map50_95"] < 0.8  # it knows no crowd, so the surest dog is false


def test_an_earlier_validations_images_are_forgotten(validator: Any) -> None:
    show(validator, PERFECT)
    validator.init_metrics(SimpleNamespace(names={0: "cat", 1: "dog"}))
    assert show(validator, PERFECT[:1])["coco_map50_95"] == 0.5  # one class found, one not


def test_the_matches_that_are_kept_give_ultralytics_figure(validator: Any) -> None:
    figures = show(validator, PERFECT[:1])
    one_as_it_is = np.ones((1, 1), int)
    assert weighted_map50_95(validator.matches, one_as_it_is) == pytest.approx([figures["ultralytics_map50_95"]])
    assert figures["ultralytics_map50_95"] == pytest.approx(0.995 / 2)


def test_the_boxes_that_are_kept_lie_where_the_matches_say(validator: Any) -> None:
    show(validator, PERFECT)
    found = validator.matches
    assert all(each.all() for each in found.matched)
    by_class = [dict(zip(classes.tolist(), boxes.tolist(), strict=True)) for classes, boxes in (
        (found.predicted[0], found.boxes[0]), (found.target[0], found.target_boxes[0])
    )]  # fmt: skip
    assert by_class[0].keys() == by_class[1].keys()
    for name, box in by_class[1].items():
        assert by_class[0][name] == pytest.approx(box, abs=0.01)
        assert min(box) > 0 and max(box) < 1


@pytest.mark.slow
def test_a_training_brings_along_all_that_its_validation_saw(run: Callable[..., Run]) -> None:
    result = run(BASELINE).result
    assert result is not None and result.matches is not None
    assert len(result.matches.target) == 8  # images
    assert len(set(result.matches.names)) == 8
    assert result.image_influence == block_influence(result.matches)
    assert set(result.per_class) == {str(int(n)) for n in np.unique(np.concatenate(result.matches.target))}
    assert math.isfinite(result.coco_map50_95)


def asked_to_validate(training: Training, root: Path, labels: list[list[int]], images: list[str]) -> Any:
    """What a trainer makes of a validation set, before it trains."""
    ensure_torchvision()
    dataset = SimpleNamespace(labels=[{"cls": label} for label in labels], im_files=images)
    trainer = SimpleNamespace(
        test_loader=SimpleNamespace(dataset=dataset), save_dir=root, args=get_cfg(), callbacks={"on_val_start": []},
        data={"path": root, "val": str(root / "images" / "val"), "names": {0: "cat"}}, _training=training,
    )  # fmt: skip
    return accuracy.Trainer.get_validator(trainer)  # type: ignore[arg-type]


def test_a_validation_set_without_a_readable_label_is_refused_before_the_training(
    training: Callable[..., Training], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"The validation set of .*\.yaml has no label that Ultralytics can read"):
        asked_to_validate(training(BASELINE), tmp_path, [[], []], ["1.jpg", "2.jpg"])


def test_annotations_beside_the_data_are_taken_if_they_list_every_image(
    training: Callable[..., Training], tmp_path: Path
) -> None:
    assert asked_to_validate(training(BASELINE), tmp_path, [[0]], ["1.jpg"]).annotations is None
    (tmp_path / "annotations").mkdir()
    content = {
        "images": [{"id": 1, "file_name": "1.jpg"}],
        "categories": [{"id": 5, "name": "cat"}],
        "annotations": [{"image_id": 1, "category_id": 5, "bbox": [0, 0, 9, 9], "area": 81, "iscrowd": 1}],
    }
    (tmp_path / "annotations" / "instances_val.json").write_text(json.dumps(content))
    taken = asked_to_validate(training(BASELINE), tmp_path, [[0]], ["/data/1.jpg"]).annotations
    assert taken["1.jpg"].crowd.tolist() == [True]
    with pytest.raises(UserError, match=r"instances_val\.json does not list the validation image 2\.jpg"):
        asked_to_validate(training(BASELINE), tmp_path, [[0], [0]], ["1.jpg", "2.jpg"])


def test_without_the_evaluator_nothing_is_trained(
    training: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.training.coco.find_spec", lambda _name: None)
    monkeypatch.setattr(accuracy.Trainer, "train", lambda _self: pytest.fail("it was trained"))
    with pytest.raises(UserError, match="faster-coco-eval is not installed"):
        train(training(BASELINE))
