"""A whole detector on a GPU: its latency against its own copy, and the memory of its training steps."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from benchmarks.gpu_checks.outcome import Outcome
from harness.common.errors import UserError
from harness.cost.activations import peak_activation_bytes
from harness.detectors import load_model, resolve_base
from harness.latency.latency import interleaved_latency
from harness.latency.runtimes import Dtype, Mode, Runtime

BASE = "yolov5n"
IMGSZ = 640
MODES = (Mode.EAGER, Mode.CUDA_GRAPHS, Mode.TENSORRT, Mode.COMPILE)
"""What can deploy a detector on a GPU; the quick ones first."""
BATCH = 16
STEPS = 50
LATENCY_LIMIT = 0.02
"""How far from 1 the interval of a model's latency over its own copy's may reach."""
SETTLING_STEPS = 5
"""First steps, in which the optimiser makes its moments and cuDNN its workspaces."""
_MIB = 2**20
GROWTH_LIMIT = _MIB
"""Most bytes by which steps may grow; a map or a gradient that is kept is far larger."""


class Meter(Protocol):
    """Bytes of tensors on a device."""

    def now(self) -> int:
        """Allocated at this moment."""

    def peak(self) -> int:
        """Most allocated at once since `reset`."""

    def reset(self) -> None:
        """Begin a new peak."""


class CudaMeter:
    """What PyTorch's allocator counts on the current CUDA device."""

    def now(self) -> int:
        """See `Meter.now`."""
        torch.cuda.synchronize()
        return torch.cuda.memory_allocated()

    def peak(self) -> int:
        """See `Meter.peak`."""
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated()

    def reset(self) -> None:
        """See `Meter.reset`."""
        torch.cuda.reset_peak_memory_stats()


def latency_aa(device: str, max_seconds: float = 30.0, imgsz: int = IMGSZ) -> Outcome:
    """The base timed against its own copy: the whole 95 % interval of the ratio lies within 1 ± 0.02."""
    model = resolve_base(BASE).build()
    found = interleaved_latency(
        model, copy.deepcopy(model), imgsz=imgsz, device=device, target_half_width=0.005, max_seconds=max_seconds
    )
    low, high = found.ratio_ci95
    return Outcome(
        measured=f"{BASE}, {imgsz} px: ratio {found.ratio:.4f} [{low:.4f}, {high:.4f}], "
        f"p50 {found.candidate.p50:.2f} ms, {found.rounds} rounds",
        limit=f"interval within 1 ± {LATENCY_LIMIT}",
        passed=1 - LATENCY_LIMIT <= low <= high <= 1 + LATENCY_LIMIT,
    )


def latency_by(mode: Mode, device: str, max_seconds: float = 15.0, imgsz: int = IMGSZ) -> Outcome:
    """Time the base with blocks over the base in float16 by one engine, whose answers are eager float32's."""
    try:
        found = interleaved_latency(
            load_model(f"{BASE}-clo-backbone"), load_model(BASE), imgsz=imgsz, device=device,
            runtime=Runtime(mode=mode, dtype=Dtype.FP16), max_seconds=max_seconds,
        )  # fmt: skip
    except UserError as error:
        if "not installed" in str(error):
            return Outcome(measured=str(error), limit="", passed=True, skipped="not installed")
        raise
    low, high = found.ratio_ci95
    return Outcome(
        measured=f"{BASE}-clo-backbone over {BASE}, {imgsz} px, fp16, {found.engine}: "
        f"p50 {found.candidate.p50:.3f} over {found.baseline.p50:.3f} ms, "
        f"ratio {found.ratio:.3f} [{low:.3f}, {high:.3f}]",
        limit="the answer of eager fp32, within 2 %",
        passed=True,  # else there is an error and no latency
    )


def training_memory(device: str, meter: Meter, imgsz: int = IMGSZ, batch: int = BATCH, steps: int = STEPS) -> Outcome:
    """Peak memory of a training step beside the ledger's activations, and that no step leaves anything behind."""
    model = resolve_base(BASE).build()
    ledger = peak_activation_bytes(model, (1, 3, imgsz, imgsz))
    peak, growth = growth_of(training_step(model, device, imgsz, batch), meter, steps)
    return Outcome(
        measured=f"peak {peak / _MIB:.0f} MiB ({BASE}, {imgsz} px, batch {batch}, bf16 autocast); ledger: "
        f"{ledger / _MIB:.1f} MiB of activations for one image forward; growth {growth / _MIB:.2f} MiB",
        limit=f"growth ≤ {GROWTH_LIMIT // _MIB} MiB over {steps} steps",
        passed=growth <= GROWTH_LIMIT,
    )


def growth_of(step: Callable[[], None], meter: Meter, steps: int) -> tuple[int, int]:
    """Peak bytes over all steps, and by how much the last settled step holds more than the first, in bytes.

    The peak of the later half is compared with that of the earlier one too: what a step frees again counts.
    """
    meter.reset()
    for _ in range(SETTLING_STEPS):
        step()
    settling, held = meter.peak(), meter.now()
    peaks = []
    for half in (steps // 2, steps - steps // 2):
        meter.reset()
        for _ in range(half):
            step()
        peaks.append(meter.peak())
    return max(settling, *peaks), max(meter.now() - held, peaks[1] - peaks[0])


def training_step(model: nn.Module, device: str, imgsz: int, batch: int) -> Callable[[], None]:
    """Forward, backward and AdamW as in a search's training, with the squares of all outputs for a loss."""
    place = torch.device("cuda", int(device)) if device.isdigit() else torch.device(device)
    model.to(place, memory_format=torch.channels_last).train()  # type: ignore[call-overload]  # torch's stubs miss it
    images = torch.rand(batch, 3, imgsz, imgsz, device=place).contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-4)

    def step() -> None:
        with torch.autocast(place.type, torch.bfloat16):
            outputs = [leaf for leaf in tree_leaves(model(images)) if isinstance(leaf, Tensor) and leaf.requires_grad]
        loss = torch.stack([output.float().square().mean() for output in outputs]).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step
