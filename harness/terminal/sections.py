"""Parts of a view, cut to the height of the terminal: what matters least goes first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.text import Text


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
    """So many of the lines; of a list whose end goes, the last says how many."""
    if keep >= len(lines) or section.newest_last:
        return lines[len(lines) - min(keep, len(lines)) :]
    if keep < 2:
        return lines[:keep]
    more = Text(f"… and {len(lines) - keep + 1} more", style="dim")
    return [*lines[: keep - 1], *console.render_lines(more, options, pad=False)]
