"""A folder for passing files is in the cache, is one's own, and goes, however its process ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.common.atomic import remove_old_scratch, scratch_folder

LEAVE = """
import os
from harness.common.atomic import scratch_folder
with scratch_folder() as folder:
    (folder / "run").mkdir()
    (folder / "run" / "weights").write_text("half")
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLO_NAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def folders(cache: Path) -> list[Path]:
    return list((cache / "scratch").iterdir())


def leave_one() -> None:
    """By a process that is killed."""
    done = subprocess.run([sys.executable, "-c", LEAVE], env=os.environ, check=False)
    assert done.returncode != 0


def test_it_is_empty_in_the_cache_and_gone_with_all_that_it_holds(cache: Path) -> None:
    with scratch_folder() as folder:
        assert folder.is_relative_to(cache)
        assert list(folder.iterdir()) == []
        (folder / "run").mkdir()
        (folder / "run" / "file").touch()
    assert not folder.exists()


def test_it_is_gone_after_an_error(cache: Path) -> None:
    with pytest.raises(FileExistsError), scratch_folder() as folder:
        folder.mkdir()
    assert folders(cache) == []


def test_each_has_its_own_though_one_process_asks_twice(cache: Path) -> None:
    with scratch_folder() as one, scratch_folder() as other:
        assert one != other
        assert sorted(folders(cache)) == sorted([one, other])


@pytest.mark.skipif(sys.platform == "win32", reason="needs kill -9")
def test_what_a_killed_process_left_goes_with_the_next_and_nothing_that_is_in_use(cache: Path) -> None:
    leave_one()
    assert len(folders(cache)) == 1
    with scratch_folder() as mine:
        assert folders(cache) == [mine]
        leave_one()
        remove_old_scratch()
        assert folders(cache) == [mine]


def test_without_a_cache_there_is_nothing_to_remove(cache: Path) -> None:
    remove_old_scratch()
    assert not cache.exists()
