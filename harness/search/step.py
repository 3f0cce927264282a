"""How far a training is: what its process tells the search, and the search whoever watches."""

from __future__ import annotations

from typing import Any, NamedTuple


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


class Throttle:
    """Let only some of a training's words through, where each is a message to another machine.

    Args:
        pause_s: Least seconds between two steps of one kind; the first step of another kind passes at once.
    """

    def __init__(self, pause_s: float) -> None:
        self._pause_s = pause_s
        self._told_at = float("-inf")
        self._told: Any = None

    def lets_through(self, content: Any, now: float) -> bool:
        """Decide whether a word is passed on at this moment, in seconds."""
        doing = content.doing if isinstance(content, Step) else content
        if doing == self._told and now < self._told_at + self._pause_s:
            return False
        self._told_at, self._told = now, doing
        return True
