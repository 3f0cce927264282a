"""Does the latency measurement find that a model is as fast as its own copy, on a machine that is busy?

Each run times a detector against a copy of itself while other processes spin. The true ratio is 1: the table
shows what is measured, and the summary how often the ratio is within 1 ± 0.02 and the 95 % interval holds 1.

    python benchmarks/latency_aa.py --runs 20 --busy 1
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from harness.detectors import load_model
from harness.isolation import isolate_ultralytics
from harness.measure.latency import Latency, interleaved_latency
from harness.measure.raw_samples import write_parquet

NEAR = 0.02


def main(
    model: Annotated[str, typer.Option(help="Detector.")] = "yolov5n",
    runs: Annotated[int, typer.Option(help="Measurements.", min=1)] = 20,
    imgsz: Annotated[int, typer.Option(help="Side of the square input, in pixels.")] = 128,
    threads: Annotated[int, typer.Option(help="CPU threads of the model.", min=1)] = 1,
    busy: Annotated[int, typer.Option(help="Processes that spin meanwhile.", min=0)] = 1,
    seconds: Annotated[float, typer.Option(help="Most seconds of one measurement.", min=0.1)] = 45.0,
    precision: Annotated[float, typer.Option(help="Stop once the interval is within ± this many percent.")] = 1.0,
    samples: Annotated[Path | None, typer.Option(help="Folder for the raw samples, one Parquet file a run.")] = None,
) -> None:
    """Print the table and the summary."""
    isolate_ultralytics()
    torch.set_num_threads(threads)
    detector = load_model(model)
    shown = Table("run", "ratio", "95 % interval", "p50 ms", "rounds", "stopped", "seconds", "load")
    measured = []
    with _spinning(busy):
        for run in range(runs):
            started = time.perf_counter()
            latency = interleaved_latency(
                detector,
                detector,
                imgsz=imgsz,
                target_half_width=precision / 100,
                max_seconds=seconds,
                seed=run,
            )
            measured.append(latency)
            if samples:
                write_parquet(latency, samples / f"run{run:02d}.parquet")
            shown.add_row(str(run + 1), *_row(latency), f"{time.perf_counter() - started:.1f}", _load())
    console = Console(width=120)
    console.print(shown)
    near = sum(abs(latency.ratio - 1) <= NEAR for latency in measured)
    hold = sum(low <= 1 <= high for low, high in (latency.ratio_ci95 for latency in measured))
    console.print(
        f"{model} against its copy at {imgsz} px, {threads} threads on {os.cpu_count()} cores, {busy} kept busy: "
        f"ratio within 1 ± {NEAR} in {near} of {runs}, interval holds 1 in {hold} of {runs}"
    )


def _row(latency: Latency) -> list[str]:
    low, high = latency.ratio_ci95
    interval = f"{low:.4f} to {high:.4f}"
    return [f"{latency.ratio:.4f}", interval, f"{latency.baseline.p50:.2f}", str(latency.rounds), str(latency.stopped)]


def _load() -> str:
    return f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "?"


@contextlib.contextmanager
def _spinning(count: int) -> Iterator[None]:
    """Keep so many cores busy; the processes are daemons, so they end with this one."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_spin, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _spin() -> None:
    while True:
        pass


if __name__ == "__main__":
    typer.run(main)
