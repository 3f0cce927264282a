"""How far a training is: what its process tells the search, and the search whoever watches."""

from __future__ import annotations

from typing import NamedTuple


class Step(NamedTuple):
    """Steps of one kind, done and in all.

    Attributes:
        doing: What kind: `training`, `latency`, or what else takes a while.
        done: Iterations that are done.
        total: Of so many.
        epochs: Epochs that these iterations make up; 0 where they are no training.
        trained_epochs: Epochs that the weights had behind them.
    """

    doing: str
    done: int
    total: int
    epochs: int = 0
    trained_epochs: int = 0

    @property
    def epoch(self) -> str:
        """`epoch 2 of 3`, the one under way; empty where there are none."""
        if not self.epochs:
            return ""
        under_way = max(0, self.done - 1) * self.epochs // max(1, self.total) + 1
        return f"epoch {self.trained_epochs + under_way} of {self.trained_epochs + self.epochs}"
