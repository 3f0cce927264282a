"""Processes that end with another one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from harness.training.orphans import WATCHED, end_with_the_watched, let_ranks_end_with_me

_SLEEP = "import time; time.sleep(60)"
_RANK = (
    f"from harness.training.orphans import end_with_the_watched as end; end(0.02); print('up', flush=True); {_SLEEP}"
)


@pytest.fixture
def asked_for() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", _SLEEP], text=True)
    yield process
    process.kill()
    process.wait()


def start_rank(watched: str) -> subprocess.Popen[str]:
    rank = subprocess.Popen(
        [sys.executable, "-c", _RANK], env=os.environ | {WATCHED: watched}, stdout=subprocess.PIPE, text=True
    )
    assert rank.stdout is not None
    rank.stdout.readline()
    return rank


def test_a_rank_ends_when_whoever_asked_for_it_is_killed_and_not_before(asked_for: subprocess.Popen[str]) -> None:
    rank = start_rank(f"{asked_for.pid}:{psutil.Process(asked_for.pid).create_time()}")
    with pytest.raises(subprocess.TimeoutExpired):
        rank.wait(0.3)
    asked_for.kill()
    assert rank.wait(10) == 1


def test_another_process_under_the_same_number_is_not_the_one_watched(asked_for: subprocess.Popen[str]) -> None:
    assert start_rank(f"{asked_for.pid}:1.0").wait(10) == 1


def test_a_process_is_named_by_its_number_and_start_and_does_not_watch_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    environment: dict[str, str] = {}
    let_ranks_end_with_me(environment)
    assert environment == {WATCHED: f"{os.getpid()}:{psutil.Process().create_time()}"}
    monkeypatch.setenv(WATCHED, f"{os.getpid()}:1.0")
    end_with_the_watched(0.0)  # were it watched, this process would end: no process of this start exists
    monkeypatch.delenv(WATCHED)
    end_with_the_watched(0.0)
