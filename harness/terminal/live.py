"""The search on the terminal for whoever looks: one view, redrawn in place.

Its parts are cut to the height of the terminal: what matters least goes first.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from harness.common.printable import printable
from harness.jobs.progress import Step, Work
from harness.record.study import StudyRecord
from harness.record.surroundings import SpaceSummary
from harness.terminal.answer import Findings
from harness.terminal.expected_end import ExpectedEnd, seconds
from harness.terminal.lines import space_line
from harness.terminal.running import Running


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part.

    Attributes:
        content: What it shows.
        rank: The higher, the longer it stays.
        least: Lines to which it is cut before a part of higher rank is; after that it may go altogether.
        newest_last: Whether its first lines go first, and not its last.
    """

    content: RenderableType
    rank: int
    least: int = 0
    newest_last: bool = False


_Lines = list[list[Segment]]


class Screen:
    """Parts one below the other, in no more lines than the terminal has."""

    def __init__(self, sections: Iterable[Section]) -> None:
        self._sections = list(sections)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Cut in two rounds, by rank: down to the least, then to nothing."""
        plain = options.update(height=None)
        parts = [console.render_lines(each.content, plain, pad=False) for each in self._sections]
        for whole in (False, True):
            for place in sorted(range(len(parts)), key=lambda place: self._sections[place].rank):
                over = sum(map(len, parts)) - options.max_height
                if over > 0:
                    section = self._sections[place]
                    keep = max(0 if whole else section.least, len(parts[place]) - over)
                    parts[place] = _cut(parts[place], keep, section, console, plain)
        for line in (line for part in parts for line in part):
            yield from line
            yield Segment.line()


def _cut(lines: _Lines, keep: int, section: Section, console: Console, options: ConsoleOptions) -> _Lines:
    """Keep so many of the lines; of a list whose end goes, the last says how many."""
    if keep >= len(lines) or section.newest_last:
        return lines[len(lines) - min(keep, len(lines)) :]
    if keep < 2:
        return lines[:keep]
    more = Text(f"… and {len(lines) - keep + 1} more", style="dim")
    return [*lines[: keep - 1], *console.render_lines(more, options, pad=False)]


_NOTES = 4
# Trainings that have two lines each; of more, each has one.
_SIDE_BY_SIDE = 3


class LiveView:
    """What runs now and how far it is, when all will be over, and what was found so far."""

    def __init__(self, console: Console, title: str) -> None:
        self._title = printable(title)
        self._started = time.monotonic()
        self._running: dict[int | None, Running] = {None: Running("starting")}
        self._end = ExpectedEnd()
        self._space = ""
        self._findings: Findings | None = None
        self._notes: deque[str] = deque(maxlen=_NOTES)
        self._live = Live(console=console, get_renderable=self.render, refresh_per_second=4)

    def __enter__(self) -> LiveView:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def phase(self, text: str) -> None:
        """Show it below the trainings that run, with a fresh bar."""
        others = self._running.copy()
        others.pop(None, None)
        self._running = {**others, None: Running(text)}

    def begin(self, trial: int, text: str) -> None:
        """Show it below the trainings that run, in place of the phase."""
        others = self._running.copy()
        others.pop(None, None)
        self._running = {**others, trial: Running(text)}  # a new one: another thread may be drawing the old
        self._end.begin(trial)

    def progress(self, step: Step, trial: int | None = None) -> None:
        """Move its bar; the last word of a training that has ended may come after its end."""
        if trial in self._running:
            self._running[trial].progress(step)
            self._end.progress(step, trial)

    def plan(self, work: Work) -> None:
        """Keep what is left in view."""
        self._end.plan(work)

    def space(self, summary: SpaceSummary) -> None:
        """Keep it in view."""
        self._space = printable(space_line(summary))

    def finished(self, record: StudyRecord, trial: int) -> None:
        """Show what was found so far, and the training no more."""
        from harness.terminal.answer import find  # imports the report: not before there is something to show

        self._end.finished(record, trial)
        self._findings = find(record)
        self._running = {number: each for number, each in self._running.items() if number != trial}

    def note(self, text: str) -> None:
        """Keep it in view until newer ones push it out."""
        self._notes.append(printable(text))

    def render(self) -> Screen:
        """Build the whole view: only put together what is known."""
        return Screen(self._sections())

    def _sections(self) -> Iterator[Section]:
        yield Section(content=self._head(), rank=9, least=1)
        if self._space:
            yield Section(content=Text(self._space, style="dim"), rank=1)
        if said := self._outlook():
            yield Section(content=Text(said, style="bold", no_wrap=True, overflow="ellipsis"), rank=8, least=1)
        running = list(self._running.values())
        lines = [each.lines() if len(running) <= _SIDE_BY_SIDE else each.line() for each in running]
        yield Section(content=Group(*lines), rank=6, least=2)
        if self._notes:
            notes = Group(*(Text(f"• {note}", style="dim") for note in self._notes))
            yield Section(content=notes, rank=0, newest_last=True)
        if self._findings:
            yield Section(content=self._findings.table, rank=5, least=5)
            failed = Group(*(_line(each, "red") for each in self._findings.failures))
            yield Section(content=failed, rank=3, least=2)

    def _head(self) -> Table:
        head = Table.grid(expand=True, padding=(0, 1))
        head.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        head.add_column(no_wrap=True, justify="right")
        head.add_row(Text(self._title, style="bold"), seconds(time.monotonic() - self._started))
        return head

    def _outlook(self) -> str:
        left = self._end.trainings
        if not left:
            return ""
        trainings = f"{left} {'training' if left == 1 else 'trainings'} to finish"
        return ", ".join(filter(None, (trainings, str(self._end))))


def _line(text: str, style: str) -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")
