"""Ultralytics keeps to itself: no network, no installer, nothing in the home folder."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
import pytest

from harness.common.errors import UserError
from harness.common.isolation import cache_folder, isolate_ultralytics

SET_HERE = (
    "YOLO_CONFIG_DIR", "YOLO_OFFLINE", "YOLO_AUTOINSTALL", "YOLO_VERBOSE", "NO_ALBUMENTATIONS_UPDATE", "MPLBACKEND",
    "MPLCONFIGDIR", "ORT_DISABLE_TELEMETRY", "OMP_NUM_THREADS", "TORCHINDUCTOR_CACHE_DIR",
)  # fmt: skip


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own in an environment where nothing is set."""
    for name in SET_HERE:
        monkeypatch.setenv(name, "")  # so that what the test sets is undone after it
        monkeypatch.delenv(name)
    monkeypatch.setenv("CLO_NAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_cache_is_the_users_unless_it_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CLO_NAS_CACHE")
    assert cache_folder() == Path(platformdirs.user_cache_dir("clo-nas"))
    monkeypatch.setenv("CLO_NAS_CACHE", "")
    assert cache_folder() == Path(platformdirs.user_cache_dir("clo-nas"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLO_NAS_CACHE", "near")
    assert cache_folder() == tmp_path / "near"


def test_ultralytics_is_offline_quiet_and_keeps_its_files_in_the_cache(cache: Path) -> None:
    isolate_ultralytics()
    assert os.environ["YOLO_OFFLINE"] == "true"
    assert os.environ["YOLO_AUTOINSTALL"] == "false"
    for name in ("YOLO_CONFIG_DIR", "MPLCONFIGDIR", "TORCHINDUCTOR_CACHE_DIR"):
        assert Path(os.environ[name]).is_relative_to(cache)
    assert cache.is_dir()


def test_what_the_user_has_set_stays(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("YOLO_OFFLINE", "false")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path / "mine"))
    isolate_ultralytics()
    assert (os.environ["YOLO_OFFLINE"], os.environ["OMP_NUM_THREADS"]) == ("false", "3")
    assert os.environ["YOLO_CONFIG_DIR"] == str(tmp_path / "mine")
    assert (tmp_path / "mine").is_dir()


def test_training_may_use_the_cores_that_this_process_may(cache: Path) -> None:
    isolate_ultralytics()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert int(os.environ["OMP_NUM_THREADS"]) == usable


def test_twice_is_once(cache: Path) -> None:
    isolate_ultralytics()
    before = dict(os.environ)
    isolate_ultralytics()
    assert dict(os.environ) == before


def test_a_cache_that_cannot_be_made_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CLO_NAS_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UserError, match="name another one in CLO_NAS_CACHE") as error:
        isolate_ultralytics()
    assert str(tmp_path / "file" / "cache") in str(error.value)
