"""Two GPUs that share a training: it ends, with numbers, and the same seed comes to the same."""

from __future__ import annotations

import math
from collections.abc import Callable

from benchmarks.gpu_checks.outcome import Outcome
from harness.data.check import check_dataset
from harness.detectors import resolve_base
from harness.isolation import cache_folder
from harness.measure.data_parallel import train_on_several
from harness.measure.training import Accuracy, Schedule, Training
from harness.settings import EMBEDDED_DATA

BASE = "yolov5n"
IMGSZ = 128
DIFFERENCE_LIMIT = 0.01
"""How far apart two runs of one seed may end, in mAP50-95: on a GPU sums are not always taken in the same order."""


def shared_training(
    devices: str,
    train: Callable[[Training], Accuracy] = train_on_several,
    data: str = EMBEDDED_DATA,
    epochs: int = 2,
) -> Outcome:
    """A short training from scratch, twice."""
    info, config = check_dataset(data, IMGSZ, cache=cache_folder()), resolve_base(BASE).config
    training = Training(
        config=config, base_config=config, base_weights=None, layers={}, data=str(info.path),
        data_fingerprint=info.fingerprint, classes=len(info.names), seed=0, device=devices, threads=2,
        schedule=Schedule(epochs=epochs, batch=16, imgsz=IMGSZ, learning_rate=2e-3),
    )  # fmt: skip
    first, second = (train(training) for _ in range(2))
    apart = abs(first.map50_95 - second.map50_95)
    return Outcome(
        measured=f"{BASE}, devices {devices}, {epochs} epochs: mAP50-95 {first.map50_95:.4f} and "
        f"{second.map50_95:.4f} of the same seed, {first.train_seconds:.0f} s",
        limit=f"at most {DIFFERENCE_LIMIT} apart",
        passed=math.isfinite(apart) and apart <= DIFFERENCE_LIMIT,
    )
