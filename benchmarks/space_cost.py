"""How many architectures a second the cost table gives parameters and MACs of, beside counting one by one.

python benchmarks/space_cost.py
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Annotated, TypeVar

import numpy as np
import typer

from harness.common.isolation import isolate_ultralytics
from harness.cost.space_cost import AdditiveCost, CostTable
from harness.detectors import find_sites, map_sizes, mode_channels, resolve_base
from harness.space import SearchSpace, load_space

SPACES = ("default", "inside", "operators")
ONE_BY_ONE = 2_000
Result = TypeVar("Result")
HEADS = ("space", "base", "architectures", "table, ms", "at once, /s", "with drawing, /s", "one by one, /s", "differ")


def measure(space_name: str, base_name: str, imgsz: int, count: int) -> list[str]:
    """One row of the table; `differ` counts architectures on which the two ways disagree."""
    base = resolve_base(base_name)
    sites = find_sites(base)
    space = SearchSpace(
        load_space(space_name), base=base_name, channels=mode_channels(sites), maps=map_sizes(sites, imgsz)
    )
    cost = AdditiveCost.of_base(base, sites, classes=None, imgsz=imgsz)
    _ = space.placements
    seconds, table = _timed(lambda: CostTable(space, cost))
    rng = np.random.default_rng(0)
    drawing, numbers = _timed(lambda: table.draw(count, rng))
    at_once, _ = _timed(lambda: table.of(numbers))
    draw = random.Random(0)
    few = [space.draw(draw) for _ in range(ONE_BY_ONE)]
    each, slowly = _timed(lambda: np.array([cost.of(architecture) for architecture in few]))
    quickly = table.of(np.stack([table.indices(architecture) for architecture in few]))
    rates = [count / at_once, count / (at_once + drawing), ONE_BY_ONE / each]
    differ = int((quickly != slowly).any(axis=1).sum())
    return [
        space_name,
        base_name,
        f"{space.size:,}",
        f"{seconds * 1e3:.0f}",
        *(f"{rate:,.0f}" for rate in rates),
        str(differ),
    ]


def main(
    base: Annotated[str, typer.Option(help="Detector.")] = "yolov5n",
    imgsz: Annotated[int, typer.Option(help="Side of the square input, in pixels.")] = 640,
    count: Annotated[int, typer.Option(help="Architectures at once.")] = 1_000_000,
) -> None:
    """Print the table."""
    isolate_ultralytics()
    print(" | ".join(HEADS))
    for space in SPACES:
        print(" | ".join(measure(space, base, imgsz, count)), flush=True)


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


if __name__ == "__main__":
    typer.run(main)
