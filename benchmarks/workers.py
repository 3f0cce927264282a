"""How many trainings at once, with how many threads each? One table: images per second, all together.

Each cell trains YOLOv5n at 128 px for one epoch on the embedded data set, in as many processes as the row
says, and adds up what they do; validation is in the time, the start of the processes is not.

    python benchmarks/workers.py --workers 1,2,4 --threads 1,2
"""

from __future__ import annotations

import os
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from harness.common.isolation import cache_folder, isolate_ultralytics
from harness.data.check import check_dataset
from harness.detectors import resolve_base
from harness.jobs.executors import Children
from harness.jobs.trial import train_base
from harness.record.settings import SearchSettings
from harness.record.state import Failure
from harness.training.accuracy import Accuracy, Schedule, Training
from harness.training.child import Report


def train(training: Training, report: Report) -> tuple[Accuracy, int]:
    """Train; the peak of this process's memory in bytes comes along."""
    import resource

    accuracy = train_base(training, report)
    return accuracy, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(
    workers: Annotated[str, typer.Option(help="Trainings at once.")] = "1,2",
    threads: Annotated[str, typer.Option(help="CPU threads of each.")] = "1,2",
    repeats: Annotated[int, typer.Option(help="Times that each cell is measured, in turns; the best counts.")] = 2,
) -> None:
    """Measure throughput by workers and threads."""
    isolate_ultralytics()
    settings = SearchSettings()
    base = resolve_base(settings.base)
    data = check_dataset(settings.data, settings.imgsz, cache=cache_folder())
    cells = [(int(w), int(t)) for w in workers.split(",") for t in threads.split(",")]
    speeds: dict[tuple[int, int], list[float]] = {cell: [] for cell in cells}
    peak = 0
    for count, each in cells * repeats:
        training = Training(
            config=base.config,
            base_config=base.config,
            base_weights=None,
            layers={},
            data=str(data.path),
            classes=len(data.names),
            schedule=Schedule(epochs=1, batch=settings.batch, imgsz=settings.imgsz, learning_rate=1e-3),
            seed=0,
            device="cpu",
            threads=each,
        )
        with Children[int, tuple[Accuracy, int]]() as children:
            for key in range(count):
                children.start(key, train, training)
            results = [children.next()[1] for _ in range(count)]
        speed = 0.0
        for result in results:
            if isinstance(result, Failure):
                raise RuntimeError(result.reason)
            accuracy, memory = result
            speed += data.train_images / accuracy.train_seconds
            peak = max(peak, memory)
        speeds[count, each].append(speed)
    shown = Table("workers", "threads each", "images/s", "of the first")
    first = max(speeds[cells[0]])
    for cell in cells:
        shown.add_row(str(cell[0]), str(cell[1]), f"{max(speeds[cell]):.0f}", f"×{max(speeds[cell]) / first:.2f}")
    Console().print(shown)
    print(f"peak memory of one training {peak / 1e9:.2f} GB; load average now {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    typer.run(main)
