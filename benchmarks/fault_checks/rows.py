"""What a study's storage holds, read with plain SQL: the program under test isn't asked about itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy

COMPLETE, INTERRUPTED = "complete", "interrupted"
FAILURES = ("failed", "out_of_memory")
_ROWS = """
SELECT trials.number, trials.state, trial_user_attributes.value_json
FROM trials JOIN studies USING (study_id) JOIN trial_user_attributes USING (trial_id)
WHERE studies.study_name = :study AND trial_user_attributes.key = 'row' ORDER BY trials.number
"""


class Key(NamedTuple):
    """Which training a row is of."""

    architecture: str
    epochs: int
    seed: int


class Figures(NamedTuple):
    """What a training yields that another machine's load can't change."""

    map50_95: float
    macs: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """A trial of a training.

    Attributes:
        number: Optuna's number of the trial.
        told: What Optuna was told of it; RUNNING while it runs, or after a kill.
        content: The row as it is stored.
    """

    number: int
    told: str
    content: Mapping[str, Any]

    @property
    def key(self) -> Key:
        """Architecture, epochs and seed."""
        return Key(self.content["architecture"], self.content["epochs"], self.content["seed"])

    @property
    def state(self) -> str:
        """One of the four states of a training."""
        return str(self.content["state"])

    @property
    def figures(self) -> Figures:
        """NaN where there is none, which equals nothing."""
        nan = float("nan")
        return Figures(self.content.get("map50_95", nan), self.content.get("macs", nan))


def read_rows(url: str, study: str) -> list[Row]:
    """All rows of a study; none where it has no table yet.

    Args:
        url: SQLAlchemy's URL of the storage.
        study: The study's name.
    """
    engine = sqlalchemy.create_engine(url)
    try:
        if not sqlalchemy.inspect(engine).has_table("trial_user_attributes"):
            return []
        with engine.connect() as connection:
            found = connection.execute(sqlalchemy.text(_ROWS), {"study": study}).all()
    finally:
        engine.dispose()
    return [Row(number=number, told=str(told), content=json.loads(text)) for number, told, text in found]


def complete(rows: Iterable[Row]) -> list[Row]:
    """The finished ones."""
    return [row for row in rows if row.state == COMPLETE]


def lost(before: Iterable[Row], after: Iterable[Row]) -> list[Row]:
    """Finished rows that are gone or aren't what they were, to the last digit."""
    now = {row.number: row.content for row in after}
    return [row for row in before if now.get(row.number) != row.content]


def doubled(rows: Iterable[Row]) -> list[Row]:
    """Finished rows whose training has an earlier finished row."""
    seen: set[Key] = set()
    again = []
    for row in complete(rows):
        if row.key in seen:
            again.append(row)
        seen.add(row.key)
    return again


def different(rows: Iterable[Row], undisturbed: Mapping[Key, Figures]) -> list[Row]:
    """Finished rows whose figures aren't exactly those of the same training when nothing disturbed it."""
    return [row for row in complete(rows) if undisturbed.get(row.key) != row.figures]


def runs_again(rows: Iterable[Row]) -> list[Row]:
    """Trials that run and of whose training a worker died already: a second death is its failure, by design."""
    rows = [*rows]
    died = {row.key for row in rows if row.content.get("died")}
    return [row for row in rows if row.told == "RUNNING" and row.key in died]
