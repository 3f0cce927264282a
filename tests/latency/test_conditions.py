from __future__ import annotations

import os
import sys
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch

from harness.latency.conditions import Conditions, Gpu, affinity, read_gpu


class FakeNvml:
    """NVML of a machine with one GPU, `GPU-1`; what is in `silent` it does not tell."""

    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    class NVMLError(Exception):
        pass

    def __init__(self, *silent: str, reasons: int = 0) -> None:
        self.silent, self.reasons, self.open = silent, reasons, 0

    def _tell(self, name: str, value: Any) -> Any:
        if name in self.silent:
            raise self.NVMLError(name)
        return value

    def nvmlInit(self) -> None:  # noqa: N802  # NVML's names
        self._tell("init", None)
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        if uuid != "GPU-1":
            raise self.NVMLError("not found")
        return "handle"

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "580.1"

    def nvmlDeviceGetClockInfo(self, handle: str, kind: int) -> int:  # noqa: N802
        return {self.NVML_CLOCK_SM: 1200, self.NVML_CLOCK_MEM: 2600}[kind]

    def nvmlDeviceGetMaxClockInfo(self, handle: str, kind: int) -> int:  # noqa: N802
        return {self.NVML_CLOCK_SM: 1980, self.NVML_CLOCK_MEM: 2619}[kind]

    def nvmlDeviceGetTemperature(self, handle: str, sensor: int) -> Any:  # noqa: N802
        return self._tell("temperature", 61)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: str) -> Any:  # noqa: N802
        return self._tell("reasons", self.reasons)


def gpu_by(nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch, uuid: str = "GPU-1") -> Gpu | None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    found = read_gpu(uuid)
    assert nvml.open == 0
    return found


def test_a_gpu_tells_driver_clocks_and_why_it_is_slowed_down(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = gpu_by(FakeNvml(reasons=0x4 | 0x40), monkeypatch)
    assert gpu == Gpu(
        driver="580.1",
        sm_mhz=1200,
        sm_mhz_max=1980,
        memory_mhz=2600,
        memory_mhz_max=2619,
        temperature_c=61,
        throttle_reasons=["software power cap", "hardware thermal slowdown"],
    )


def test_nothing_that_slows_down_is_not_the_same_as_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    free, unknown = gpu_by(FakeNvml(), monkeypatch), gpu_by(FakeNvml("reasons", "temperature"), monkeypatch)
    assert free and unknown
    assert (free.throttle_reasons, free.temperature_c) == ([], 61)
    assert (unknown.throttle_reasons, unknown.temperature_c) == (None, None)
    assert unknown.sm_mhz == 1200


def test_without_a_driver_or_for_another_device_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpu_by(FakeNvml("init"), monkeypatch) is None
    assert gpu_by(FakeNvml(), monkeypatch, "GPU-of-a-slice") is None


def test_the_real_nvml_refuses_an_unknown_gpu_or_is_not_there() -> None:
    assert read_gpu("GPU-00000000-0000-0000-0000-000000000000") is None


def test_throttle_reasons_are_those_of_nvml() -> None:
    import pynvml

    from harness.latency.conditions import _THROTTLE_REASONS

    assert sum(_THROTTLE_REASONS) == pynvml.nvmlClocksThrottleReasonAll


def test_a_processor_tells_load_and_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (1.5, 9, 9), raising=False)
    monkeypatch.setattr(psutil, "cpu_freq", lambda: SimpleNamespace(current=2500), raising=False)
    assert Conditions.now(torch.device("cpu")) == Conditions(load_average=1.5, cpu_mhz=2500.0, gpu=None)


@pytest.mark.parametrize("error", [FileNotFoundError, NotImplementedError])
def test_what_a_system_does_not_tell_is_none(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def silent() -> None:
        raise error

    monkeypatch.setattr(psutil, "cpu_freq", silent, raising=False)
    monkeypatch.delattr(os, "getloadavg", raising=False)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert Conditions.now(torch.device("cpu")) == Conditions(load_average=None, cpu_mhz=None, gpu=None)
    assert affinity() is None


def test_affinity_is_the_cores_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 1}, raising=False)
    assert affinity() == [1, 3]


@pytest.mark.cuda
def test_the_gpu_that_torch_uses_is_the_one_that_tells() -> None:
    gpu = Conditions.now(torch.device("cuda", 0)).gpu
    assert gpu and gpu.driver and gpu.sm_mhz_max
