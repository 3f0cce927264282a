"""What happens inside a trial's process: latency first, while nothing else runs, then training."""

from __future__ import annotations

import math
import os
import resource
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from harness.architecture.choices import Recipe
from harness.data.check import require_unchanged
from harness.detectors import build
from harness.detectors.model_yaml import Description
from harness.jobs.progress import Step
from harness.latency.latency import Latency, interleaved_latency
from harness.training.accuracy import Accuracy, Training, train
from harness.training.child import Report
from harness.training.curve import curve_path, write_curve
from harness.training.image_matches import matches_path, write_matches
from harness.training.recipe import train_published

# Folder in the study's folder that takes the matches of the trainings that judge.
MATCHES = "matches"
# Folder in the study's folder that takes every training's learning curve.
CURVES = "curves"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One trial to run.

    Attributes:
        training: The training.
        before: Trainings whose weights it goes on from, to be made again first.
        measure_latency: Whether latency is wanted too; a second seed of a candidate needs none.
        timed_beside: Detector that latency is measured beside; None is the training's base.
        latency_seconds: Most seconds that measuring it may take.
        latency_threads: CPU threads of its passes; nothing else runs then.
    """

    training: Training
    before: tuple[Training, ...] = ()
    measure_latency: bool = False
    timed_beside: Description | None = None
    latency_seconds: float = 0.0
    latency_threads: int = 1


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a trial yields.

    Attributes:
        accuracy: Of the training; its seconds are without the time that it rested for others.
        latency: Where it was wanted.
        cpu_seconds: Processor time of the training, over all threads and image-loading processes.
        memory_bytes: The most that the training held; see `_peak_memory`.
    """

    accuracy: Accuracy
    latency: Latency | None
    cpu_seconds: float
    memory_bytes: float = math.nan


def run_trial(job: Job, report: Report) -> Measured:
    """Measure and train one detector."""
    training = job.training
    latency = None
    if job.measure_latency:
        with report.alone(lambda what: report(Step(f"waiting for {what}", 0, 1))):
            report(Step("latency", 0, 1))
            torch.set_num_threads(job.latency_threads)
            latency = interleaved_latency(
                build(training.config, training.classes),
                build(job.timed_beside or training.base_config, training.classes),
                imgsz=training.schedule.imgsz,
                device=training.device.split(",")[0],
                max_seconds=job.latency_seconds,
            )
    cpu, rested = _cpu_seconds(), report.rested_seconds
    for lost in job.before:
        train_base(lost, report)
    accuracy = train_base(training, report)
    return Measured(
        accuracy=replace(accuracy, train_seconds=accuracy.train_seconds - (report.rested_seconds - rested)),
        latency=latency,
        cpu_seconds=_cpu_seconds() - cpu,
        memory_bytes=_peak_memory(training.device),
    )


def train_base(training: Training, report: Report) -> Accuracy:
    """Train alone, without measuring: the pretrained baseline, or a model of `clo train`.

    Raises:
        UserError: The data are no longer those that are meant; what was trained on them is worth nothing.
    """

    def step(done: int, total: int) -> None:
        report(Step("training", done, total, training.schedule.epochs, training.trained_epochs))
        if report.rest_is_due:
            if training.device != "cpu":
                torch.cuda.synchronize()  # a GPU still at work is not at rest
            report.rest()

    published = training.recipe is Recipe.PUBLISHED
    if published and "," in training.device:
        report.never_rests()  # the launcher's processes do not hear of it
    try:
        return (train_published if published else train)(training, step)
    finally:
        if training.data_fingerprint:  # whether it succeeded or failed may be the data's doing, not the candidate's
            require_unchanged(Path(training.data), training.data_fingerprint)


def trial_figures(measured: Measured, *, is_baseline: bool) -> dict[str, object]:
    """Return what a trial's row takes of its measurements."""
    return {
        **measured.accuracy.figures(),
        "image_influence": " ".join(f"{value:.5g}" for value in measured.accuracy.image_influence),
        "cpu_seconds": measured.cpu_seconds,
        **({} if math.isnan(measured.memory_bytes) else {"memory_bytes": measured.memory_bytes}),
        **(latency_figures(measured.latency, is_baseline) if measured.latency else {}),
    }


def keep_files(measured: Measured, folder: Path, identity: str, epochs: int, base_seed: int, seed: int) -> None:
    """Write a training's matches and curve into its study's folder, where it brought them along."""
    accuracy, key = measured.accuracy, (identity, epochs, base_seed, seed)
    if accuracy.matches is not None:
        write_matches(accuracy.matches, matches_path(folder / MATCHES, *key))
    if accuracy.curve is not None:
        write_curve(accuracy.curve, curve_path(folder / CURVES, *key))


def latency_figures(latency: Latency, is_baseline: bool) -> dict[str, float]:
    """Return the table's latency columns; the baseline against its own copy is 1 by definition."""
    ratio = (1.0, 1.0, 1.0) if is_baseline else (latency.ratio, *latency.ratio_ci95)
    return {
        "latency_ms_p50": latency.candidate.p50,
        "latency_ms_p90": latency.candidate.p90,
        "latency_ratio": ratio[0],
        "latency_ratio_low": ratio[1],
        "latency_ratio_high": ratio[2],
    }


def _cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def _peak_memory(device: str) -> float:
    """Return the most that this process held, in bytes: of the GPU what torch reserved there, else what was resident.

    Each training has a process of its own. NaN where several GPUs share one, whose launcher holds nothing itself.
    """
    if "," in device:
        return math.nan
    if device != "cpu":
        return float(torch.cuda.max_memory_reserved(int(device)))
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
