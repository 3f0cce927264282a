"""A small data set in COCO's format, and what is made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.data.check import DatasetInfo, check_dataset
from tests.coco_data import CocoData, write_coco


@pytest.fixture
def data(tmp_path: Path) -> CocoData:
    return write_coco(tmp_path / "coco")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def made(data: CocoData, cache: Path) -> DatasetInfo:
    return check_dataset(str(data.train), 64, cache)
