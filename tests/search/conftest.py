"""A tiny data set and the command that searches on it in seconds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness.data.digits import DigitsSettings, ensure_digits
from harness.record.settings import SearchSettings
from harness.search.setting import Setting, prepare_search
from harness.storage.records import open_storage
from tests.search.pretended_search import Search

Clo = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty-eight easy scenes to train on, twenty-four to validate on."""
    easy = DigitsSettings(
        train_images=48, val_images=24, height_min=24, height_max=60, contrast_min=90, contrast_max=140
    )
    return ensure_digits(tmp_path_factory.mktemp("data"), easy)


@pytest.fixture(scope="session")
def small_search(small_data: Path) -> tuple[str, ...]:
    """`clo search` with the least that still is a search; options given later win."""
    return (
        "search", "--data", str(small_data), "--imgsz", "64", "--epochs", "1", "--base-epochs", "2", "--trials", "2",
        "--seeds", "2", "--finalists", "1", "--latency-seconds", "0.5", "--study", "x", "--json",
    )  # fmt: skip


@pytest.fixture(scope="session")
def clo() -> Clo:
    """Run the command line in a folder."""

    def run(arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "harness", *arguments],
            cwd=folder,
            env=os.environ,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    return run


@pytest.fixture(scope="session")
def setting(tmp_path_factory: pytest.TempPathFactory, small_data: Path) -> Setting:
    """All that a search works on, read once."""
    return prepare_search(
        SearchSettings(
            data=str(small_data), imgsz=64, space="small", device="cpu", workers=1, from_scratch=True,
            epochs=3, results=tmp_path_factory.mktemp("results"),
        )
    )  # fmt: skip


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without a study: making one takes longer than a test."""
    path = tmp_path_factory.mktemp("tables") / "study.db"
    open_storage(f"sqlite:///{path}").engine.dispose()
    return path


@pytest.fixture
def search(tmp_path: Path, tables: Path, setting: Setting, monkeypatch: pytest.MonkeyPatch) -> Search:
    (tmp_path / "x").mkdir()
    shutil.copy(tables, tmp_path / "x")
    return Search(tmp_path, setting, monkeypatch)


@pytest.fixture
def settings(tmp_path: Path, tables: Path) -> SearchSettings:
    """Of a study that does not exist yet."""
    (tmp_path / "x").mkdir()
    shutil.copy(tables, tmp_path / "x")
    return SearchSettings(study="x", results=tmp_path)
