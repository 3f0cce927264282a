"""What is trained, and what is there in the end, where a stored study is gone on with."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tests.characterisation import make_studies
from tests.characterisation.compared import stored, table
from tests.characterisation.places import bring_study

COLUMNS = ("architecture", "epochs", "base_seed", "seed", "state", "map50_95", "map50", "gain_map50_95", "selected_on",
           "latency_ratio", "params")  # fmt: skip
"""What is compared of a row: all but times and numbers of trials."""
KEY = ("architecture", "epochs", "base_seed", "seed")


class Went(NamedTuple):
    """A study before and after it was gone on with.

    Attributes:
        before: Rows of its table of trainings.
        after: The same at the end.
        asked: How many trainings were begun.
    """

    before: list[dict[str, Any]]
    after: list[dict[str, Any]]
    asked: int

    @property
    def end(self) -> dict[str, Any]:
        """What is compared: the settled rows, in an order of their own."""
        kept = [[row[name] for name in COLUMNS] for row in self.after if row["state"] != "interrupted"]
        return {"columns": list(COLUMNS), "rows": sorted(kept, key=lambda row: [str(each) for each in row[:5]])}

    @property
    def new(self) -> list[dict[str, Any]]:
        """The rows that were not there before."""
        numbers = {row["trial"] for row in self.before}
        return [row for row in self.after if row["trial"] not in numbers]

    def trained_twice(self) -> set[tuple[Any, ...]]:
        """Return what had been finished and was trained again."""
        finished = {_key(row) for row in self.before if row["state"] not in {"interrupted"}}
        return finished & {_key(row) for row in self.new}


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEY)


def rows(name: str) -> list[dict[str, Any]]:
    """Return the table of trainings of a study that has been reported."""
    return _by_column(table(Path("results") / name / "trials.csv"))


def _by_column(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]


def go_on(name: str, *command: str) -> Went:
    """Go on with a stored study."""
    make_studies.bring_files(Path())
    bring_study(name, Path("results"))
    before = _by_column(stored("reports", name)["trials.csv"])
    trainings = make_studies.finished(*command)
    return Went(before, rows(name), len(trainings.asked))


def whole(name: str, *command: str) -> Went:
    """Run a study that nothing interrupts."""
    make_studies.bring_files(Path())
    shutil.rmtree(Path("results") / name, ignore_errors=True)
    trainings = make_studies.finished(*command)
    return Went([], rows(name), len(trainings.asked))


def _whole_end(name: str, *command: str) -> dict[str, Any]:
    return whole(name, *command).end


def _gone_on_end(name: str, *command: str) -> dict[str, Any]:
    return go_on(name, *command).end


CASES: dict[str, tuple[str, ...]] = {
    "killed": make_studies.KILLED,
    "killed-ladder": make_studies.KILLED_LADDER,
}
"""Study that was killed to the command that goes on with it; expected is what the command yields uninterrupted."""
MORE: dict[str, tuple[str, tuple[str, ...]]] = {
    "search-more-candidates-and-a-seed": ("search", (*make_studies.SEARCH, "--trials", "24", "--seeds", "5")),
    "ablation-one-more-seed": ("ablation", (*make_studies.ABLATE, "--seeds", "4")),
    "older-one-more-seed": ("older", (*make_studies.OLDER, "--seeds", "3")),
}
"""Case to a finished study and a command that asks for more of it."""
EXPECTED: dict[str, Callable[[], dict[str, Any]]] = {
    **{name: partial(_whole_end, name, *command) for name, command in CASES.items()},
    **{name: partial(_gone_on_end, study, *command) for name, (study, command) in MORE.items()},
}
