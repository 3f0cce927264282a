"""Does clo-nas work on this CUDA GPU? One table, about ten minutes; the exit code is 1 if a check fails.

Blocks are compared with the CPU, under autocast and between memory layouts; a detector's latency with that of its
own copy; a small search and a training that lacks memory are run as a user would meet them; where there are two GPUs,
they train one model together. What each check found stands beside the limit that it had to keep to. Without a CUDA GPU
it says so and ends with exit code 0.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --only "blocks, float32"
"""

from __future__ import annotations

from functools import partial
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.gpu_checks.outcome import Check, Outcome, run_checks
from harness.common.isolation import isolate_ultralytics

DEVICE = "0"


def checks(device: str = DEVICE) -> dict[str, Check]:
    """All checks by name, the quick ones first."""
    from benchmarks.gpu_checks import blocks, detector, programs  # Ultralytics, once it is isolated

    made, place = blocks.modules(), f"cuda:{device}"
    return {
        "blocks, float32": partial(blocks.devices_agree, place, made),
        "blocks, bfloat16 autocast": partial(blocks.autocast_is_close, place, made, torch.bfloat16),
        "blocks, float16 autocast": partial(blocks.autocast_is_close, place, made, torch.float16),
        "blocks, channels_last": partial(blocks.layouts_agree, place, made),
        "latency A/A": partial(detector.latency_aa, device),
        "memory of training": partial(detector.training_memory, device, detector.CudaMeter()),
        "out of memory": partial(programs.out_of_memory, device),
        "a search": partial(programs.small_search, device),
    }


def main(
    only: Annotated[list[str] | None, typer.Option(help="Run only this check. Repeatable.")] = None,
) -> None:
    """Run the checks and print the table."""
    if not torch.cuda.is_available():
        print("skipped: PyTorch finds no CUDA GPU here")
        return
    isolate_ultralytics()
    known = checks()
    if unknown := [name for name in only or [] if name not in known]:
        raise typer.BadParameter(f"no check {unknown[0]!r}; there are: {', '.join(known)}")
    properties = torch.cuda.get_device_properties(int(DEVICE))
    title = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB; torch {torch.__version__}"
    if not report({name: check for name, check in known.items() if name in (only or known)}, title):
        raise typer.Exit(1)


def report(wanted: dict[str, Check], title: str) -> bool:
    """Run checks and print their table; whether all passed."""
    console = Console()
    found: dict[str, Outcome] = {}
    with console.status("checking; about ten minutes in all"):
        for name, outcome in run_checks(wanted):
            found[name] = outcome
            console.print(f"{name}: {'pass' if outcome.passed else 'FAIL'}", markup=False, highlight=False)
    table = Table("check", "measured", "limit", "result", title=title)
    for name, outcome in found.items():
        table.add_row(name, *map(_plain, (outcome.measured, outcome.limit)), "pass" if outcome.passed else "FAIL")
    console.print(table)
    return all(outcome.passed for outcome in found.values())


def _plain(text: str) -> str:
    """Square brackets are text here, not rich's markup."""
    return text.replace("[", r"\[")


if __name__ == "__main__":
    typer.run(main)
