"""What happens inside a trial's process: latency first, while nothing else runs, then training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from harness.detectors import build
from harness.measure.accuracy import Accuracy, Training, train
from harness.measure.latency import Latency, interleaved_latency

Report = Callable[[tuple[str, int, int]], None]
"""Called with the phase, the finished and the total steps."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One trial to run.

    Attributes:
        training: The training.
        measure_latency: Whether latency is wanted too; a second seed of a candidate needs none.
        latency_seconds: Most seconds that measuring it may take.
    """

    training: Training
    measure_latency: bool
    latency_seconds: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a trial yields."""

    accuracy: Accuracy
    latency: Latency | None


def run_trial(job: Job, report: Report) -> Measured:
    """Measure and train one detector."""
    training = job.training
    torch.set_num_threads(training.threads)
    latency = None
    if job.measure_latency:
        report(("latency", 0, 1))
        latency = interleaved_latency(
            build(training.config, training.classes),
            build(training.base_config, training.classes),
            imgsz=training.schedule.imgsz,
            device=training.device,
            max_seconds=job.latency_seconds,
        )
    accuracy = train(training, lambda done, total: report(("training", done, total)))
    return Measured(accuracy=accuracy, latency=latency)


def train_base(training: Training, report: Report) -> Accuracy:
    """Train the common base from which all candidates start."""
    return train(training, lambda done, total: report(("training", done, total)))
