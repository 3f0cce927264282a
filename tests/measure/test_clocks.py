from __future__ import annotations

import pytest
import torch

from harness.measure.clocks import CudaClock, WallClock, clock_for


def test_the_wall_clock_measures_work() -> None:
    clock = WallClock()
    before = clock.seconds()
    elapsed = clock.milliseconds(lambda: sum(range(200_000)))
    assert 0 < elapsed <= 1000 * (clock.seconds() - before)


def test_work_on_the_host_is_timed_by_the_wall_clock() -> None:
    assert type(clock_for(torch.device("cpu"))) is WallClock


@pytest.mark.cuda
def test_work_on_a_gpu_is_timed_by_events_on_its_stream() -> None:
    clock = clock_for(torch.device("cuda", 0))
    assert isinstance(clock, CudaClock)
    assert clock.stream == torch.cuda.current_stream(0)


@pytest.mark.cuda
def test_the_cuda_clock_waits_for_kernels_that_run_on_after_their_launch() -> None:
    clock = CudaClock(torch.device("cuda", 0))
    matrix = torch.rand(4096, 4096, device="cuda:0")
    once, often = (clock.milliseconds(lambda n=n: [matrix @ matrix for _ in range(n)]) for n in (1, 20))  # type: ignore[misc]
    assert often > 5 * once > 0
