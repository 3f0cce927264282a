"""How much faster is CloAttention than the published equations written down plainly? One table.

Each cell is plain time / our time (above 1: ours is faster) with its 95 % interval, from rounds in which the
two take turns, A B B A or B A A B at random, on the same input with the same weights. The plain version is the test
suite's transcription of the article (`tests/blocks/plain.py`) and gets the input in the same layout as ours. Forward
is in evaluation mode without gradients, as for latency; training is forward and backward with gradients of all
weights and of the input, as in the middle of a detector.

Maps are those of YOLO's scales n and s at strides 8, 16, 32: of a 640 px image at batch 1, and of a 128 px image
(the embedded data's size) at batch 1 forward and at batch 16 in training, as the search measures and trains them.

What is in reach: most of a forward pass are convolutions, which both versions leave to the same library. The last
column is plain time / the time of our convolutions alone, on the inputs that they get in a pass: no arrangement of
what is between them can do better.

    python benchmarks/clo_attention.py
    OMP_WAIT_POLICY=passive GOMP_SPINCOUNT=0 python benchmarks/clo_attention.py --clock cpu   # on a busy machine
    python benchmarks/clo_attention.py --only '128x40² 8 k5' --seconds 5
"""

from __future__ import annotations

import gc
import itertools
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from harness.blocks import CloAttention
from harness.latency.intervals import ratio_with_interval
from tests.blocks.plain import plain_attention

HEADS = 8
FEWEST_ROUNDS = 5
LAYOUTS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}
CEILING = "ceiling"
COLUMNS = [(mode, layout) for mode in ("forward", "training", CEILING) for layout in LAYOUTS]


@dataclass(frozen=True)
class Setting:
    """Heads of each local group and of the global branch, kernels of the groups, side of a window."""

    group_split: tuple[int, ...]
    kernel_sizes: tuple[int, ...]
    window_size: int

    def __str__(self) -> str:
        parts = [f"{heads} k{kernel}" for heads, kernel in zip(self.group_split, self.kernel_sizes, strict=False)]
        parts += [f"{self.group_split[-1]} global/{self.window_size}"] if self.group_split[-1] else []
        return " + ".join(parts)


@dataclass(frozen=True)
class Map:
    """Channels, side in pixels, and the batches at which it is met."""

    channels: int
    side: int
    batch: int
    training_batch: int

    def __str__(self) -> str:
        return f"{self.channels}x{self.side}²"


SETTINGS = [
    Setting((4, 4), (5,), 4),  # the article's
    *(Setting((8, 0), (kernel,), 1) for kernel in (3, 5, 7, 9)),
    Setting((2, 2, 4), (3, 5), 4),
    *(Setting((8,), (), window) for window in (1, 2, 4, 8)),
]
MAPS = [
    Map(width * factor, imgsz // stride, 1, training_batch)
    for imgsz, training_batch in ((640, 1), (128, 16))
    for width in (64, 128)
    for stride, factor in ((8, 1), (16, 2), (32, 4))
]


class Clock(StrEnum):
    """What a pass costs: the wall's time, or the processor's of all threads, which other programs disturb less."""

    WALL = "wall"
    CPU = "cpu"


def main(
    seconds: Annotated[float, typer.Option(help="Time limit of a cell; 5 rounds are measured whatever it is.")] = 1.5,
    only: Annotated[str, typer.Option(help="Regular expression that a row's name contains.")] = "",
    threads: Annotated[int, typer.Option(help="Threads of torch's operators; 0: torch's default.")] = 0,
    clock: Annotated[Clock, typer.Option(help="wall; or cpu: time of all threads, for a busy machine.")] = Clock.WALL,
    out: Annotated[Path | None, typer.Option(help="Also write the ratios as CSV.")] = None,
) -> None:
    """Time CloAttention beside the plain published equations."""
    if threads:
        torch.set_num_threads(threads)
    cases = [(m, s) for m, s in itertools.product(MAPS, SETTINGS) if re.search(only, f"{m} {s}")]
    rows = []
    for (size, setting), (mode, layout) in track(list(itertools.product(cases, COLUMNS)), "measuring"):
        low, ratio, high, ours = measure(size, setting, mode, layout, seconds, clock)
        rows.append({"map": size, "setting": setting, "mode": mode, "layout": layout, "ratio": ratio,
                     "low": low, "high": high, "ours_ms": ours})  # fmt: skip
    frame = pd.DataFrame(rows)
    if out:
        frame.to_csv(out, index=False)
    _print(frame, clock)


def measure(
    size: Map, setting: Setting, mode: str, layout: str, seconds: float, clock: Clock
) -> tuple[float, float, float, float]:
    """Ratio plain over ours (lower end, ratio, upper end) and our median time in ms."""
    training = mode == "training"  # the ceiling is that of a forward pass
    torch.manual_seed(0)
    module = CloAttention(size.channels, HEADS, setting.group_split, setting.kernel_sizes, setting.window_size)
    module.train(training)
    weights = {key: tensor.detach().clone() for key, tensor in module.official_tensors().items()}
    shape = (size.training_batch if training else size.batch, size.channels, size.side, size.side)
    x, gradient = (torch.randn(shape).contiguous(memory_format=LAYOUTS[layout]) for _ in range(2))

    def plain(x: Tensor) -> Tensor:
        return plain_attention(x, weights, setting.group_split, setting.kernel_sizes, setting.window_size)

    with torch.set_grad_enabled(training):
        torch.testing.assert_close(module(x), plain(x), atol=1e-4, rtol=1e-4)
        if mode == CEILING:
            return _rounds(lambda: plain(x), _convolutions_alone(module, x), seconds, clock)
        if not training:
            return _rounds(lambda: plain(x), lambda: module(x), seconds, clock)
    for tensor in (x, *weights.values()):
        tensor.requires_grad_()
    parameters = list(module.parameters())
    return _rounds(
        lambda: torch.autograd.grad(plain(x), [x, *weights.values()], gradient),
        lambda: torch.autograd.grad(module(x), [x, *parameters], gradient),
        seconds,
        clock,
    )


def _convolutions_alone(module: CloAttention, x: Tensor) -> Callable[[], object]:
    """A pass through the module's convolutions, each on the input that it gets in a real pass."""
    seen: list[tuple[torch.nn.Module, Tensor]] = []
    hooks = [
        layer.register_forward_pre_hook(lambda layer, inputs: seen.append((layer, inputs[0])))
        for layer in module.modules()
        if isinstance(layer, torch.nn.Conv2d)
    ]
    module(x)
    for hook in hooks:
        hook.remove()
    return lambda: [layer(given) for layer, given in seen]


def _rounds(
    plain: Callable[[], object], ours: Callable[[], object], seconds: float, clock: Clock
) -> tuple[float, float, float, float]:
    """Warm both up for a fifth of the time, then measure rounds, A B B A or B A A B at random."""
    gc.collect()
    gc.disable()
    start = time.perf_counter()
    while True:
        _milliseconds(plain, clock)
        _milliseconds(ours, clock)
        if time.perf_counter() - start > seconds / 5:
            break
    rng = np.random.default_rng(0)
    times: list[list[float]] = []
    while len(times) < FEWEST_ROUNDS or time.perf_counter() - start < seconds:
        first, other = (plain, ours) if rng.random() < 0.5 else (ours, plain)
        measured = [_milliseconds(run, clock) for run in (first, other, other, first)]
        times.append(measured if first is plain else [measured[place] for place in (1, 0, 3, 2)])
    gc.enable()
    rounds = np.array(times)
    return (*ratio_with_interval(rounds), float(np.median(rounds[:, 1:3])))


def _milliseconds(run: Callable[[], object], clock: Clock) -> float:
    now = time.perf_counter if clock is Clock.WALL else time.process_time
    start = now()
    run()
    return (now() - start) * 1e3


def _print(frame: pd.DataFrame, clock: Clock) -> None:
    shown = Table("map", "setting", *(f"{mode}, {layout}" for mode, layout in COLUMNS))
    for (size, setting), own in frame.groupby(["map", "setting"], sort=False):
        cells = own.set_index(["mode", "layout"]).loc[COLUMNS]
        shown.add_row(
            str(size), str(setting), *(f"{c.ratio:.2f} [{c.low:.2f}, {c.high:.2f}]" for c in cells.itertuples())
        )
    shown.add_section()
    by_column = frame.groupby(["mode", "layout"]).ratio
    for name, values in (("geometric mean", by_column.agg(_geometric_mean)), ("minimum", by_column.min())):
        shown.add_row(name, "", *(f"{values[column]:.2f}" for column in COLUMNS))
    console = Console(width=150)
    console.print(shown)
    for mode in ("forward", "training", CEILING):
        ratios: pd.Series = frame.ratio[frame["mode"] == mode]
        console.print(
            f"{mode}: geometric mean {_geometric_mean(ratios):.3f}, minimum {ratios.min():.3f}, {len(ratios)} cases"
        )
    console.print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, float32, CPU, {clock} time")


def _geometric_mean(ratios: pd.Series) -> float:
    return math.exp(float(np.log(ratios.to_numpy()).mean()))


if __name__ == "__main__":
    typer.run(main)
