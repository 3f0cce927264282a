"""What runs now, and how far it is."""

from __future__ import annotations

import time

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.common.printable import printable
from harness.jobs.progress import Step
from harness.terminal.expected_end import seconds

_NAMES = {"latency": "measuring latency", "training": ""}


class Running:
    """A phase or a training."""

    def __init__(self, text: str) -> None:
        self.text = printable(text)
        self.started = time.monotonic()
        self.step: Step | None = None
        self._first = 0

    def progress(self, step: Step) -> None:
        """Move the bar; steps of another kind begin a new one."""
        if self.step is None or (step.doing, step.total) != (self.step.doing, self.step.total):
            self.started, self._first = time.monotonic(), step.done  # a training that goes on begins in the middle
        self.step = step

    @property
    def left(self) -> str:
        """The time that it will still take."""
        step = self.step
        if step is None or step.done <= self._first:
            return ""
        pace = (time.monotonic() - self.started) / (step.done - self._first)
        return f"about {seconds(pace * (step.total - step.done))} left"

    def lines(self) -> RenderableType:
        """Render what it is, and below that how far it is."""
        named = Text(f"▶ {self.text}", style="cyan", no_wrap=True, overflow="ellipsis")
        step = self.step
        if step is None:
            return named
        if not step.total:
            return Group(named, Text(_NAMES.get(step.doing, step.doing)))
        bar = Table.grid(padding=(0, 1))
        for _ in range(4):
            bar.add_column(no_wrap=True)
        bar.add_row(
            ProgressBar(total=step.total, completed=step.done, width=20),
            f"{step.done}/{step.total}",
            step.epoch or _NAMES.get(step.doing, step.doing),
            self.left,
        )
        return Group(named, bar)

    def line(self) -> RenderableType:
        """Render the same in one line."""
        step = self.step
        far = ", ".join(filter(None, (_far(step), self.left))) if step else "begins"
        return Text(f"▶ {far} · {self.text}", style="cyan", no_wrap=True, overflow="ellipsis")


def _far(step: Step) -> str:
    """Say how far it is, or what it waits for."""
    return step.epoch or (step.doing if step.doing.startswith("waiting") else f"{step.done}/{step.total}")
