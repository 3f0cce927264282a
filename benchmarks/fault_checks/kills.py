"""Ends from outside: `kill -9` of the search, of a training; Ctrl-C once and twice."""

from __future__ import annotations

import random
import time

from benchmarks.fault_checks.again import again_and_again
from benchmarks.fault_checks.ground import Ground
from benchmarks.fault_checks.program import Program
from benchmarks.fault_checks.rows import FAILURES, INTERRUPTED
from benchmarks.fault_checks.scenario import Tally, scenario, until
from benchmarks.fault_checks.watched import STOPPED, Watched

SOON = 1.0
"""Times a whole run's seconds on this machine as loaded as it is: within that a search has ended after one Ctrl-C."""
AT_ONCE = 0.3
"""Within that after the second."""


@scenario("kill -9 of the search", faults=24)
def kill_search(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """The trial under way is lost and trained again; nothing else."""

    def strike(_study: Watched, program: Program) -> bool:
        program.kill()
        return True

    again_and_again(tally, generator, faults, lambda: Watched(ground=ground, tally=tally), strike)


@scenario("Ctrl-C", faults=4)
def ctrl_c(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """The search ends soon, with a report of what is done."""

    def strike(study: Watched, program: Program) -> bool:
        program.ctrl_c()
        _expect_end_within(study, program, SOON * ground.seconds)
        return True

    again_and_again(tally, generator, faults, lambda: Watched(ground=ground, tally=tally), strike)


@scenario("Ctrl-C twice", faults=4)
def ctrl_c_twice(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """The search ends at once."""

    def strike(study: Watched, program: Program) -> bool:
        program.ctrl_c()
        time.sleep(generator.uniform(0.05, 1.0))
        program.ctrl_c()
        _expect_end_within(study, program, AT_ONCE * ground.seconds)
        return True

    again_and_again(tally, generator, faults, lambda: Watched(ground=ground, tally=tally), strike)


def _expect_end_within(study: Watched, program: Program, seconds: float) -> None:
    began = time.monotonic()
    study.expect_refusal(program, code=STOPPED)
    took = time.monotonic() - began
    study.tally.expect(took < seconds, f"{study.name}: ended {took:.0f} s after Ctrl-C")


@scenario("kill -9 of a training", faults=3)
def kill_training(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """It can't be told from the system's own kill for want of memory: the trial is kept with that reason, as data.

    The first baseline's end ends the search, as nothing can be compared then; any is trained again at the next start.
    """
    for _ in until(tally, faults):
        study = Watched(ground=ground, tally=tally)
        program = study.start()
        if not (program.run_for(study.moment(generator)) and program.run_until(program.trains)):
            continue
        for training in program.trainings():
            training.kill()
        tally.faults += 1
        code = program.wait()
        rows = study.check()
        wrong = [row for row in rows if row.state in FAILURES]
        by_baseline = all(row.key[:2] == ("baseline", 1) for row in wrong)
        tally.expect(len(wrong) == 1, f"{study.name}: {len(wrong)} trials failed, not 1")
        tally.expect(all("signal 9" in row.content["reason"] for row in wrong), f"{study.name}: no word of the signal")
        tally.expect(
            code == (2 if wrong and by_baseline else 0), f"{study.name}: exit code {code}: {program.said()[-300:]}"
        )
        tally.expect(not any(row.state == INTERRUPTED for row in rows), f"{study.name}: another trial was interrupted")
        study.finish(failed=1)
        study.remove()
