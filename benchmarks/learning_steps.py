"""How many optimiser steps does an inserted block need until a planted effect shows? A file of trainings, and a table.

Each cell changes one factor of the training. A training is a row of a CSV that is appended when it ends, so that the
study resumes; cells and seeds may be added at any time. A planted effect "shows" where a seed's gain over the baseline
under the same seed and schedule is at least 80 % of what the block gains once it has learnt.

    python benchmarks/learning_steps.py run --task beacon --cells "scale 0;scale 1" --epochs 3 --seeds 10
    python benchmarks/learning_steps.py table
"""

from __future__ import annotations

import csv
import multiprocessing
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import nan
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from harness.architecture import Architecture, Kind, LocalGroup, Placement
from harness.common.isolation import cache_folder, isolate_ultralytics

FILE = Path("results/reference/learning-steps.csv")
COLUMNS = ("task", "base", "cell", "placement", "batch", "epochs", "steps", "seed", "map50_95", "seconds")
SHOWS = 0.8
"""Share of the whole effect from which it shows."""
BASE_EPOCHS: Mapping[str, int] = {"nearsighted": 8, "yolov5n": 20}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """How a training differs from a search's.

    Attributes:
        layer_scale: What the layer scales of inserted blocks start at.
        multiplier: Learning-rate multiplier of inserted blocks.
        warmup: Share of the steps in which the rate rises.
        rate: Peak rate of the base's weights.
        final_rate: Rate in the last step over the peak.
        zero_projection: Whether the last projection of each branch starts at zero, in the place of the layer scale.
        norm: `map` normalises over channels and pixels, as published; `pixel` over the channels of each pixel.
    """

    layer_scale: float = 0.0
    multiplier: float = 5.0
    warmup: float = 0.05
    rate: float = 1e-3
    final_rate: float = 0.01
    zero_projection: bool = False
    norm: str = "map"


CELLS: Mapping[str, Cell] = {
    "scale 0": Cell(),
    "multiplier 1": Cell(multiplier=1),
    "multiplier 2": Cell(multiplier=2),
    "multiplier 10": Cell(multiplier=10),
    "scale 0.1": Cell(layer_scale=0.1),
    "scale 0.3": Cell(layer_scale=0.3),
    "scale 1": Cell(layer_scale=1.0),
    "scale 0.3, multiplier 2": Cell(layer_scale=0.3, multiplier=2),
    "scale 0.3, multiplier 10": Cell(layer_scale=0.3, multiplier=10),
    "scale 1, multiplier 2": Cell(layer_scale=1.0, multiplier=2),
    "scale 1, multiplier 10": Cell(layer_scale=1.0, multiplier=10),
    "scale 1, pixel norm": Cell(layer_scale=1.0, norm="pixel"),
    "scale 1, warm-up 0.2": Cell(layer_scale=1.0, warmup=0.2),
    "scale 1, constant rate": Cell(layer_scale=1.0, final_rate=1.0),
    "zero projection": Cell(layer_scale=1.0, zero_projection=True),
    "zero projection, multiplier 10": Cell(layer_scale=1.0, zero_projection=True, multiplier=10),
    "scale 0.3, warm-up 0.2": Cell(layer_scale=0.3, warmup=0.2),
    "scale 0.3, pixel norm": Cell(layer_scale=0.3, norm="pixel"),
    "scale 0.3, constant rate": Cell(layer_scale=0.3, final_rate=1.0),
    "pixel norm": Cell(norm="pixel"),
    "warm-up 0.2": Cell(warmup=0.2),
}
"""Name to cell: one factor at a time, from what a search does and from the start that learns."""


def _clo(site: str, *, local: int = 0, kernel: int = 3, others: int = 0, pool: int = 1) -> Placement:
    groups = (LocalGroup(kernel, local),) if local else ()
    return Placement(site=site, kind=Kind.ATTENTION, groups=groups, global_heads=others, kv_pool=pool)


PLACEMENTS: Mapping[str, tuple[Placement, ...]] = {
    "none": (),
    "P3 global pool 1": (_clo("backbone.P3", others=4),),
    "P3 global pool 2": (_clo("backbone.P3", others=4, pool=2),),
    "P3 global pool 8": (_clo("backbone.P3", others=4, pool=8),),
    "P3 half pool 4": (_clo("backbone.P3", local=2, others=2, pool=4),),
    **{f"P3 local k{kernel}": (_clo("backbone.P3", local=4, kernel=kernel),) for kernel in (3, 5, 7, 9)},
    "neck.P3 global pool 1": (_clo("neck.P3", others=4),),
    "P2 local k3": (_clo("backbone.P2", local=4),),
    "neck.P3 and backbone.P4": (_clo("neck.P3", local=2, kernel=5, others=2), _clo("backbone.P4", local=2, others=2)),
}


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training."""

    task: str
    base: str
    cell: str
    placement: str
    batch: int
    epochs: int
    seed: int

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from the others, as in the file."""
        return tuple(map(str, (self.task, self.base, self.cell, self.placement, self.batch, self.epochs, self.seed)))


def main_run(
    task: Annotated[str, typer.Option(help="Data set.")] = "beacon",
    base: Annotated[str, typer.Option(help="Detector.")] = "nearsighted",
    cells: Annotated[str, typer.Option(help="Names of cells, separated by semicolons; all of them by default.")] = "",
    placements: Annotated[str, typer.Option(help="Names, separated by semicolons.")] = "none;P3 global pool 1",
    epochs: Annotated[str, typer.Option(help="Lengths of trainings, separated by commas.")] = "3",
    batch: Annotated[int, typer.Option(help="Images a step.")] = 16,
    seeds: Annotated[int, typer.Option(help="Seeds of each cell, from 0.")] = 10,
    jobs: Annotated[int, typer.Option(help="Processes of one thread each.")] = 2,
    file: Annotated[Path, typer.Option(help="Where the trainings are kept.")] = FILE,
) -> None:
    """Train what the file does not have yet, seed by seed, so that whenever it stops all cells have as many."""
    wanted = [each.strip() for each in cells.split(";") if each.strip()] or [*CELLS]
    todo = [
        Job(task=task, base=base, cell=cell, placement=placement, batch=batch, epochs=int(length), seed=seed)
        for seed, length, cell, placement in product(
            range(seeds), epochs.split(","), wanted, [each.strip() for each in placements.split(";")]
        )
        if placement != "none" or cell in _CONTROLS
    ]
    done = {(*row[:6], row[7]) for row in _rows(file)}
    todo = [job for job in todo if job.key not in done]
    file.parent.mkdir(parents=True, exist_ok=True)
    if todo:
        _prepared(todo[0])  # the base is trained once, before the processes begin
    context = multiprocessing.get_context("spawn")
    with context.Pool(jobs, maxtasksperchild=1) as pool:
        for number, row in enumerate(pool.imap_unordered(_train, todo), 1):
            is_new = not file.exists()
            with file.open("a", newline="", encoding="utf-8") as stream:
                writer = csv.writer(stream, lineterminator="\n")
                if is_new:
                    writer.writerow(COLUMNS)
                writer.writerow(row)
            print(f"{number} of {len(todo)}:", *row, flush=True)


_CONTROLS = {"scale 0", "scale 0.3, warm-up 0.2", "scale 0.3, constant rate", "warm-up 0.2"}
"""Cells whose baseline is trained otherwise than today's: nothing inserted, no layer scale, no multiplier."""


def _rows(file: Path) -> Iterator[tuple[str, ...]]:
    if file.exists():
        with file.open(newline="", encoding="utf-8") as stream:
            yield from map(tuple, list(csv.reader(stream))[1:])


def _prepared(job: Job):  # type: ignore[no-untyped-def]  # a tuple of what a training needs
    from harness.data.check import check_dataset
    from harness.detectors import find_sites, resolve_base
    from harness.jobs.base import base_schedule, common_base
    from harness.jobs.place import find_place
    from harness.jobs.setting import Prepared
    from harness.training.accuracy import Schedule
    from harness.training.torchvision_compat import ensure_torchvision

    isolate_ultralytics()
    ensure_torchvision()
    cell = CELLS[job.cell]
    base = resolve_base(job.base)
    data = check_dataset(job.task, 128, cache=cache_folder())
    schedule = Schedule(
        epochs=job.epochs,
        batch=job.batch,
        imgsz=128,
        learning_rate=cell.rate,
        block_rate_factor=cell.multiplier,
        warmup=cell.warmup,
        final_rate=cell.final_rate,
    )
    of_base = base_schedule(Schedule(epochs=1, batch=16, imgsz=128, learning_rate=1e-3), BASE_EPOCHS.get(job.base, 20))
    place = find_place(device="cpu", workers=1, threads=1)
    prepared = Prepared(**vars(place), base=base, sites=find_sites(base), data=data)
    found = common_base(prepared, of_base, seed=0, loader_workers=0, results=Path())
    return base, prepared.sites, data, schedule, found


def _train(job: Job) -> tuple[object, ...]:
    from harness.blocks import block
    from harness.detectors import index_map, insert
    from harness.training.accuracy import Training, train

    base, sites, data, schedule, found = _prepared(job)
    cell = CELLS[job.cell]
    block.LAYER_SCALES = {"identity": cell.layer_scale}
    if cell.norm == "pixel":
        block._normalised = _pixelwise
    if cell.zero_projection:
        _with_zero_projections(block.CloBlock)
    architecture = Architecture(base=base.name, placements=PLACEMENTS[job.placement])
    started = time.process_time()
    result = train(
        Training(
            config=insert(base, architecture, sites=sites, classes=len(data.names)),
            base_config=base.config,
            base_weights=found.weights,
            layers=index_map(base, architecture, sites),
            data=str(data.path),
            data_fingerprint=data.fingerprint,
            classes=len(data.names),
            schedule=schedule,
            seed=job.seed,
            device="cpu",
            threads=1,
        )
    )
    steps = job.epochs * -(-data.train_images // job.batch)
    return (*job.key[:6], steps, job.seed, f"{result.map50_95:.4f}", f"{time.process_time() - started:.1f}")


def _with_zero_projections(clo_block):  # type: ignore[no-untyped-def]
    from torch import nn

    made = clo_block.__init__

    def init(self, *arguments, **options):  # type: ignore[no-untyped-def]
        made(self, *arguments, **options)
        for last in (self.attn.project_out, *([[*self.mlp.modules()][-1]] if self.mlp is not None else [])):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    clo_block.__init__ = init


def _pixelwise(x, norm):  # type: ignore[no-untyped-def]  # stands for `block._normalised`
    return norm(x.movedim(1, -1).reshape(-1, x.shape[1], 1)).reshape(*x.movedim(1, -1).shape).movedim(-1, 1)


def main_table(
    file: Annotated[Path, typer.Option(help="Where the trainings are kept.")] = FILE,
    effect: Annotated[float, typer.Option(help="The whole effect, in mAP50-95.")] = 0.72,
) -> None:
    """Print each cell's gains and how many seeds show the effect, as Markdown.

    A gain is over the baseline of the same cell, seed and length; where it was not trained, over the mean baseline of
    that task and base, since a baseline at chance hardly varies.
    """
    rows = pd.read_csv(file)
    bare, with_block = (rows[(rows.placement == "none") == is_bare] for is_bare in (True, False))
    own = bare.drop_duplicates(_PAIR, keep="last").set_index(_PAIR).map50_95
    today = bare[bare.cell == "scale 0"].drop_duplicates(_PAIR).set_index(_PAIR[1:]).map50_95
    mean = bare.groupby(["task", "base"]).map50_95.mean()
    print("| task | start | placement | steps × batch | seeds | show | mean gain | sd | gains |")
    print("|---|---|---|---|---:|---:|---:|---:|---|")
    for (task, base, cell, placement, steps, batch), found in with_block.groupby(
        ["task", "base", "cell", "placement", "steps", "batch"], sort=False
    ):
        gains = pd.Series(
            [
                row.map50_95
                - next(value for value in (*_known(own, key), *_known(today, key[1:]), mean.get((task, base), nan)))
                for row in found.sort_values("seed").itertuples()
                if (key := tuple(getattr(row, name) for name in _PAIR))
            ]
        )
        digits = 3 if gains.abs().max() > 0.05 else 4
        shown = int((gains >= SHOWS * effect).sum())
        listed = " ".join(f"{gain:+.{digits}f}" for gain in gains)
        print(
            f"| {task} | {cell} | {placement} | {steps} × {batch} | {len(gains)} | {shown} "
            f"| {gains.mean():+.{digits}f} | {gains.std():.4f} | {listed} |"
        )


_PAIR = ["cell", "task", "base", "batch", "epochs", "seed"]
"""Columns that tell one baseline from another."""


def _known(values, key):  # type: ignore[no-untyped-def]
    return (values[key],) if key in values.index else ()


def main() -> None:
    """Run, or print the table."""
    app = typer.Typer(add_completion=False)
    app.command("run")(main_run)
    app.command("table")(main_table)
    app()


if __name__ == "__main__":
    main()
