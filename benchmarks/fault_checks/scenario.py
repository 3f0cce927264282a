"""What a scenario is, what it finds, and the list of all: one more is one more decorated function."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.fault_checks.ground import Ground


class Skipped(Exception):  # noqa: N818 - says what it is
    """What a scenario needs isn't here; the message says what that is."""


@dataclass(kw_only=True)
class Tally:
    """What a scenario found, counted while it runs.

    Attributes:
        faults: Faults put in.
        restarts: Runs started after a fault.
        checked: Finished rows that a check looked at, each time it did.
        lost: Finished rows gone or changed after a fault or a restart.
        doubled: Trainings that finished twice.
        different: Finished rows that aren't those of the undisturbed run.
        left_behind: Processes, locks and half-written files that were there and shouldn't have been.
        problems: Whatever else was wrong, in sentences.
        notes: What a reader should know, in sentences.
        skipped: Why nothing was tried; empty where it was.
    """

    faults: int = 0
    restarts: int = 0
    checked: int = 0
    lost: int = 0
    doubled: int = 0
    different: int = 0
    left_behind: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    skipped: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing was wrong and something was tried."""
        wrong = self.lost or self.doubled or self.different or self.left_behind or self.problems
        return self.faults > 0 and self.checked > 0 and not wrong

    def counts(self) -> tuple[int, ...]:
        """What is counted, in the table's order."""
        return tuple(getattr(self, name) for name in _COUNTED)

    def add(self, other: Tally) -> None:
        """Add another's counts."""
        for name, count in zip(_COUNTED, other.counts(), strict=True):
            setattr(self, name, getattr(self, name) + count)

    def expect(self, condition: bool, sentence: str) -> None:
        """Note a problem unless something holds."""
        if not condition:
            self.problems.append(sentence)


_COUNTED = ("faults", "restarts", "checked", "lost", "doubled", "different", "left_behind")

Play = Callable[["Ground", random.Random, Tally, int], None]
"""Puts in a number of faults at random moments and checks after each; fills in the tally.

Raises:
    Skipped: It can't run here.
"""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A kind of fault.

    Attributes:
        name: Of the fault, for the table and `--only`.
        faults: How many a whole campaign puts in.
        play: Does it.
    """

    name: str
    faults: int
    play: Play


def until(tally: Tally, faults: int) -> Iterator[None]:
    """Again and again until a number of faults were met: a run may end before its moment has come.

    Raises:
        RuntimeError: Hardly any were met.
    """
    for _ in range(4 * faults + 8):
        if tally.faults >= faults:
            return
        yield
    raise RuntimeError(f"only {tally.faults} of {faults} faults met a running search")


_ALL: dict[str, Scenario] = {}


def scenario(name: str, *, faults: int) -> Callable[[Play], Play]:
    """Add a function to the campaign.

    Args:
        name: As in `Scenario`.
        faults: As in `Scenario`.
    """

    def add(play: Play) -> Play:
        if name in _ALL:
            raise ValueError(f"scenario {name!r} exists twice")
        _ALL[name] = Scenario(name=name, faults=faults, play=play)
        return play

    return add


def scenarios() -> dict[str, Scenario]:
    """All scenarios by name, in the order in which they were added."""
    return dict(_ALL)


def shares(wanted: Sequence[Scenario], faults: int | None) -> Iterator[tuple[Scenario, int]]:
    """Each scenario with its number of faults.

    Args:
        wanted: The scenarios.
        faults: How many in all, shared out in proportion, at least one each; None is each one's own number.
    """
    total = sum(each.faults for each in wanted)
    for each in wanted:
        yield each, each.faults if faults is None else max(1, round(each.faults * faults / total))
