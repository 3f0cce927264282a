"""How fast a detector is beside its baseline, on this device, with the interval that belongs to it.

A shared or throttling machine changes speed by more than the effect of a small block. So candidate (A)
and baseline (B) take turns, A B B A or B A A B at random: within such a round a linear drift adds the same to
both, and the round's ratio is free of it; and what comes and goes in the rhythm of the rounds meets both alike.
Rounds follow each other until the interval of the ratio is narrow enough or the time is over.

`runtimes` makes the passes and checks their answer, `turns` runs them, `clocks` times them, `intervals` makes of the
rounds a ratio with its interval, `conditions` reads the machine before and after, `raw_samples` keeps every pass.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from harness.common.errors import UserError
from harness.common.machine import cpu_model
from harness.cost.counts import square_input
from harness.latency.clocks import Clock, CudaClock, WallClock, clock_for
from harness.latency.conditions import Conditions, affinity
from harness.latency.intervals import Samples, ratio_with_interval
from harness.latency.runtimes import Mode, Runtime, checked_passes
from harness.latency.turns import Stop, Turns, times_of

__all__ = [
    "Clock",
    "CudaClock",
    "Latency",
    "Samples",
    "Stop",
    "Timing",
    "WallClock",
    "interleaved_latency",
    "ratio_with_interval",
]

# Most of the time limit that warming up may take.
_WARM_UP_SHARE = 0.15


@dataclass(frozen=True, kw_only=True, eq=False)
class Timing:
    """Forward passes of one model.

    Attributes:
        p50: Median time of a pass over the whole batch, in ms.
        p90: 90th percentile, in ms.
        p99: 99th percentile, in ms; with fewer than 100 passes it says little.
        repetitions: Number of passes.
        samples: Time of each pass in the order of measuring, in ms; shape (repetitions,).
    """

    p50: float
    p90: float
    p99: float
    repetitions: int
    samples: Samples

    @classmethod
    def of(cls, samples: Samples) -> Timing:
        """Summarise the times of passes, in ms."""
        p50, p90, p99 = (float(value) for value in np.percentile(samples, [50, 90, 99]))
        return cls(p50=p50, p90=p90, p99=p99, repetitions=len(samples), samples=samples)


@dataclass(frozen=True, kw_only=True, eq=False)
class Latency:
    """A candidate's latency beside its baseline's, and under which conditions.

    Attributes:
        ratio: Candidate over baseline; below 1 the candidate is faster.
        ratio_ci95: Lower and upper end of the ratio's 95 % interval.
        candidate: The candidate's passes.
        baseline: The baseline's passes.
        stopped: Why measuring ended.
        target_half_width: Half the interval's width over the ratio that was asked for.
        max_seconds: The time limit.
        rounds: Rounds A B B A or B A A B, warm-up not included.
        candidate_first: Which of the two each round was, in the order of measuring, (rounds,); true is A B B A.
        warm_up_rounds: Rounds before, whose times were thrown away.
        rounds_a_group: Rounds after which there was a pause of random length; the interval's independent pieces.
        rounds_a_copy: Rounds after which both models were copied to another place in memory; None where the engine
            keeps its own copy.
        mode: What ran both models, see `harness.latency.runtimes.Mode`.
        engine: Its name and version.
        device: Device as torch names it.
        cpu: The processor's name.
        cuda: Version of CUDA that torch was built for; None on the CPU.
        threads: Threads of torch's CPU operators, or of ONNX Runtime's.
        affinity: Cores that the process may run on.
        dtype: Number format of weights and image.
        tf32: Whether convolutions in float32 may round to TF32 inside, as they may on a GPU by torch's default.
        memory_format: `contiguous` or `channels_last`.
        imgsz: Side of the image, in pixels.
        batch: Images a pass.
        fused: Whether both models have their deployed form, batch norms merged into convolutions.
        nms: Whether suppression of overlapping detections is in the time.
        l2_cache: `flushed` before each pass, or `warm`.
        before: The machine when measuring began.
        after: The machine when it ended.
    """

    ratio: float
    ratio_ci95: tuple[float, float]
    candidate: Timing
    baseline: Timing
    stopped: Stop
    target_half_width: float
    max_seconds: float
    rounds: int
    candidate_first: npt.NDArray[np.bool_]
    warm_up_rounds: int
    rounds_a_group: int
    rounds_a_copy: int | None
    mode: str
    engine: str
    device: str
    cpu: str | None
    cuda: str | None
    threads: int
    affinity: list[int] | None
    dtype: str
    tf32: bool
    memory_format: str
    imgsz: int
    batch: int
    fused: bool
    nms: str = "not included"
    l2_cache: str
    before: Conditions
    after: Conditions

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, without what there is of each pass or round."""
        plain = asdict(self) | {"ratio_ci95": list(self.ratio_ci95), "stopped": self.stopped.value}
        del plain["candidate_first"]
        for name in ("candidate", "baseline"):
            plain[name] = {f"latency_ms_{p}": plain[name][p] for p in ("p50", "p90", "p99")} | {
                "repetitions": plain[name]["repetitions"]
            }
        return plain


# Of the order of each round, the bootstrap and the image.
_SEED = 0


def interleaved_latency(  # noqa: PLR0913  # all by name, and each a fact of the measurement
    candidate: nn.Module,
    baseline: nn.Module,
    *,
    imgsz: int,
    device: str = "cpu",
    runtime: Runtime | None = None,
    batch: int = 1,
    target_half_width: float = 0.01,
    max_seconds: float = 45.0,
    min_rounds: int = 25,
    clock: Clock | None = None,
) -> Latency:
    """Time two models in turns. Both are copied and put into eval mode; neither changes.

    Args:
        candidate: A; takes images (batch, 3, imgsz, imgsz).
        baseline: B; takes the same.
        imgsz: Side of the image, in pixels.
        device: `cpu`, `cuda`, `cuda:1` or the number of a CUDA device; of several, the first.
        runtime: How both are run. Default: eager PyTorch, float32, fused.
        batch: Images a pass.
        target_half_width: Stop once the ratio's 95 % interval is at most the ratio times 1 ± this.
        max_seconds: Time limit, warm-up included, compiling not. Five rounds are measured whatever it is.
        min_rounds: Rounds before the interval is trusted to stop measuring.
        clock: Default: CUDA events on a CUDA device, else the host's clock.

    Raises:
        UserError: The device or the engine is not there, an option makes no sense, a model's answer is wrong as
            it is run, or a time is zero or not a number.
    """
    for name, value in (("batch", batch), ("min_rounds", min_rounds)):
        if value < 1:
            raise UserError(f"latency: {name} is {value}; it is 1 or more")
    for name, limit in (("target_half_width", target_half_width), ("max_seconds", max_seconds)):
        if not limit > 0:
            raise UserError(f"latency: {name} is {limit}; it is above 0")
    for model in (candidate, baseline):
        square_input(model, imgsz, 3)
    place = _device(device)
    on_cuda = place.type == "cuda"
    runtime = (runtime or Runtime()).on(place)
    image = torch.rand(batch, 3, imgsz, imgsz, generator=torch.Generator().manual_seed(_SEED)).to(place)
    with _on(place):
        a, b = checked_passes({"candidate": candidate, "baseline": baseline}, image, runtime)
        renewable = runtime.mode is Mode.EAGER
        course = Turns(a, b, clock or clock_for(place), np.random.default_rng(_SEED), renews=renewable)
        before = Conditions.now(place)
        with torch.inference_mode(), _no_garbage_collection():
            deadline = course.clock.seconds() + max_seconds
            warm_up_rounds = course.warm_up(course.clock.seconds() + _WARM_UP_SHARE * max_seconds)
            group = course.rounds_a_group(max_seconds)
            rounds, stopped = course.measure(deadline, min_rounds, target_half_width, _SEED, group)
        after = Conditions.now(place)
    times = times_of(rounds)
    low, ratio, high = ratio_with_interval(times, _SEED, group)
    return Latency(
        ratio=ratio,
        ratio_ci95=(low, high),
        candidate=Timing.of(times[:, [0, 3]].ravel()),
        baseline=Timing.of(times[:, [1, 2]].ravel()),
        stopped=stopped,
        target_half_width=target_half_width,
        max_seconds=max_seconds,
        rounds=len(rounds),
        candidate_first=np.array([each.candidate_first for each in rounds]),
        warm_up_rounds=warm_up_rounds,
        rounds_a_group=group,
        rounds_a_copy=group if renewable else None,
        mode=runtime.mode.value,
        engine=runtime.engine,
        device=torch.cuda.get_device_name(place) if on_cuda else "cpu",
        cpu=cpu_model(),
        cuda=torch.version.cuda if on_cuda else None,
        threads=torch.get_num_threads(),
        affinity=affinity(),
        dtype=str(runtime.dtype.torch).removeprefix("torch."),
        tf32=on_cuda and runtime.dtype.torch is torch.float32 and torch.backends.cudnn.allow_tf32,
        memory_format=str(runtime.memory_format),
        imgsz=imgsz,
        batch=batch,
        fused=runtime.fused and all(hasattr(model, "fuse") for model in (candidate, baseline)),
        l2_cache=getattr(course.clock, "l2_cache", "warm"),
        before=before,
        after=after,
    )


def _device(device: str) -> torch.device:
    """Return the device by torch's or Ultralytics' name for it."""
    first = device.partition(",")[0].strip()
    try:
        place = torch.device("cuda", int(first)) if first.isdigit() else torch.device(first)
    except RuntimeError as error:
        raise UserError(f"device {device}: not a device; use cpu, cuda or a CUDA device's number") from error
    if place.type not in {"cpu", "cuda"}:
        raise UserError(f"device {device}: latency is measured on cpu and cuda alone")
    available = torch.cuda.device_count() if place.type == "cuda" and torch.cuda.is_available() else 0
    if place.type == "cuda" and (place.index or 0) >= available:
        raise UserError(f"device {device}: there are {available} CUDA GPUs here; use cpu")
    return place


def _on(place: torch.device) -> contextlib.AbstractContextManager[object]:
    return torch.cuda.device(place) if place.type == "cuda" else contextlib.nullcontext()


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Suspend garbage collection, which in the middle of a pass would be measured as the model's."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
