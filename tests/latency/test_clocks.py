from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from harness.latency.clocks import CudaClock, WallClock, clock_for


def test_the_wall_clock_measures_work() -> None:
    clock = WallClock()
    before = clock.seconds()
    elapsed = clock.milliseconds(lambda: sum(range(200_000)))
    assert 0 < elapsed <= 1000 * (clock.seconds() - before)


def test_work_on_the_host_is_timed_by_the_wall_clock() -> None:
    assert type(clock_for(torch.device("cpu"))) is WallClock


@pytest.mark.parametrize(("l2_bytes", "flushed"), [(50 * 2**20, 100 * 2**20), (None, 512 * 2**20)])
def test_the_l2_cache_is_overwritten_before_the_measured_time(
    l2_bytes: int | None, flushed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []

    class Recorder:
        """A stream, an event and a buffer."""

        def __init__(self, name: str) -> None:
            self.name = name

        def __getattr__(self, method: str) -> Any:
            def call(*_: object) -> float:
                log.append(f"{self.name} {method}")
                return 7.0

            return call

    events = iter(["start", "end"])
    sizes: list[int] = []

    def empty(size: int, **_: object) -> Recorder:
        sizes.append(size)
        return Recorder("buffer")

    properties = SimpleNamespace(**({"L2_cache_size": l2_bytes} if l2_bytes else {}))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Recorder("stream"))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(torch.cuda, "Event", lambda enable_timing: Recorder(next(events)))
    monkeypatch.setattr(torch, "empty", empty)
    clock = CudaClock(torch.device("cuda", 0))
    assert clock.milliseconds(lambda: log.append("work")) == 7.0
    assert log == [
        "buffer zero_",
        "stream synchronize",
        "start record",
        "work",
        "end record",
        "end synchronize",
        "start elapsed_time",
    ]
    assert (sizes, clock.l2_cache, WallClock.l2_cache) == ([flushed], "flushed", "warm")


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
