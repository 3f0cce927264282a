"""The cache is bounded, least recently used first, and keeps what a running program uses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.common import cache
from harness.common.errors import UserError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLO_NAS_CACHE", str(tmp_path))
    monkeypatch.setattr(cache, "_held", {})
    return tmp_path


def baseline(folder: Path, name: str, used: float, size: int = 100) -> Path:
    """A pretrained baseline with its note, last used at this second."""
    path = folder / cache.BASES / f"{name}.pt"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bytes(size))
    path.with_suffix(".json").write_text("{}")
    path.with_suffix(".use").touch()
    os.utime(path.with_suffix(".use"), (used, used))
    return path


def test_what_was_not_used_for_longest_goes_first_and_with_all_that_belongs_to_it(folder: Path) -> None:
    old, older, new = (baseline(folder, name, used) for name, used in (("old", 20), ("older", 10), ("new", 30)))
    assert cache.trim(limit=300) == []
    assert cache.trim(limit=299) == [older]
    assert cache.trim(limit=100) == [old]
    assert sorted(path.name for path in new.parent.iterdir()) == ["new.json", "new.pt", "new.use"]


def test_to_use_one_makes_it_the_latest(folder: Path) -> None:
    first, second = baseline(folder, "first", 10), baseline(folder, "second", 20)
    cache.hold(first)
    for file in cache._held.values():
        file.close()
    assert cache.trim(limit=100) == [second]
    assert first.is_file()


HOLDS = """
import sys, pathlib
from harness.common import cache
cache.enter()
cache.hold(pathlib.Path(sys.argv[1]))
print("holds", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_what_another_program_uses_stays_whatever_its_size(folder: Path) -> None:
    used, unused = baseline(folder, "used", 10, size=1000), baseline(folder, "unused", 20)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(used)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout and other.stdout.readline() == "holds\n"
        os.utime(used.with_suffix(".use"), (10, 10))
        assert cache.trim(limit=50) == [unused]
        with pytest.raises(UserError, match="another program of clo-nas is using it; clear it when that has ended"):
            cache.clear()
        other.communicate()
    assert used.is_file()
    assert cache.trim(limit=50) == [used]


def test_clearing_leaves_locks_and_ultralytics_settings(folder: Path) -> None:
    baseline(folder, "x", 10)
    for name in ("digits-v1-0", "latency", "locks", "Ultralytics"):
        (folder / name).mkdir()
        (folder / name / "file").write_bytes(bytes(7))
    cache.enter()
    kinds = {entry.path.name: (entry.kind, entry.bytes) for entry in cache.entries()}
    assert kinds == {
        "x.pt": ("pretrained baselines", 100),
        "digits-v1-0": ("data set", 7),
        "latency": ("tables of latencies", 7),
    }
    assert {entry.path.name for entry in cache.clear()} == set(kinds)
    assert cache.entries() == []
    assert (folder / "locks" / "file").is_file() and (folder / "Ultralytics" / "file").is_file()


def test_a_cache_that_is_not_there_yet_is_made_and_one_that_cannot_be_is_no_reason_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_held", {})
    monkeypatch.setenv("CLO_NAS_CACHE", str(tmp_path / "not" / "yet"))
    cache.enter()
    assert (tmp_path / "not" / "yet" / ".in-use").is_file()
    (tmp_path / "file").touch()
    monkeypatch.setenv("CLO_NAS_CACHE", str(tmp_path / "file" / "cache"))
    cache.enter()
    assert list(cache._held) == [tmp_path / "not" / "yet" / ".in-use"]
