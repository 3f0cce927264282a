"""How well the latency table foretells the latency of architectures that are really built and measured.

Each row is one random architecture of the space: its estimated ratio to the base, corrected by all the others,
beside the ratio measured end to end with its 95 % interval. Below: the errors, and how many estimates a second.

    python benchmarks/space_latency.py --threads 1
    OMP_WAIT_POLICY=passive GOMP_SPINCOUNT=0 python benchmarks/space_latency.py --clock cpu   # on a busy machine
    python benchmarks/space_latency.py --space inside --base yolov8n --imgsz 320

What was measured is kept; `CLO_NAS_CACHE=some/new/folder` measures anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import numpy as np
import torch
import typer

from harness.common.isolation import isolate_ultralytics
from harness.detectors import find_sites, map_sizes, mode_channels, resolve_base
from harness.latency.clocks import WallClock
from harness.latency.survey import Survey
from harness.latency.table import LatencyTable
from harness.space import SearchSpace, load_space

AT_ONCE = 1_000_000


class ClockName(StrEnum):
    """What a pass costs: the wall's time, or the processor's of all threads, which other programs disturb less."""

    WALL = "wall"
    CPU = "cpu"


class CpuClock(WallClock):
    """The processor's time of this process, all threads together."""

    def milliseconds(self, work: Callable[[], object]) -> float:
        """See `Clock.milliseconds`."""
        start = time.process_time_ns()
        work()
        return (time.process_time_ns() - start) / 1e6


def main(
    space: Annotated[str, typer.Option(help="Search space.")] = "default",
    base: Annotated[str, typer.Option(help="Detector.")] = "yolov5n",
    imgsz: Annotated[int, typer.Option(help="Side of the square input, in pixels.")] = 128,
    count: Annotated[int, typer.Option(help="Architectures to build and measure.")] = 24,
    threads: Annotated[int, typer.Option(help="Threads of torch's operators; 0: torch's default.")] = 1,
    clock: Annotated[
        ClockName, typer.Option(help="wall; or cpu: time of all threads, for a busy machine.")
    ] = ClockName.WALL,
    seconds: Annotated[float, typer.Option(help="About the most to time all blocks.")] = 60,
    seconds_each: Annotated[float, typer.Option(help="Most to measure one architecture.")] = 2,
) -> None:
    """Print the table."""
    isolate_ultralytics()
    if threads:
        torch.set_num_threads(threads)
    detector = resolve_base(base)
    sites = find_sites(detector)
    searched = SearchSpace(load_space(space), base=base, channels=mode_channels(sites), maps=map_sizes(sites, imgsz))
    phases: dict[str, float] = {}

    def note(phase: str, *_: int) -> None:
        phases.setdefault(phase, time.perf_counter())

    survey = Survey(
        space=searched,
        base=detector,
        sites=sites,
        imgsz=imgsz,
        clock=CpuClock() if clock is ClockName.CPU else None,
        architectures=count,
        max_seconds=seconds,
        seconds_each=seconds_each,
        on_progress=note,
    )
    measured = survey.run()
    ended = time.perf_counter()
    table = LatencyTable(searched, sites, measured)
    _print(table)
    starts = [*phases.values(), ended]
    for phase, start, end in zip(phases, starts, starts[1:], strict=False):
        print(f"{phase}: {end - start:.0f} s")
    numbers = table.draw(AT_ONCE, np.random.default_rng(0))
    start = time.perf_counter()
    table.of(numbers)
    print(f"estimates: {AT_ONCE / (time.perf_counter() - start):,.0f} a second, {AT_ONCE:,} at once")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, float32, {clock} time")


def _print(table: LatencyTable) -> None:
    print("estimated | measured [95 %] | error | architecture")
    found = table.calibration
    for each, estimated, error in zip(table.end_to_end, found.estimated, found.errors, strict=True):
        low, high = each.ratio_ci95
        shown = table.architecture(np.array(each.numbers)).describe()
        print(f"{estimated:.3f} | {each.ratio:.3f} [{low:.3f}, {high:.3f}] | {error:+.1%} | {shown}")
    (offset, factor), half = (
        found.fit,
        np.median([np.diff(each.ratio_ci95) / 2 / each.ratio for each in table.end_to_end]),
    )
    print(f"base {table.base_ms:.2f} ms; {len(found.measured)} architectures, measured to ±{half:.1%} (median)")
    print(f"estimated ratio: 1 {offset:+.3f} {factor:+.2f} × what the table adds")
    print(f"ratio: bias {found.bias:+.1%}, RMSE {found.rmse:.1%}, greatest error {found.max_error:.1%}")
    print(f"order: Kendall {found.kendall:.2f}, Spearman {found.spearman:.2f}")


if __name__ == "__main__":
    typer.run(main)
