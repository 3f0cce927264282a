"""What an ablation compares, once everything that its file names was found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.ablation import setting as module
from harness.ablation.setting import Ablation, prepare_ablation
from harness.architecture import Init, Kind
from harness.common.errors import UserError
from harness.record.ablation_file import AblationFile, AblationSettings
from tests.search.conftest import small_data

__all__ = ["small_data"]
MODELS = ("yolov5n-clo-head", "yolov5n-clo-head-bare")


def prepared(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: Any, **given: Any) -> Ablation:
    monkeypatch.setattr(module, "begun_with", lambda *_: {} if begun is None else {"file": begun})
    file = AblationFile(
        name="x", data=str(data), imgsz=64, models=MODELS, without=False, factors={}, placebos=(), **given
    )
    return prepare_ablation(AblationSettings(file=file, device="cpu", results=tmp_path))


def starts(ablation: Ablation) -> dict[str, set[Init]]:
    found: dict[str, set[Init]] = {}
    for model in ablation.models:
        for placement in model.arm.architecture.placements:
            found.setdefault(str(placement.kind), set()).add(placement.init)
    return found


@pytest.mark.parametrize(
    ("begun", "given", "start"),
    [
        (None, {}, Init.RESIDUAL),
        (None, {"init": "identity"}, Init.IDENTITY),
        ({}, {}, Init.IDENTITY),  # begun before a file said how
        ({"init": "residual"}, {"init": "residual"}, Init.RESIDUAL),
    ],
)
def test_blocks_of_the_articles_models_start_as_the_file_says_or_as_the_study_was_begun(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: Any, given: dict[str, str], start: Init
) -> None:
    ablation = prepared(small_data, tmp_path, monkeypatch, begun, **given)
    found = starts(ablation)
    assert found.pop("block") == {start}
    assert found.pop(Kind.BARE) == {Init.IDENTITY}, "a bare layer has one start"
    assert set(found) == {"se", "cbam"}
    assert ablation.settings.file.init == start


def test_a_study_goes_on_with_the_start_that_it_has_and_no_other(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="study x exists with init: identity, the file now says residual; choose"):
        prepared(small_data, tmp_path, monkeypatch, {}, init="residual")
