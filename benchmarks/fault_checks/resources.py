"""Too little of something: of disk, of memory."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil

from benchmarks.fault_checks.again import again_and_again
from benchmarks.fault_checks.ground import Ground
from benchmarks.fault_checks.program import Program
from benchmarks.fault_checks.rows import FAILURES
from benchmarks.fault_checks.scenario import Skipped, Tally, scenario, until
from benchmarks.fault_checks.watched import REFUSED, Watched

DISK_MIB = 128
"""Of the small disk: a study's database, checkpoints and report take half."""
MEMORY_MIB = (1, 60)
"""Address space that a training may take beyond its fork server's: more than nothing, less than it needs."""


@scenario("disk full", faults=3)
def disk_full(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """The disk of the results fills up under a running search; there is room again before the next start."""

    def strike(study: Watched, program: Program) -> bool:
        fill = Ballast(study.results / "ballast")
        program.run_until(fill.grow)
        fill.remove()
        code = program.wait()
        if code == REFUSED:
            study.expect_refusal(program, "make room", "No space left", "full", "on a disk with room")
        study.expect_no_failure()
        return code != 0

    with small_disk(ground.folder / "small disk") as disk:
        again_and_again(tally, generator, faults, lambda: Watched(ground=ground, tally=tally, results=disk), strike)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own.

    Raises:
        Skipped: It can't be mounted.
    """
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise Skipped("needs Linux's `mount`") from error
    if done.returncode:
        raise Skipped(f"needs the right to mount a small tmpfs ({done.stderr.strip()})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Ballast:
    """A file that takes all the room there is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab", buffering=0)

    def grow(self) -> bool:
        """Take what has become free; always False, to be waited for."""
        try:
            while True:
                self._file.write(bytes(2**16))
        except OSError:
            pass
        try:
            while True:
                self._file.write(bytes(2**9))
        except OSError:
            return False

    def remove(self) -> None:
        """Give all of it back."""
        self._file.close()
        self.path.unlink()


@scenario("out of memory", faults=1)
def out_of_memory(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """A training gets less address space than it needs: kept with that reason; the others aren't touched."""
    if not hasattr(psutil.Process, "rlimit"):
        raise Skipped("needs Linux's prlimit")
    for _ in until(tally, faults):
        study = Watched(ground=ground, tally=tally)
        program = study.start()
        if not (program.run_until(partial(_has_finished_one, study)) and program.run_for(study.moment(generator) / 2)):
            continue
        if not program.run_until(program.trains):
            continue
        server = program.fork_server()
        if server is None:
            continue
        _limit(server, server.memory_info().vms + generator.randint(*MEMORY_MIB) * 2**20)
        program.run_until(partial(_has_failed, study))
        if program.runs():
            _limit(server, psutil.RLIM_INFINITY)
        tally.expect(program.wait() == 0, f"{study.name}: exit code {program.wait()}: {program.said()[-300:]}")
        wrong = [row for row in study.check() if row.state in FAILURES]
        tally.faults += bool(wrong)
        tally.expect(
            all(row.state == "out_of_memory" for row in wrong), f"{study.name}: {[r.content['reason'] for r in wrong]}"
        )
        study.finish(failed=len(wrong))
        study.remove()


def _has_finished_one(study: Watched) -> bool:
    return study.done() > 0


def _has_failed(study: Watched) -> bool:
    return any(row.state in FAILURES for row in study.rows())


def _limit(process: psutil.Process, size: int) -> None:
    process.rlimit(psutil.RLIMIT_AS, (size, psutil.RLIM_INFINITY))
