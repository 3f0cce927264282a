"""What a machine was doing while latency was measured on it: load, clocks, and why a GPU was slowed down.

Read once before and once after, never between passes: reading takes time. What a machine does not tell is None.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil
import torch

# NVML's bits (nvml.h, nvmlClocksThrottleReasons) in words.
_THROTTLE_REASONS = {
    0x001: "gpu idle",
    0x002: "application clocks setting",
    0x004: "software power cap",
    0x008: "hardware slowdown",
    0x010: "sync boost",
    0x020: "software thermal slowdown",
    0x040: "hardware thermal slowdown",
    0x080: "hardware power brake slowdown",
    0x100: "display clock setting",
    0x200: "board limit",
    0x400: "reliability",
}


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """What NVML says of an NVIDIA GPU.

    Attributes:
        driver: Version of the driver.
        sm_mhz: Clock of the multiprocessors.
        sm_mhz_max: The highest that it can have.
        memory_mhz: Clock of the memory.
        memory_mhz_max: The highest that it can have.
        temperature_c: Temperature of the chip, in °C.
        throttle_reasons: Why the clocks are below their highest; empty if nothing holds them down.
    """

    driver: str | None
    sm_mhz: int | None
    sm_mhz_max: int | None
    memory_mhz: int | None
    memory_mhz_max: int | None
    temperature_c: int | None
    throttle_reasons: list[str] | None


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """A machine at one moment.

    Attributes:
        load_average: Processes that ran or waited, over the last minute.
        cpu_mhz: Mean clock of the processor's cores.
        gpu: The GPU that is measured on.
    """

    load_average: float | None
    cpu_mhz: float | None
    gpu: Gpu | None

    @classmethod
    def now(cls, device: torch.device) -> Conditions:
        """Read them."""
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        gpu = read_gpu(f"GPU-{torch.cuda.get_device_properties(device).uuid}") if device.type == "cuda" else None
        return cls(load_average=load, cpu_mhz=_cpu_mhz(), gpu=gpu)


def affinity() -> list[int] | None:
    """Return the cores that this process may run on; None where the system does not tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def read_gpu(uuid: str) -> Gpu | None:
    """Ask NVML about a GPU by its identifier, which unlike its number no variable changes; None without a driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        sm, memory = pynvml.NVML_CLOCK_SM, pynvml.NVML_CLOCK_MEM
        return Gpu(
            driver=_told(pynvml.nvmlSystemGetDriverVersion),
            sm_mhz=_told(pynvml.nvmlDeviceGetClockInfo, handle, sm),
            sm_mhz_max=_told(pynvml.nvmlDeviceGetMaxClockInfo, handle, sm),
            memory_mhz=_told(pynvml.nvmlDeviceGetClockInfo, handle, memory),
            memory_mhz_max=_told(pynvml.nvmlDeviceGetMaxClockInfo, handle, memory),
            temperature_c=_told(pynvml.nvmlDeviceGetTemperature, handle, pynvml.NVML_TEMPERATURE_GPU),
            throttle_reasons=_reasons(_told(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle)),
        )
    except pynvml.NVMLError:  # such as a slice of a GPU, which has another identifier
        return None
    finally:
        pynvml.nvmlShutdown()


def _told(question: Callable[..., Any], *arguments: Any) -> Any:
    """Return the answer, or None where this GPU has none."""
    import pynvml

    try:
        return question(*arguments)
    except pynvml.NVMLError:
        return None


def _reasons(bits: int | None) -> list[str] | None:
    return None if bits is None else [reason for bit, reason in _THROTTLE_REASONS.items() if bits & bit]


def _cpu_mhz() -> float | None:
    try:
        frequency = psutil.cpu_freq()
    except (OSError, NotImplementedError, RuntimeError, AttributeError):  # by system; psutil documents none of them
        return None
    return float(frequency.current) if frequency else None  # type: ignore[redundant-expr]  # None where unknown
