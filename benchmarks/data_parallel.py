"""What does a second device do to a short training? Its speed and its mAP, on the CPU, one thread a process.

The same YOLOv5n (trained base weights), data, epochs, images a step and seeds, by one process and by several that share
every batch (`harness.measure.data_parallel`). On a CPU they talk over gloo; what NCCL does on GPUs is not measured.

    python benchmarks/data_parallel.py --epochs 3 --repeats 3 --processes 2
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from harness.isolation import isolate_ultralytics

BASE = "yolov5n"
IMGSZ, BATCH, LEARNING_RATE = 128, 16, 1e-3


def main(
    epochs: Annotated[int, typer.Option(help="Epochs of each training.", min=1)] = 3,
    repeats: Annotated[int, typer.Option(help="Turns; each has a seed of its own.", min=1)] = 3,
    processes: Annotated[int, typer.Option(help="Processes that share a training; they have to divide 16.", min=2)] = 2,
    base_epochs: Annotated[int, typer.Option(help="Epochs of the base that all start from.", min=1)] = 10,
) -> None:
    """Time one process and several, in turns."""
    isolate_ultralytics()
    from harness.search.executors import run_in_child, start_server
    from harness.search.outcome import Failure
    from harness.search.trial import train_base

    start_server()
    training, images = _training(epochs, base_epochs)
    rows: dict[int, list[tuple[float, float]]] = {1: [], processes: []}
    for seed in range(repeats):
        for count, found in rows.items():
            result = run_in_child(
                train_base, replace(training, seed=seed, device=",".join(["cpu"] * count), threads=count)
            )
            if isinstance(result, Failure):
                raise SystemExit(f"{count} process(es): {result.reason}")
            found.append((result.train_seconds, result.map50_95))
    table = Table("processes", "seconds", "images/s", "mAP50-95 by seed")
    for count, found in rows.items():
        seconds = float(np.mean([each[0] for each in found]))
        accuracies = ", ".join(f"{each[1]:.4f}" for each in found)
        table.add_row(str(count), f"{seconds:.1f}", f"{images * epochs / seconds:.0f}", accuracies)
    console = Console(width=120)
    console.print(f"{BASE}, {IMGSZ} px, {epochs} epochs, batch {BATCH}, one CPU thread a process")
    console.print(table)
    gaps = np.subtract(*([each[1] for each in found] for found in (rows[processes], rows[1])))
    console.print(f"mAP50-95: {processes} processes minus one, {gaps.mean():+.4f} (by seed {_listed(gaps)})")


def _listed(values: Any) -> str:
    return ", ".join(f"{value:+.4f}" for value in values)


def _training(epochs: int, base_epochs: int) -> tuple[Any, int]:
    """The training, and the images of an epoch; the base is trained first or comes from the cache."""
    from harness.data.check import check_dataset
    from harness.detectors import resolve_base
    from harness.isolation import cache_folder
    from harness.measure.accuracy import Schedule, Training
    from harness.search.base import base_schedule, common_base

    data = check_dataset("digits", IMGSZ, cache=cache_folder())
    base = resolve_base(BASE)
    schedule = Schedule(epochs=epochs, batch=BATCH, imgsz=IMGSZ, learning_rate=LEARNING_RATE)
    common = common_base(
        base, data, base_schedule(schedule, base_epochs), seed=0, device="cpu", threads=1, loader_workers=0,
        on_progress=lambda _: None,
    )  # fmt: skip
    training = Training(
        config=base.config, base_config=base.config, base_weights=common.weights,
        layers={i: i for i in range(len(base.config["backbone"]) + len(base.config["head"]))},
        data=str(data.path), classes=len(data.names), schedule=schedule, seed=0, device="cpu", threads=1,
    )  # fmt: skip
    return training, data.train_images


if __name__ == "__main__":
    typer.run(main)
