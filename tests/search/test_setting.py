from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from harness.architecture import Architecture, Init, Placement
from harness.architecture.choices import Kind, LocalGroup
from harness.common.errors import UserError
from harness.search.setting import Setting, included


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
