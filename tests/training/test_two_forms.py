"""The same photographs as YOLO labels and as COCO's files: one detector has one accuracy.

The photographs are real ones, BCCD's blood smears, which are beside the project and not part of it. Both forms go the
whole way that a user's data go, through the check and the last validation.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from harness.data.check import DatasetInfo, check_dataset, description
from harness.detectors import find_sites, insert, resolve_base
from harness.training import recipe
from harness.training.accuracy import Schedule, Training, train
from harness.training.validation import Validator
from tests.training.watched import BASELINE

BCCD = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "bccd"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BCCD.is_dir(), reason=f"BCCD's photographs are not there: {BCCD}"),
]

SIDE = 96
SCHEDULE = Schedule(epochs=4, batch=8, imgsz=SIDE, learning_rate=3e-3, warmup=0.1, averaged_tail=0.2)
"""Enough for random weights to find cells; after two epochs at 2e-3 they found none."""
CLASSES = {0: "RBC", 1: "WBC", 2: "Platelets"}


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DatasetInfo]:
    """The photographs in either form; COCO's files are laid out as COCO's own are, by links."""
    root = tmp_path_factory.mktemp("forms")
    (root / "annotations").mkdir()
    for split in ("train", "val"):
        (root / f"{split}2017").symlink_to(BCCD / "images" / split)
        name = f"instances_{split}2017.json"
        (root / "annotations" / name).symlink_to(BCCD / name)
    cache = tmp_path_factory.mktemp("cache")
    given = {"YOLO": BCCD / "data.yaml", "COCO": root}
    return {form: check_dataset(str(path), SIDE, cache) for form, path in given.items()}


@pytest.fixture(scope="module")
def validators(
    forms: dict[str, DatasetInfo], torch_as_it_was: None, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Validator]:
    """The last validations, on either form, of one detector that was trained on the YOLO form."""
    folder = tmp_path_factory.mktemp("detector")
    base = resolve_base("yolov5n")
    training = Training(
        config=insert(base, BASELINE, sites=find_sites(base), classes=len(CLASSES)),
        data=str(forms["YOLO"].path),
        classes=len(CLASSES),
        schedule=SCHEDULE,
        seed=0,
        device="cpu",
        threads=1,
        base_config=base.config,
        base_weights=None,
        layers={},
        save_to=folder / "trained.pt",
    )
    train(training)
    return {form: validated(training, info, folder / form) for form, info in forms.items()}


@pytest.fixture(scope="module")
def figures(validators: dict[str, Validator]) -> dict[str, dict[str, Any]]:
    return {form: validator.figures() for form, validator in validators.items()}


def validated(training: Training, info: DatasetInfo, folder: Path) -> Validator:
    """A last validation, on a form of the data, of what was trained."""
    trainer: Any = SimpleNamespace(data=description(info.path), device=torch.device("cpu"))
    validator = recipe._validator(replace(training, data=str(info.path)), trainer, folder)
    validator(model=str(training.save_to))
    return validator


def test_both_forms_are_the_same_photographs_and_objects_and_nothing_is_repaired(forms: dict[str, DatasetInfo]) -> None:
    for info in forms.values():
        assert (info.names, info.train_images, info.val_images, info.repairs) == (CLASSES, 292, 72, ())
    assert forms["YOLO"].counts == forms["COCO"].counts


def test_each_form_is_judged_by_its_own_ground_truth(figures: dict[str, dict[str, Any]]) -> None:
    assert figures["YOLO"]["evaluator"].endswith("validator")
    assert figures["COCO"]["evaluator"].endswith("COCO annotations")
    for form, key in (("YOLO", "ultralytics_map50_95"), ("COCO", "coco_map50_95")):
        assert figures[form]["map50_95"] == figures[form][key]


def test_the_ground_truth_is_the_same_to_a_thousandth_of_a_pixel(validators: dict[str, Validator]) -> None:
    """COCOeval reads whole pixels in the one and shares of a side, rounded to six digits, in the other."""
    yolo, coco = ({seen.path.name: seen.truth for seen in validators[form]._images} for form in ("YOLO", "COCO"))
    assert yolo.keys() == coco.keys() and len(yolo) == 72
    for name, truth in yolo.items():
        np.testing.assert_allclose(truth.boxes, coco[name].boxes, atol=1e-3)
        np.testing.assert_allclose(truth.areas, coco[name].areas, rtol=1e-3)
        assert truth.classes.tolist() == coco[name].classes.tolist()


@pytest.mark.parametrize(("evaluator", "tolerance"), [("ultralytics", 1e-6), ("coco", 1e-3)])
def test_a_detector_has_the_same_map_on_either_form(
    figures: dict[str, dict[str, Any]], evaluator: str, tolerance: float
) -> None:
    yolo, coco = (figures[form][f"{evaluator}_map50_95"] for form in ("YOLO", "COCO"))
    assert yolo > 0.01  # where nothing is found anything agrees
    assert coco == pytest.approx(yolo, abs=tolerance)
