from __future__ import annotations

from pathlib import Path

import pytest

from harness.common import last_control as module
from harness.common.last_control import keep_control, last_control


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLO_NAS_CACHE", str(tmp_path))
    return tmp_path


def test_what_a_control_found_is_kept_and_the_next_one_takes_its_place() -> None:
    assert last_control("cpu") == {"passed": None, "quick": False, "when": ""}
    keep_control("cpu", passed=False, quick=True)
    assert (last_control("cpu")["passed"], last_control("cpu")["quick"]) == (False, True)
    keep_control("cpu", passed=True, quick=False)
    assert last_control("cpu")["passed"] is True and last_control("cpu")["when"]


def test_it_is_of_a_version_and_a_kind_of_device(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_control("cpu", passed=True, quick=False)
    monkeypatch.setattr(module, "version", lambda: "another")
    assert last_control("cpu")["passed"] is None
    monkeypatch.undo()


def test_a_file_that_is_not_whole_is_no_control(cache: Path) -> None:
    keep_control("cpu", passed=True, quick=False)
    (file,) = (cache / "controls").iterdir()
    file.write_text('{"passed": tr')
    assert last_control("cpu")["passed"] is None
