from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from harness.architecture import Architecture, Init, Placement
from harness.architecture.choices import Kind, LocalGroup
from harness.common.errors import UserError
from harness.record.settings import SearchSettings
from harness.search import setting as module
from harness.search.setting import Setting, included, prepare_search
from harness.space import SearchSpace


def test_what_differs_from_the_space_in_its_start_alone_hears_so(setting: Setting, tmp_path: Path) -> None:
    """As an architecture of a study from when blocks started as the identity."""
    shape = {"kind": Kind.ATTENTION, "groups": (LocalGroup(3, 2),), "global_heads": 2, "kv_pool": 1}
    file = tmp_path / "a.yaml"

    def including(init: Init) -> Setting:
        placement = Placement(site="neck.P4", init=init, **shape)  # type: ignore[arg-type]
        file.write_text(yaml.safe_dump(Architecture(base="yolov5n", placements=(placement,)).to_dict()))
        return replace(setting, settings=setting.settings.model_copy(update={"include": (str(file),)}))

    (found,) = included(including(Init.RESIDUAL))
    assert setting.space.holds(found)
    with pytest.raises(UserError, match=r"whose blocks start as residual \(`init`\), not as identity$"):
        included(including(Init.IDENTITY))


def test_a_model_of_the_article_starts_as_the_spaces_blocks_do(setting: Setting) -> None:
    named = replace(setting, settings=setting.settings.model_copy(update={"include": ("yolov5n-clo-head",)}))
    with pytest.raises(UserError, match=r"is not in space 'small'$"):
        included(named)  # for its sites and shape, not for its start
    held = SimpleNamespace(file=setting.space.file, holds=lambda _: True)
    (found,) = included(replace(named, space=cast("SearchSpace", held)))
    assert {placement.init for placement in found.placements} == {Init.RESIDUAL}


@pytest.mark.parametrize(
    ("given", "begun", "expected"),
    [
        ({}, {}, 160),  # three steps an epoch
        ({}, {"batch": 5}, 77),
        ({"batch": 5}, {}, 77),  # as many images as steps of 8 have
        ({"epochs": 2}, {"epochs": 3}, 2),
        ({"rungs": "5x1, 5x3"}, {}, 5),
        ({}, {"epochs": 3}, 3),  # begun when three was the default
    ],
)
def test_a_search_that_names_no_epochs_has_steps_enough_or_what_its_study_has(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    given: dict[str, Any], begun: dict[str, int], expected: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(module, "begun_with", lambda *_: begun)
    settings = SearchSettings(data=str(small_data), imgsz=64, space="small", device="cpu", results=tmp_path, **given)
    found = prepare_search(settings)
    assert found.settings.epochs == found.schedule.epochs == expected
