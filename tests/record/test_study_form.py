"""What a study's storage may hold, checked before anything is made of it; through the program: tests/cli."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.common.errors import UserError
from harness.record.form import SAFE_NAME, check_block_files, check_names, check_study, check_trial


@pytest.mark.parametrize("name", ["baseline", "1a2b3c4d", "x", "study-2", "neck.P4_up", "a" * 200])
def test_names_of_files(name: str) -> None:
    assert SAFE_NAME.fullmatch(name)
    check_names(name, [name], [name])


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "/x", "a/b", "a\\b", ".hidden", "x\n", "x\0", "é", "a" * 201, "~"]
)
def test_names_that_are_none_of_files(name: str) -> None:
    for study, identity, site, what in (
        (name, "x", "x", "study"),
        ("x", name, "x", "architecture"),
        ("x", "x", name, "site"),
    ):
        with pytest.raises(ValueError, match=f"its {what} .* cannot name a file"):
            check_names(study, [identity], [site])


def test_what_old_studies_lack_and_new_ones_have_more_is_no_fault() -> None:
    check_study({})
    check_study({"settings": {}, "ablation": {}, "space": None})
    check_study({"settings": {"imgsz": 64, "seeds": [0, 3], "a_field_of_tomorrow": [1]}, "environment": {"cpu": None}})
    check_trial(0, ["seed"], {})
    check_trial(0, ["seed"], {"row": {"architecture": "x", "seed": 1, "of_tomorrow": [1]}, "model_yaml": "nc: 1"})


@pytest.mark.parametrize(
    ("attributes", "where"),
    [
        ({"settings": {"imgsz": "64"}}, "settings.imgsz"),
        ({"settings": {"objectives": ["speed"]}}, "settings.objectives.0"),
        ({"settings": {"min_gain": float("nan")}}, "settings.min_gain"),
        ({"space": {"size": -1}}, "space.size"),
        ({"environment": {"packages": []}}, "environment.packages"),
        ({"ablation": {"arms": 3}}, "ablation.arms"),
        ({"expected_gains": 3}, "expected_gains"),
    ],
)
def test_the_place_of_a_fault_is_said(attributes: dict[str, Any], where: str) -> None:
    with pytest.raises(ValueError, match=f"^{where}: "):
        check_study(attributes)


def test_a_block_file_in_the_studys_own_folder_is_not_run(tmp_path: Path) -> None:
    check_block_files("x", [tmp_path / "spaces" / "mine.py"], tmp_path / "results" / "x")
    (tmp_path / "link.py").symlink_to(tmp_path / "results" / "x" / "theirs.py")
    for file in (tmp_path / "results/x/theirs.py", tmp_path / "results/y/../x/theirs.py", tmp_path / "link.py"):
        with pytest.raises(UserError, match="lies in the study's own folder, and is not run"):
            check_block_files("x", [file], tmp_path / "results" / "x")
