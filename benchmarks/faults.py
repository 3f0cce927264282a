"""What does a search lose when something goes wrong under it? One table; the exit code is 1 if anything.

Faults are put in at random moments: kills, a full disk, a locked or damaged database, too little memory, data that
vanish. After each the search is started again; no finished trial may be lost or doubled, no process or lock left
behind, and the rows have to be those of a run that nothing disturbed, to the last digit.

    python benchmarks/faults.py
    python benchmarks/faults.py --only "kill -9 of the search" --faults 100 --seed 1
"""

from __future__ import annotations

import random
import tempfile
import time
import traceback
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.fault_checks import ALL
from benchmarks.fault_checks.ground import Ground
from benchmarks.fault_checks.scenario import Scenario, Skipped, Tally, shares

COLUMNS = ("faults", "restarts", "checked", "lost", "doubled", "different", "left behind")


def main(
    only: Annotated[list[str] | None, typer.Option(help="Run only this scenario. Repeatable.")] = None,
    faults: Annotated[int | None, typer.Option(help="Faults in all, shared out among the scenarios.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Of the moments at which faults are put in.")] = 0,
    keep: Annotated[Path | None, typer.Option(help="Empty folder for all files of it, what programs said too.")] = None,
) -> None:
    """Run the campaign and print its table."""
    if unknown := [name for name in only or [] if name not in ALL]:
        raise typer.BadParameter(f"no scenario {unknown[0]!r}; there are: {', '.join(ALL)}")
    wanted = [each for each in ALL.values() if each.name in (only or ALL)]
    with tempfile.TemporaryDirectory(prefix="clo-nas-faults-") as passing:
        folder = (keep or Path(passing)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        if not campaign(wanted, Ground.make(folder), faults, seed):
            raise typer.Exit(1)


def campaign(wanted: list[Scenario], ground: Ground, faults: int | None, seed: int) -> bool:
    """Run scenarios and print their table; whether all passed."""
    console = Console(width=130)
    began = time.monotonic()
    ground.run_undisturbed()
    console.print(f"undisturbed: {ground.trainings} trainings in {ground.seconds:.0f} s", highlight=False)
    table = Table("scenario", *COLUMNS, "seconds", "result", title=f"faults put in at random moments, seed {seed}")
    total, passed = Tally(), True
    for scenario, count in shares(wanted, faults):
        started = time.monotonic()
        tally, skipped = play(scenario, ground, random.Random(f"{seed}-{scenario.name}"), count)
        seconds = time.monotonic() - started
        result = f"skipped: {skipped}" if skipped else "pass" if tally.passed else "FAIL"
        passed &= bool(skipped) or tally.passed
        console.print(f"{scenario.name}: {result}, {seconds:.0f} s", highlight=False, markup=False)
        for sentence in [*tally.problems, *tally.notes]:
            console.print(f"  {sentence}", highlight=False, markup=False, soft_wrap=True)
        table.add_row(scenario.name, *map(str, tally.counts()), f"{seconds:.0f}", result)
        total.add(tally)
    seconds = time.monotonic() - began
    table.add_section()
    table.add_row("in all", *map(str, total.counts()), f"{seconds:.0f}", "pass" if passed else "FAIL")
    console.print(table)
    return passed


def play(scenario: Scenario, ground: Ground, generator: random.Random, faults: int) -> tuple[Tally, str]:
    """Run a scenario; what breaks it is a problem of its own.

    Returns:
        What it found, and why it was skipped if it was.
    """
    tally = Tally()
    try:
        scenario.play(ground, generator, tally, faults)
    except Skipped as reason:
        return tally, str(reason)
    except Exception as error:  # noqa: BLE001 - whatever breaks a scenario is its result; the others go on
        traceback.print_exc()
        tally.problems.append(f"{type(error).__name__}: {error}".splitlines()[0])
    finally:
        ground.end_all()
    return tally, ""


if __name__ == "__main__":
    typer.run(main)
