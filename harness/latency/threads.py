"""How many CPU threads a latency is measured with, so that its ratio is stable here and now.

Threads that share a pass wait for each other. Where one of their cores is taken, each operator waits until the
operating system gives it back: two threads on two cores beside one busy process took 548 ms a pass where one thread
took 70, and a model over its own copy read 0.86 to 1.12. So no more threads are taken than get a core for themselves,
which is found by trying: other programs take cores, but so does a container's limit, of which the number of cores
says nothing.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import torch

# How long a number of threads is tried: six periods of a container's limit on processor time.
_WINDOW_S = 0.6
# Cores' worth of time that threads may lack together and still count as undisturbed; a busy neighbour takes 0.5.
_LOST = 0.25
# What a thread hashes at a time, without Python's lock: about a millisecond.
_BLOCK = bytes(2**20)


@dataclass(frozen=True, kw_only=True)
class Threads:
    """A number of threads and why.

    Attributes:
        count: Threads of torch's CPU operators, or of ONNX Runtime's.
        reason: For people; continues "N threads, …".
    """

    count: int
    reason: str

    def __str__(self) -> str:
        return f"{self.count} {'thread' if self.count == 1 else 'threads'}, {self.reason}"

    def to_dict(self) -> dict[str, int | str]:
        """Return plain data for JSON."""
        return asdict(self)


def stable_threads(most: int | None = None, obtained: Callable[[int], float] | None = None) -> Threads:
    """Return the largest number of threads that all run all the time, as far as a short try tells.

    To be called when this process has nothing else to do, and nothing else of clo-nas runs (`Machine.alone`).

    Args:
        most: Upper limit; default: as many as torch would take.
        obtained: Cores' worth of processor time that so many busy threads get; measured by default.

    Returns:
        1 at least. With `most` 1 nothing is tried.
    """
    most = torch.get_num_threads() if most is None else most
    if most == 1:
        return Threads(count=1, reason="as many as torch takes here")
    tried, seen = most, []
    while tried > 1:
        cores = (obtained or cores_obtained)(tried)
        seen.append((tried, cores))
        if tried - cores <= _LOST:
            break
        tried = max(1, min(tried - 1, math.floor(cores + _LOST)))
    if tried == most:
        return Threads(count=most, reason="each with a core for itself")
    asked, cores = seen[0]
    return Threads(
        count=tried,
        reason=f"since {asked} threads got the time of {cores:.1f} cores (other programs, or a limit, have the rest) "
        "and would wait for each other",
    )


def cores_obtained(threads: int, seconds: float = _WINDOW_S) -> float:
    """Keep so many threads busy and return how many cores' worth of processor time they got together.

    Args:
        threads: How many.
        seconds: How long.
    """
    with ThreadPoolExecutor(threads) as pool:
        started = time.perf_counter()
        end = started + seconds
        spent = list(pool.map(_busy_until, [end] * threads))
        return sum(spent) / max(seconds, time.perf_counter() - started)


def _busy_until(end: float) -> float:
    """Hash until a time (`time.perf_counter`); give the processor time that this thread got, in seconds."""
    started = time.thread_time()
    while time.perf_counter() < end:
        hashlib.sha256(_BLOCK)
    return time.thread_time() - started
