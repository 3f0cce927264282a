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
import traceback
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.fault_checks import ALL
from benchmarks.fault_checks.ground import Ground
from benchmarks.fault_checks.scenario import Scenario, Skipped, Tally, shares
from benchmarks.fault_checks.sheet import Sheet


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
        try:
            passed = campaign(wanted, Ground.make(folder), faults, seed)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        if not passed:
            raise typer.Exit(1)


def campaign(wanted: list[Scenario], ground: Ground, faults: int | None, seed: int) -> bool:
    """Run scenarios and print their table, whatever ends them; whether all passed."""
    sheet = Sheet(title=f"faults put in at random moments, seed {seed}")
    ground.run_undisturbed()
    sheet.say(f"undisturbed: {ground.trainings} trainings in {ground.seconds:.0f} s")
    try:
        for scenario, count in shares(wanted, faults):
            with sheet.row(scenario.name) as tally:
                play(scenario, ground, random.Random(f"{seed}-{scenario.name}"), count, tally)
    finally:
        sheet.print()
    return sheet.passed


def play(scenario: Scenario, ground: Ground, generator: random.Random, faults: int, tally: Tally) -> None:
    """Run a scenario; what breaks it is a problem of its own."""
    try:
        scenario.play(ground, generator, tally, faults)
    except Skipped as reason:
        tally.skipped = str(reason)
    except Exception as error:  # noqa: BLE001 - whatever breaks a scenario is its result; the others go on
        traceback.print_exc()
        tally.problems.append(f"{type(error).__name__}: {error}".splitlines()[0])
    finally:
        ground.end_all()


if __name__ == "__main__":
    typer.run(main)
