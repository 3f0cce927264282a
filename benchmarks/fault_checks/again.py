"""One study under fault after fault, each at a random moment of what is left to do; then the next study.

The start of the program is most of what a fault costs, and a study that has been through many is the harder test.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from benchmarks.fault_checks.program import Program
from benchmarks.fault_checks.scenario import Tally, until
from benchmarks.fault_checks.watched import Watched

Make = Callable[[], Watched]
"""A study that has not begun."""
Strike = Callable[[Watched, Program], bool]
"""Puts in a fault and sees the program end; False where it ended by itself, untouched."""
Between = Callable[[Watched], None]
"""Something to do between two runs."""


def again_and_again(
    tally: Tally,
    generator: random.Random,
    faults: int,
    make: Make,
    strike: Strike,
    *,
    mend: Between = lambda _: None,
    damage: Between = lambda _: None,
) -> None:
    """Put in faults until there were enough, and let the last study come to its end.

    Args:
        tally: Takes what is found.
        generator: Draws the moments.
        faults: How many.
        make: Makes a study.
        strike: Puts in a fault.
        mend: Takes back what `strike` did to the surroundings, once all is checked.
        damage: Done before the next start, to what no running program holds.
    """
    study = make()
    program = study.start()
    for _ in until(tally, faults):
        if program.run_for(study.moment(generator)) and strike(study, program):
            tally.faults += 1
            study.check()
            mend(study)
            damage(study)
            tally.restarts += 1
        else:
            mend(study)
            _expect_whole_end(study, program)
            study = make()
        program = study.start()
    _expect_whole_end(study, program)


def _expect_whole_end(study: Watched, program: Program) -> None:
    code = program.wait()
    study.tally.expect(code == 0, f"{study.name}: exit code {code}: {program.said()[-300:]}")
    study.expect_whole(study.check())
    study.remove()
