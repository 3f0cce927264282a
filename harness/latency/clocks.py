"""How a forward pass is timed: by the host's clock, or on a GPU by the GPU's own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import torch


class Clock(Protocol):
    """How work is timed; a fake one makes tests exact."""

    def seconds(self) -> float:
        """Return the time that has passed, from any origin: for the time limit."""

    def milliseconds(self, work: Callable[[], object]) -> float:
        """Do the work, all of it, and say how long it took."""

    def pause(self, seconds: float) -> None:
        """Do nothing for so long."""


class WallClock:
    """The host's monotonic clock."""

    # Whether a pass finds in the cache what the passes before left there.
    l2_cache = "warm"

    def seconds(self) -> float:
        """See `Clock.seconds`."""
        return time.perf_counter()

    def milliseconds(self, work: Callable[[], object]) -> float:
        """See `Clock.milliseconds`; the work runs on the host."""
        start = time.perf_counter_ns()
        work()
        return (time.perf_counter_ns() - start) / 1e6

    def pause(self, seconds: float) -> None:
        """See `Clock.pause`."""
        time.sleep(seconds)


# More than any GPU's L2 cache had when this was written.
_UNKNOWN_L2_BYTES = 256 * 2**20


class CudaClock(WallClock):
    """CUDA events on the current stream: kernels run on after the call that starts them returned.

    Before each pass the L2 cache is overwritten, outside the measured time. Else a small model's weights
    would still lie there from the pass before, or not, depending on the size of the other model.
    """

    l2_cache = "flushed"

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.current_stream(device)
        l2_bytes = getattr(torch.cuda.get_device_properties(device), "L2_cache_size", 0) or _UNKNOWN_L2_BYTES
        self._flush = torch.empty(2 * l2_bytes, dtype=torch.int8, device=device)

    def milliseconds(self, work: Callable[[], object]) -> float:
        """See `Clock.milliseconds`; the work is queued on the stream."""
        start = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        self._flush.zero_()
        self.stream.synchronize()
        start.record(self.stream)
        work()
        end.record(self.stream)
        end.synchronize()
        return float(start.elapsed_time(end))


def clock_for(device: torch.device) -> Clock:
    """Return the clock that sees all the work of a model on this device."""
    return CudaClock(device) if device.type == "cuda" else WallClock()
