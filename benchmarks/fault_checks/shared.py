"""Searches that share a study on a PostgreSQL server: some are killed, or the server is away; the others go on."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec

from benchmarks.fault_checks.ground import Ground
from benchmarks.fault_checks.program import Program
from benchmarks.fault_checks.rows import Row, runs_again
from benchmarks.fault_checks.scenario import Skipped, Tally, scenario, until
from benchmarks.fault_checks.watched import Watched
from benchmarks.postgres_server import PostgresServer, programs

SILENCE = "2s"
"""After so long the others take a worker for dead."""
WORKERS = (2, 3)
_LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
_PATIENCE = 5.0
"""Seconds within which the server notices that a client has died."""


@dataclass(kw_only=True)
class Shared(Watched):
    """A study in a database of its own.

    Attributes:
        server: Has the database.
    """

    server: PostgresServer

    def __post_init__(self) -> None:
        super().__post_init__()
        self.options = {"storage": self.server.database(self.name.replace("-", "_")), "worker-timeout": SILENCE}

    def check(self) -> list[Row]:
        """As any study's; no lock is held on the server either."""
        rows = super().check()
        deadline = time.monotonic() + _PATIENCE
        while (held := int(self.server.execute(_LOCKS))) and time.monotonic() < deadline:
            time.sleep(0.1)
        self.tally.left_behind += held
        self.tally.expect(not held, f"{self.name}: {held} advisory locks are held by nobody that lives")
        return rows

    def kill(self, workers: Sequence[Program]) -> bool:
        """Kill them at the same moment, unless a training would fail of it by design; whether it was done."""
        for worker in workers:
            worker.pause()  # it begins nothing between look and kill
        if runs_again(self.rows()) or not all(worker.runs() for worker in workers):
            for worker in workers:
                worker.go_on()
            return False
        for worker in workers:
            worker.kill()
        return True

    def expect_end(self, workers: Sequence[Program]) -> None:
        """All end by themselves, and all is done."""
        for worker in workers:
            code = worker.wait()
            self.tally.expect(code == 0, f"{self.name}: exit code {code}: {worker.said()[-300:]}")
        self.expect_whole(self.check())
        self.remove()


@contextmanager
def server() -> Iterator[PostgresServer]:
    """A server for a scenario.

    Raises:
        Skipped: There is none to be started, or nothing to talk to it with.
    """
    if find_spec("psycopg") is None:
        raise Skipped("needs psycopg: pip install 'clo-nas[postgres]'")
    if programs() is None:
        raise Skipped("needs a PostgreSQL server: apt-get install postgresql")
    with PostgresServer() as running:
        yield running


@scenario("kill -9 of a worker", faults=4)
def kill_worker(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """The others go on and train again what it was at; another one joins them, until it is its turn."""
    with server() as shared:
        for _ in until(tally, faults):
            study = Shared(ground=ground, tally=tally, server=shared)
            workers = [study.start() for _ in range(generator.choice(WORKERS))]
            while tally.faults < faults:
                victim = generator.choice(workers)
                if not victim.run_for(study.moment(generator)):
                    break
                if study.kill([victim]):
                    tally.faults += 1
                    study.look()
                    workers.remove(victim)
                    workers.append(study.start())
                    tally.restarts += 1
            study.expect_end(workers)


@scenario("kill -9 of all workers", faults=2)
def kill_all(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """One that is started later finds out that nobody is left, and does the rest."""
    with server() as shared:
        for _ in until(tally, faults):
            study = Shared(ground=ground, tally=tally, server=shared)
            workers = [study.start() for _ in range(generator.choice(WORKERS))]
            if workers[0].run_for(study.moment(generator)) and study.kill(workers):
                tally.faults += 1
                study.check()
                workers = [study.start()]
                tally.restarts += 1
            study.expect_end(workers)


@scenario("PostgreSQL stopped and started", faults=5)
def restarted(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """The search waits and goes on, whether the server said goodbye or not."""
    modes = itertools.cycle(["fast", "immediate"])

    def restart(shared: PostgresServer) -> None:
        shared.stop(next(modes))
        time.sleep(generator.uniform(0.2, 3.0))
        shared.start()

    _disturb(ground, generator, tally, faults, restart)


@scenario("PostgreSQL refuses writes", faults=3)
def refuses(ground: Ground, generator: random.Random, tally: Tally, faults: int) -> None:
    """As on a full disk, or while another server takes over: the search waits and goes on."""

    def refuse(shared: PostgresServer) -> None:
        shared.refuse_writes(refuse=True)
        time.sleep(generator.uniform(1.0, 4.0))
        shared.refuse_writes(refuse=False)

    _disturb(ground, generator, tally, faults, refuse)


def _disturb(
    ground: Ground, generator: random.Random, tally: Tally, faults: int, fault: Callable[[PostgresServer], None]
) -> None:
    """Again and again under one running search, which must come to its end by itself."""
    with server() as shared:
        for _ in until(tally, faults):
            study = Shared(ground=ground, tally=tally, server=shared)
            program = study.start()
            program.run_until(study.has_begun)
            while tally.faults < faults and program.run_for(generator.uniform(0.0, ground.seconds / 4)):
                fault(shared)
                tally.faults += 1
                study.look()
            study.expect_end([program])
