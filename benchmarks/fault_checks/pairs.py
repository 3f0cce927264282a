"""Two searches that want the same study."""

from __future__ import annotations

import random

from benchmarks.fault_checks.ground import Ground
from benchmarks.fault_checks.scenario import Tally, scenario, until
from benchmarks.fault_checks.watched import REFUSED, Watched


@scenario("two searches on one study", faults=1)
def two_searches(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """The second is refused in a sentence; the first isn't touched."""
    for _ in until(tally, faults):
        study = Watched(ground=ground, tally=tally)
        first = study.start()
        if not first.run_for(study.moment(generator) / 2):
            continue
        second = study.start()
        codes = {program: program.wait() for program in (first, second)}
        refused = [program for program, code in codes.items() if code == REFUSED]
        if first.runs() or not refused:
            tally.problems.append(f"{study.name}: both ran: {list(codes.values())}")
        for program in refused:
            study.expect_refusal(program, "another clo search is running on it")
        tally.expect(sorted(codes.values()) == [0, REFUSED], f"{study.name}: exit codes {list(codes.values())}")
        tally.faults += 1
        study.expect_whole(study.check())
        study.finish()
        study.remove()
