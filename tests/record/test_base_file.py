"""A study's base is named so that it is found from any folder."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.record.form import StudySettings
from harness.record.study import base_of
from harness.record.surroundings import Environment


def record(base: str, **environment: Any) -> Any:
    return SimpleNamespace(settings=StudySettings(base=base), environment=Environment.of(environment))


def test_a_name_stays_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert base_of(record("yolov5n", folder=str(tmp_path))) == "yolov5n"


def test_a_file_is_where_the_search_found_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ck").mkdir()
    (tmp_path / "ck" / "plain.pt").touch()
    there = str(tmp_path / "ck" / "plain.pt")
    monkeypatch.chdir(tmp_path)
    assert base_of(record("ck/plain.pt")) == there  # a study from before the folder was kept
    assert base_of(record(there, folder="/elsewhere")) == there
    monkeypatch.chdir(tmp_path / "ck")
    assert base_of(record("ck/plain.pt", folder=str(tmp_path))) == there
    assert base_of(record("ck/plain.pt")) == "ck/plain.pt"  # what is said to be missing is what was typed
