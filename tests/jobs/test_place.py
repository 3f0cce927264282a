"""Where trainings run where nobody says so: how many at once, and what each takes."""

from __future__ import annotations

import pytest
import torch

from harness.jobs.place import Place, default_workers, find_place

GB = 1e9


@pytest.mark.parametrize(
    ("device", "cores", "memory", "workers"),
    [
        ("cpu", 1, 64 * GB, 1),
        ("cpu", 2, 16 * GB, 2),
        ("cpu", 64, 256 * GB, 4),
        ("cpu", 4, 2.5 * GB, 2),  # 1.2 GB each
        ("cpu", 4, 0.5 * GB, 1),  # never none
        ("0", 64, 256 * GB, 1),
        ("0,1", 2, 1 * GB, 2),
    ],
)
def test_one_a_core_while_memory_lasts_or_one_a_gpu(device: str, cores: int, memory: float, workers: int) -> None:
    assert default_workers(device, cores, memory) == workers


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr("harness.jobs.place.resolve_device", lambda device: device)


@pytest.mark.parametrize(
    ("workers", "threads", "each", "alone"), [(1, None, 8, 8), (3, None, 2, 8), (16, None, 1, 8), (2, 5, 5, 5)]
)
def test_trainings_divide_the_cores_and_one_alone_has_them_all(
    eight_cores: None, workers: int, threads: int | None, each: int, alone: int
) -> None:
    found = find_place(device="cpu", workers=workers, threads=threads)
    assert found == Place(devices=("cpu",), workers=workers, threads=each, threads_alone=alone)


def test_each_gpu_is_a_device_of_its_own(eight_cores: None) -> None:
    found = find_place(device="0,2", workers=None, threads=None)
    assert (found.devices, found.device, found.workers, found.threads) == (("0", "2"), "0,2", 2, 4)
