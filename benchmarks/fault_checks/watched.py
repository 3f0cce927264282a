"""A study under faults: everything that finished is remembered and looked for after each fault and each restart."""

from __future__ import annotations

import itertools
import os
import random
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.fault_checks.ground import Ground, sqlite_url
from benchmarks.fault_checks.left_behind import half_written, held_locks, processes
from benchmarks.fault_checks.program import Program
from benchmarks.fault_checks.rows import FAILURES, Row, complete, different, doubled, lost, read_rows
from benchmarks.fault_checks.scenario import Tally

_numbers = itertools.count()
REFUSED, STOPPED = 2, 130
"""Exit codes: one sentence said why; Ctrl-C."""
_BY_SIGNAL = -2
"""What a shell shows as 130, too: Ctrl-C before the program had begun, or after it had done all."""


@dataclass(kw_only=True)
class Watched:
    """One study of a scenario.

    Attributes:
        ground: Where.
        tally: Takes what is found.
        name: The study's.
        results: Folder that holds the study's.
        options: What differs from the ground's options.
        finished: Rows that were seen finished.
    """

    ground: Ground
    tally: Tally
    name: str = ""
    results: Path = Path()
    options: Mapping[str, str] = field(default_factory=dict)
    finished: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = self.name or f"study-{os.getpid()}-{next(_numbers)}"  # another campaign may run beside this one
        if self.results == Path():
            self.results = self.ground.folder / "results"

    @property
    def folder(self) -> Path:
        """The study's own."""
        return self.results / self.name

    @property
    def database(self) -> Path:
        """Its storage, where none was named."""
        return self.folder / "study.db"

    @property
    def url(self) -> str:
        """SQLAlchemy's URL of its storage."""
        return self.options.get("storage", sqlite_url(self.results, self.name))

    def start(self, **options: str) -> Program:
        """Start or continue the search."""
        return self.ground.start(self.name, self.results, {**self.options, **options})

    def rows(self) -> list[Row]:
        """What storage has of it now."""
        is_there = self.database.is_file() or not self.url.startswith("sqlite")  # else reading would make a file
        return read_rows(self.url, self.name) if is_there else []

    def done(self) -> int:
        """How many trainings are finished."""
        return len(complete(self.rows()))

    def has_begun(self) -> bool:
        """Whether a training was begun."""
        return bool(self.rows())

    def expect_no_failure(self) -> None:
        """Nothing was held against a candidate."""
        wrong = [row.content["reason"] for row in self.rows() if row.state in FAILURES]
        self.tally.expect(not wrong, f"{self.name}: held against a candidate: {wrong}")

    def moment(self, generator: random.Random) -> float:
        """Seconds after its start at which a run still runs, by what is left to do."""
        left = 1 - len(self.finished) / self.ground.trainings
        fixed = min(4.0, self.ground.seconds / 3)
        return generator.uniform(0.0, fixed + left * (self.ground.seconds - fixed))

    def check(self) -> list[Row]:
        """Once all of it has ended: nothing lost, doubled, different or left behind.

        Returns:
            All rows.
        """
        alive = processes(self.name)
        for process in alive:
            self.tally.problems.append(f"{self.name}: process {process.pid} is left: {' '.join(process.cmdline())}")
            process.kill()
        locks = held_locks([self.folder, self.ground.cache])
        self.tally.problems += [f"{self.name}: {path} is still locked" for path in locks]
        self.tally.left_behind += len(alive) + len(locks)
        return self.look()

    def look(self) -> list[Row]:
        """Nothing is lost, doubled or different, while searches may still run.

        Returns:
            All rows.
        """
        rows = self.rows()
        now, gone, twice = complete(rows), lost(self.finished, rows), doubled(rows)
        strange = different(rows, self.ground.undisturbed)
        self.tally.problems += [f"{self.name}: {row.key} was finished and is lost" for row in gone]
        self.tally.problems += [f"{self.name}: {row.key} was finished twice" for row in twice]
        self.tally.problems += [f"{self.name}: {row.key} yields {row.figures}" for row in strange]
        self.tally.checked += len(now)
        self.tally.lost += len(gone)
        self.tally.doubled += len(twice)
        self.tally.different += len(strange)
        self.finished = now
        return rows

    def expect_refusal(self, program: Program, *words: str, code: int = REFUSED) -> None:
        """It ends, with one sentence that has certain words and without a traceback."""
        ended = program.wait()
        found = STOPPED if ended == _BY_SIGNAL else ended
        said = program.said()
        last = said.strip().splitlines()[-1] if said.strip() else "nothing"
        self.tally.expect(found == code, f"{self.name}: exit code {found}, not {code}; it said: {last}")
        self.tally.expect("Traceback" not in said, f"{self.name}: a traceback: {last}")
        if code == REFUSED:
            self.tally.expect(
                last.startswith("error: ") and any(word in last for word in words), f"{self.name}: it said: {last}"
            )

    def finish(self, failed: int = 0, **options: str) -> list[Row]:
        """Run it to its end: what isn't finished is failed with a reason, and nothing is half written.

        Args:
            failed: How many trainings of the first rung may have failed; what would have gone on from them isn't
                there.
            options: As in `start`.

        Returns:
            All rows.
        """
        program = self.start(**options)
        self.tally.restarts += 1
        code = program.wait()
        self.tally.expect(code == 0, f"{self.name}: exit code {code}: {program.said()[-300:]}")
        rows = self.check()
        self.expect_whole(rows, failed)
        return rows

    def expect_whole(self, rows: list[Row], failed: int = 0) -> None:
        """Every training of the undisturbed run is there, or has failed with its reason; nothing is half done."""
        there = {row.key for row in complete(rows)}
        wrong = {row.key: row for row in rows if row.state in FAILURES and row.key not in there}
        firsts = {key.architecture for key in wrong}
        missing = [k for k in self.ground.undisturbed if k not in there and k.architecture not in firsts]
        self.tally.lost += len(missing)
        self.tally.problems += [f"{self.name}: {key} was never finished" for key in missing]
        self.tally.expect(len(wrong) <= failed, f"{self.name}: failed: {[row.content for row in wrong.values()]}")
        for row in wrong.values():
            self.tally.expect(bool(row.content["reason"]), f"{self.name}: {row.key} failed without a reason")
            self.tally.expect("map50_95" not in row.content, f"{self.name}: {row.key} failed with a mAP")
        running = [row.number for row in rows if row.told == "RUNNING"]
        self.tally.expect(not running, f"{self.name}: Optuna takes trials {running} for running")
        halves = [path for path in half_written([self.folder, self.ground.cache]) if path.exists()]
        self.tally.left_behind += len(halves)
        self.tally.problems += [f"{self.name}: {path} is half written" for path in halves]

    def remove(self) -> None:
        """Make room; its output stays if something was wrong."""
        shutil.rmtree(self.folder, ignore_errors=True)
