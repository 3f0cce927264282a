"""What a search tells whoever watches it; the terminal is one watcher, tests are another."""

from __future__ import annotations

from typing import Any, Protocol

from harness.search.step import Step
from harness.search.work import Work
from harness.study_record import StudyRecord


class Observer(Protocol):
    """Receives what happens, in order."""

    def phase(self, text: str) -> None:
        """Something new begins; `text` is a short line."""

    def begin(self, trial: int, text: str) -> None:
        """A training begins, perhaps beside others; `text` is a short line."""

    def progress(self, step: Step, trial: int | None = None) -> None:
        """A step of a training that runs, or of the current phase."""

    def plan(self, work: Work) -> None:
        """What is left to be trained, from now on."""

    def space(self, summary: dict[str, Any]) -> None:
        """The cost of the whole search space is known."""

    def finished(self, record: StudyRecord, trial: int) -> None:
        """This training ended; the whole study as it is now."""

    def note(self, text: str) -> None:
        """Something a person should know."""
