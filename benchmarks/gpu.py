"""Does clo-nas work on this CUDA GPU, and how fast is a detector there? One table, the most telling checks first.

Blocks are compared with the CPU, under autocast and between memory layouts; a detector's latency with that of its
own copy, and with blocks by every engine that deploys it; a small search and a training that lacks memory are run as a
user would meet them. What each check found stands beside the limit that it had to keep to.

After `--minutes`, at Ctrl-C or when it is terminated the table has what was found by then. Any Python will do that has
torch and clo-nas's requirements: nothing is installed, and no network asked. The exit code is 1 if a check fails, 2
without a CUDA GPU, 130 if it was stopped.

    python benchmarks/gpu.py --minutes 6
    python benchmarks/gpu.py --only "blocks, float32"
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # where clo-nas is not installed
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))

import torch  # noqa: E402
import typer  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from benchmarks.gpu_checks.in_time import in_time  # noqa: E402
from benchmarks.gpu_checks.outcome import Check, Found, Outcome, run_checks  # noqa: E402
from harness.common.isolation import isolate_ultralytics  # noqa: E402

DEVICE = "0"


def checks(device: str = DEVICE) -> dict[str, Check]:
    """All checks by name, what one would miss most first."""
    from benchmarks.gpu_checks import blocks, detector, programs  # Ultralytics, once it is isolated

    made, place = blocks.modules(), f"cuda:{device}"
    return {
        "blocks, float32": partial(blocks.devices_agree, place, made),
        "blocks, bfloat16 autocast": partial(blocks.autocast_is_close, place, made, torch.bfloat16),
        **{f"latency, {mode}": partial(detector.latency_by, mode, device) for mode in detector.MODES},
        "latency A/A": partial(detector.latency_aa, device),
        "a search": partial(programs.small_search, device),
        "memory of training": partial(detector.training_memory, device, detector.CudaMeter()),
        "out of memory": partial(programs.out_of_memory, device),
        "blocks, float16 autocast": partial(blocks.autocast_is_close, place, made, torch.float16),
        "blocks, channels_last": partial(blocks.layouts_agree, place, made),
    }


def main(
    only: Annotated[list[str] | None, typer.Option(help="Run only this check. Repeatable.")] = None,
    minutes: Annotated[float, typer.Option(help="Most minutes; the table has what was found by then.", min=0.1)] = 10,
) -> None:
    """Run the checks and print the table."""
    if not torch.cuda.is_available():
        print("error: PyTorch finds no CUDA GPU here, and this checks nothing else", file=sys.stderr)
        raise typer.Exit(2)
    isolate_ultralytics()
    names = [*checks()]
    if unknown := [name for name in only or [] if name not in names]:
        raise typer.BadParameter(f"no check {unknown[0]!r}; there are: {', '.join(names)}")
    properties = torch.cuda.get_device_properties(int(DEVICE))
    title = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB; torch {torch.__version__}"
    wanted = [name for name in names if name in (only or names)]
    raise typer.Exit(report(in_time(_run, wanted, 60 * minutes), wanted, title))


def _run(names: Sequence[str]) -> Found:
    """Run checks by their names; in the child."""
    isolate_ultralytics()
    known = checks()
    return run_checks({name: known[name] for name in names})


def report(outcomes: Found, names: Sequence[str], title: str) -> int:
    """Print the table of what was found, however it ends; return the exit code."""
    console, found = Console(), dict[str, Outcome]()
    before, code = signal.signal(signal.SIGTERM, signal.default_int_handler), 0
    try:
        with console.status("checking"):
            for name, outcome in outcomes:
                found[name] = outcome
                console.print(f"{name}: {outcome.verdict}", markup=False, highlight=False)
    except KeyboardInterrupt:
        code = 130
    finally:
        signal.signal(signal.SIGTERM, before)
    table = Table("check", "measured", "limit", "result", title=title)
    for name in names:
        outcome = found.get(name, Outcome(measured="", limit="", passed=True, skipped="not finished"))
        table.add_row(name, *map(_plain, (outcome.measured, outcome.limit)), outcome.verdict)
    console.print(table)
    return code or (0 if all(outcome.passed for outcome in found.values()) else 1)


def _plain(text: str) -> str:
    """Square brackets are text here, not rich's markup."""
    return text.replace("[", r"\[")


if __name__ == "__main__":
    typer.run(main)
