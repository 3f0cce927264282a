"""What a training of a study is called, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from harness.record.ladder import Ladder


class State(StrEnum):
    """End of one training, as it stands in the tables."""

    COMPLETE = "complete"
    # The candidate itself failed: NaN loss, a shape that cannot be built, an error in training.
    FAILED = "failed"
    OUT_OF_MEMORY = "out_of_memory"
    # The search was stopped or killed under it; it is run again.
    INTERRUPTED = "interrupted"

    @property
    def settled(self) -> bool:
        """Whether running it again would only repeat it."""
        return self is not State.INTERRUPTED


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A trial without figures, and why."""

    state: State
    reason: str


class Key(NamedTuple):
    """One training of a study; at most one trial of each is complete."""

    identity: str
    epochs: int
    seed: int

    def below(self, ladder: Ladder) -> Key | None:
        """Return the training that it goes on from; None where it is the first."""
        epochs = ladder.below(self.epochs)
        return self._replace(epochs=epochs) if epochs else None
