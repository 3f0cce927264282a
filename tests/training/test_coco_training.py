"""A training on COCO's own files, judged by COCOeval against the original one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.data.check import check_dataset
from harness.detectors import find_sites, insert, resolve_base
from harness.training import validation
from harness.training.accuracy import Training, train
from harness.training.coco import Truth
from tests.coco_data import write_coco
from tests.training.watched import BASELINE

pytestmark = [pytest.mark.usefixtures("torch_as_it_was"), pytest.mark.slow]


def test_a_training_on_coco_files_is_judged_by_the_original_annotations(
    training: Callable[..., Training], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_coco(tmp_path / "coco", train=8, val=8)
    info = check_dataset(str(data.train), 64, tmp_path / "cache")
    seen: list[dict[str, Truth]] = []
    figures = validation.Validator.figures

    def watched(self: validation.Validator) -> dict[str, object]:
        assert self.annotations is not None
        seen.append({image.path.name: image.truth for image in self._images})
        return figures(self)

    monkeypatch.setattr(validation.Validator, "figures", watched)
    base, digits = resolve_base("yolov5n"), training(BASELINE, base_weights=None)
    config = insert(base, BASELINE, sites=find_sites(base), classes=3)
    schedule = replace(digits.schedule, epochs=1)
    result = train(replace(digits, config=config, data=str(info.path), classes=3, schedule=schedule))
    assert result.evaluator.startswith("COCOeval (faster-coco-eval")
    assert result.evaluator.endswith("COCO annotations")
    assert result.map50_95 == result.coco_map50_95
    original = json.loads(data.val.read_text())
    assert set(seen[0]) == {image["file_name"] for image in original["images"]}  # one of them without objects
    crowds = sum(truth.crowd.sum() for truth in seen[0].values())
    assert crowds == sum(each["iscrowd"] for each in original["annotations"]) > 0
