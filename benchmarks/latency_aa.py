"""Does the latency measurement find that a model is as fast as its own copy, on a machine that is busy?

Each run times a detector against a copy of itself while other processes spin, with the number of threads that
`clo latency` would take just then. The true ratio is 1: the table shows what is measured, and the summary how often
the ratio is within 1 ± 0.02 and the 95 % interval holds 1. It ends within the minutes given, and so do the processes
that spin, whatever becomes of this one.

    python benchmarks/latency_aa.py --busy 1                             # 20 runs, 12 minutes at most
    python benchmarks/latency_aa.py --busy 1 --threads 2                 # as it was before threads were chosen
    python benchmarks/latency_aa.py --busy 1 --model yolov5n --imgsz 128
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from harness.common.isolation import isolate_ultralytics
from harness.detectors import load_model
from harness.latency.latency import Latency, interleaved_latency
from harness.latency.raw_samples import write_parquet
from harness.latency.threads import Threads, stable_threads

NEAR = 0.02
_GRACE_S = 60.0
"""How long the last run may go on after the minutes are over before the busy processes end by themselves."""
_FEWEST_SECONDS = 1.0
_MEASURING = 0.85
"""Share of a run that is measured; the rest prepares the models and chooses the threads."""


def main(
    model: Annotated[str, typer.Option(help="Detector.")] = "yolov8n",
    runs: Annotated[int, typer.Option(help="Measurements.", min=1)] = 20,
    imgsz: Annotated[int, typer.Option(help="Side of the square input, in pixels.")] = 320,
    threads: Annotated[
        int | None, typer.Option(help="CPU threads. \\[default: as `clo latency` chooses, anew for each run]", min=1)
    ] = None,
    busy: Annotated[int, typer.Option(help="Processes that spin meanwhile.", min=0)] = 1,
    seconds: Annotated[float, typer.Option(help="Most seconds of one measurement.", min=0.1)] = 45.0,
    minutes: Annotated[float, typer.Option(help="Most minutes of all; the later runs get less time.", min=0.1)] = 12.0,
    precision: Annotated[float, typer.Option(help="Stop once the interval is within ± this many percent.")] = 1.0,
    samples: Annotated[Path | None, typer.Option(help="Folder for the raw samples, one Parquet file a run.")] = None,
) -> None:
    """Print the table and the summary."""
    started = time.perf_counter()
    isolate_ultralytics()
    most_threads = torch.get_num_threads()
    detector = load_model(model)
    shown = Table("run", "threads", "ratio", "95 % interval", "p50 ms", "rounds", "stopped", "seconds", "load")
    console = Console(width=120)
    measured: list[Latency] = []
    with _spinning(busy, 60 * minutes + _GRACE_S):
        for run in range(runs):
            began = time.perf_counter()
            left = started + 60 * minutes - began
            taken = Threads(count=threads, reason="--threads") if threads else stable_threads(most_threads)
            torch.set_num_threads(taken.count)
            latency = interleaved_latency(
                detector,
                detector,
                imgsz=imgsz,
                target_half_width=precision / 100,
                max_seconds=max(_FEWEST_SECONDS, min(seconds, _MEASURING * left / (runs - run))),
                seed=run,
            )
            measured.append(latency)
            if samples:
                write_parquet(latency, samples / f"run{run:02d}.parquet")
            shown.add_row(str(run + 1), *_row(latency), f"{time.perf_counter() - began:.1f}", _load())
            print(f"run {run + 1} of {runs}: {latency.ratio:.4f}, {taken}", file=sys.stderr)
    console.print(shown)
    near = sum(abs(latency.ratio - 1) <= NEAR for latency in measured)
    hold = sum(low <= 1 <= high for low, high in (latency.ratio_ci95 for latency in measured))
    console.print(
        f"{model} against its copy at {imgsz} px, {_threads(measured)} on {os.cpu_count()} cores, {busy} kept busy: "
        f"ratio within 1 ± {NEAR} in {near} of {runs}, interval holds 1 in {hold} of {runs}; "
        f"{(time.perf_counter() - started) / 60:.1f} minutes"
    )


def _row(latency: Latency) -> list[str]:
    low, high = latency.ratio_ci95
    interval = f"{low:.4f} to {high:.4f}"
    return [
        str(latency.threads),
        f"{latency.ratio:.4f}",
        interval,
        f"{latency.baseline.p50:.2f}",
        str(latency.rounds),
        str(latency.stopped),
    ]


def _threads(measured: list[Latency]) -> str:
    counts = sorted(Counter(latency.threads for latency in measured).items())
    return ", ".join(f"{threads} {'thread' if threads == 1 else 'threads'} ({runs}×)" for threads, runs in counts)


def _load() -> str:
    return f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "?"


@contextlib.contextmanager
def _spinning(count: int, seconds: float) -> Iterator[None]:
    """Keep so many cores busy, at most so long, and not longer than this process lives."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_spin, args=(seconds, os.getpid()), daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _spin(seconds: float, parent: int) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and os.getppid() == parent:
        for _ in range(100_000):
            pass


if __name__ == "__main__":
    typer.run(main)
