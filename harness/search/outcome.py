"""What became of a trial, and what Optuna is told of it: decided in this one place."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from optuna.trial import TrialState


class State(StrEnum):
    """End of one training, as it stands in the tables."""

    COMPLETE = "complete"
    FAILED = "failed"
    """The candidate itself failed: NaN loss, a shape that cannot be built, an error in training."""
    OUT_OF_MEMORY = "out_of_memory"
    INTERRUPTED = "interrupted"
    """The search was stopped or killed under it; it is run again."""

    @property
    def optuna(self) -> TrialState:
        """FAIL teaches no sampler anything: a failure is data for people, never a mAP of 0."""
        return TrialState.COMPLETE if self is State.COMPLETE else TrialState.FAIL

    @property
    def settled(self) -> bool:
        """Whether running it again would only repeat it."""
        return self is not State.INTERRUPTED


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A trial without figures, and why."""

    state: State
    reason: str
