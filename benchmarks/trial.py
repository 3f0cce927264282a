"""What does one training of a search cost beside the stock trainer? Two tables: speed with mAP, and where time goes.

The same YOLOv8n (trained base weights), data, epochs, images a batch, optimiser, rates, augmentation and seeds; the two
take turns. Stock is `YOLO(base).train(…)` in a process of its own, as `yolo train` is; ours is a training as a search
runs it, in a child of the fork server. What stock does besides: a validation each epoch and one at the end, plots,
checkpoints, label statistics.

    python benchmarks/trial.py --epochs 3 --repeats 3 --threads 1
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from harness.common.isolation import isolate_ultralytics

BASE = "yolov8n"
IMGSZ, BATCH, LEARNING_RATE = 128, 16, 1e-3


def main(
    epochs: Annotated[int, typer.Option(help="Epochs of each training.", min=1)] = 3,
    repeats: Annotated[int, typer.Option(help="Turns; each has a seed of its own.", min=1)] = 3,
    threads: Annotated[int, typer.Option(help="CPU threads of each training.", min=1)] = 1,
    base_epochs: Annotated[int, typer.Option(help="Epochs of the base that both start from.", min=1)] = 10,
    stock: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Time the harness's trainer against Ultralytics' own, in turns."""
    isolate_ultralytics()
    if stock:
        _train_stock(json.loads(stock))
        return
    from harness.jobs.executors import start_server
    from harness.jobs.place import find_place
    from harness.record.state import Failure

    start_server()
    place, training = find_place(device="cpu", workers=1, threads=threads), _base_training(threads, base_epochs)
    rows: dict[str, list[dict[str, float]]] = {"stock": [], "harness": []}
    for seed in range(repeats):
        one = {**training, "seed": seed, "epochs": epochs}
        rows["stock"].append(_stock(one))
        started = time.perf_counter()
        result = place.run_alone(_train_harness, one)
        if isinstance(result, Failure):
            raise SystemExit(f"harness: {result.reason}")
        rows["harness"].append({**result, "seconds": time.perf_counter() - started})
    _print(rows, epochs, threads)


def _print(rows: dict[str, list[dict[str, float]]], epochs: int, threads: int) -> None:
    columns = {name: {key: np.array([row[key] for row in own]) for key in own[0]} for name, own in rows.items()}
    table = Table("trainer", "seconds", "forward + backward, s", "the rest, s", "the rest, %", "mAP50-95 by seed")
    for name, own in columns.items():
        seconds, passes = own["seconds"].mean(), own["passes"].mean()
        accuracies = ", ".join(f"{value:.4f}" for value in own["map50_95"])
        rest = seconds - passes
        table.add_row(
            name, f"{seconds:.1f}", f"{passes:.1f}", f"{rest:.1f}", f"{rest / seconds:.0%}", accuracies
        )  # fmt: skip
    console = Console(width=140)
    console.print(f"{BASE}, {IMGSZ} px, {epochs} epochs, {threads} CPU thread(s), {len(rows['stock'])} turns")
    console.print(table)
    ratios = columns["stock"]["seconds"] / columns["harness"]["seconds"]
    gap = columns["harness"]["map50_95"] - columns["stock"]["map50_95"]
    spread = columns["stock"]["map50_95"].std(ddof=1) if len(gap) > 1 else float("nan")
    console.print(
        f"speed: {np.median(ratios):.2f} x stock (least {ratios.min():.2f}); mAP50-95: harness minus stock "
        f"{gap.mean():+.4f}; standard deviation of stock over seeds {spread:.4f}"
    )


def _base_training(threads: int, base_epochs: int) -> dict[str, Any]:
    """The base, trained or from the cache."""
    from harness.common.isolation import cache_folder
    from harness.data.check import check_dataset
    from harness.detectors import resolve_base
    from harness.jobs.base import base_schedule, common_base
    from harness.jobs.place import find_place
    from harness.jobs.setting import Prepared
    from harness.training.accuracy import Schedule

    data = check_dataset("digits", IMGSZ, cache=cache_folder())
    schedule = Schedule(epochs=1, batch=BATCH, imgsz=IMGSZ, learning_rate=LEARNING_RATE)
    place = find_place(device="cpu", workers=1, threads=threads)
    prepared = Prepared(**vars(place), base=resolve_base(BASE), sites={}, data=data)
    common = common_base(prepared, base_schedule(schedule, base_epochs), seed=0, loader_workers=0, results=Path())
    return {"weights": str(common.weights), "data": str(data.path), "classes": len(data.names), "threads": threads}


def _train_harness(one: dict[str, Any], report: Callable[[Any], None]) -> dict[str, float]:
    """In a child of the fork server."""
    from harness.detectors import resolve_base
    from harness.training.accuracy import Schedule, Training, train

    config = resolve_base(BASE).config
    schedule = Schedule(epochs=one["epochs"], batch=BATCH, imgsz=IMGSZ, learning_rate=LEARNING_RATE)
    with _timed_passes() as passes:
        accuracy = train(
            Training(
                config=config,
                base_config=config,
                base_weights=Path(one["weights"]),
                layers={i: i for i in range(len(config["backbone"]) + len(config["head"]))},
                data=one["data"],
                classes=one["classes"],
                schedule=schedule,
                seed=one["seed"],
                device="cpu",
                threads=one["threads"],
            ),
            lambda done, total: report((done, total)),
        )
    return {"passes": sum(passes), "map50_95": accuracy.map50_95}


def _stock(one: dict[str, Any]) -> dict[str, float]:
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, __file__, "--stock", json.dumps(one)], capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"stock: {done.stderr[-2000:]}")
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return {**result, "seconds": seconds}


def _train_stock(one: dict[str, Any]) -> None:
    """In a process of its own; the last line of its output is the result."""
    import torch
    from ultralytics import YOLO

    from harness.training.accuracy import _AUGMENTATION
    from harness.training.torchvision_compat import ensure_torchvision

    torch.set_num_threads(one["threads"])
    ensure_torchvision()
    with tempfile.TemporaryDirectory() as folder, _timed_passes() as passes:
        metrics = YOLO(one["weights"]).train(
            data=one["data"], imgsz=IMGSZ, epochs=one["epochs"], batch=BATCH, nbs=BATCH, seed=one["seed"], device="cpu",
            workers=0, optimizer="AdamW", lr0=LEARNING_RATE, lrf=0.01, momentum=0.9, weight_decay=5e-4, cos_lr=True,
            warmup_epochs=0, close_mosaic=0, amp=False, project=folder, **_AUGMENTATION,
        )  # fmt: skip
    print(json.dumps({"passes": sum(passes), "map50_95": float(metrics.box.map)}))


@contextmanager
def _timed_passes() -> Iterator[list[float]]:
    """Seconds of every forward pass with loss and every backward pass of a training."""
    import torch
    from ultralytics.nn.tasks import BaseModel

    seconds: list[float] = []
    forward, backward = BaseModel.forward, torch.Tensor.backward

    def timed_forward(self: Any, x: Any, *arguments: Any, **options: Any) -> Any:
        started = time.perf_counter()
        result = forward(self, x, *arguments, **options)
        if self.training and isinstance(x, dict):  # a batch with its labels; validation is not counted
            seconds.append(time.perf_counter() - started)
        return result

    def timed_backward(self: Any, *arguments: Any, **options: Any) -> None:
        started = time.perf_counter()
        backward(self, *arguments, **options)
        seconds.append(time.perf_counter() - started)

    BaseModel.forward, torch.Tensor.backward = timed_forward, timed_backward  # type: ignore[method-assign]
    try:
        yield seconds
    finally:
        BaseModel.forward, torch.Tensor.backward = forward, backward  # type: ignore[method-assign]


if __name__ == "__main__":
    typer.run(main)
