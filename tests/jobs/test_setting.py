"""How many trainings run at once where nobody says so."""

from __future__ import annotations

import pytest

from harness.jobs.place import default_workers

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
