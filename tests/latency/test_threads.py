"""As many threads as get a core each; who gets what is made up, but for one try on the machine itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from harness.latency.threads import cores_obtained, stable_threads


def beside(busy: int, cores: int) -> Callable[[int], float]:
    """What threads get of cores on which other programs have busy threads, each treated alike."""
    return lambda threads: threads * min(1.0, cores / (threads + busy))


@pytest.mark.parametrize(
    ("busy", "cores", "most", "count"),
    [
        (0, 2, 2, 2),  # quiet
        (1, 2, 2, 1),  # 2 threads would get 1.33 cores
        (4, 2, 2, 1),  # nothing is free, and one thread it is
        (0, 16, 8, 8),
        (1, 8, 8, 7),
        (4, 8, 8, 4),  # 8 get 5.3, 5 get 4.4, 4 get 4
        (3, 8, 4, 4),  # fewer than there are cores free
    ],
)
def test_as_many_threads_as_have_a_core_for_themselves(busy: int, cores: int, most: int, count: int) -> None:
    assert stable_threads(most, beside(busy, cores)).count == count


def test_a_containers_limit_counts_though_its_cores_are_idle() -> None:
    assert stable_threads(16, lambda threads: min(threads, 2.0)).count == 2


def test_a_core_that_is_hardly_disturbed_is_free() -> None:
    assert stable_threads(2, lambda threads: threads * 0.9).count == 2


def test_the_reason_is_said() -> None:
    assert str(stable_threads(2, beside(0, 2))) == "2 threads, each with a core for itself"
    assert str(stable_threads(2, beside(1, 2))) == (
        "1 thread, since 2 threads got the time of 1.3 cores (other programs, or a limit, have the rest) "
        "and would wait for each other"
    )
    assert str(stable_threads(1, beside(0, 2))) == "1 thread, as many as torch takes here"


def test_torchs_own_number_is_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert stable_threads(obtained=beside(0, 64)).count == 3


def test_busy_threads_get_no_more_time_than_they_ask_for() -> None:
    assert 0 < cores_obtained(2, 0.05) <= 2.05
