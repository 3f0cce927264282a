"""A page as data: a headline and sections of sentences, tables, drawings and commands, which every renderer shows.

Searches, ablations, the ledger and several studies side by side are such pages; HTML and Markdown have one pair of
templates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from harness.report.choices import Parallel
from harness.report.comparison import Comparison
from harness.report.curves import Curves
from harness.report.figures import FrontFigure
from harness.report.images import Gallery
from harness.report.notes import Pairs
from harness.report.pick import Budget
from harness.report.tables import Table


@dataclass(frozen=True, kw_only=True)
class Fronts:
    """Figures of a search's fronts, drawn by scripts in the page and from `pareto.png` elsewhere; one for each cost.

    `legend` is role and meaning of each mark that they hold, `budgets` what each buys where there is a choice.
    """

    kind: ClassVar[str] = "fronts"

    figures: tuple[FrontFigure, ...]
    legend: Pairs
    budgets: tuple[Budget, ...]

    @property
    def firm(self) -> bool:
        """Whether every line rests on judged architectures."""
        return all(figure.firm for figure in self.figures if figure.steps)


# What only some pages have; the macro of its `kind` draws it.
Drawing = Fronts | Comparison | Curves | Gallery | Parallel
D = TypeVar("D", bound=Drawing)


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a page, drawn in the order of its attributes; what is empty is not drawn.

    Attributes:
        title: Its heading.
        key: Its name in the page's address.
        verdict: One word that stands beside the heading.
        quote: Somebody's words, with their meaning.
        note: What a reader must know first.
        picture: A picture beside the page, which Markdown shows.
        picture_says: What is to be seen there.
        image: That PNG itself where the page shows it, too; else the page's tables or drawing hold the same.
        drawing: What the page draws by itself.
        facts: Names and values.
        sentences: A list.
        tables: In order.
        commands: What each is for, and what to type.
        of_each: Commands of one architecture each, folded.
        pairs: Names and values for who asks for them.
        minor: Whether it is a part of the section before it.
        folded: Whether its tables are shown only to who asks for them.
        filtered: Whether its tables' rows can be searched.
    """

    title: str
    key: str
    verdict: str = ""
    quote: tuple[str, ...] = ()
    note: str = ""
    picture: str = ""
    picture_says: str = ""
    image: bytes = b""
    drawing: Drawing | None = None
    facts: Pairs = ()
    sentences: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    commands: Pairs = ()
    of_each: tuple[tuple[str, Pairs], ...] = ()
    pairs: Pairs = ()
    minor: bool = False
    folded: bool = False
    filtered: bool = False


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One figure of the answer."""

    label: str
    value: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """A whole page.

    Attributes:
        name: Of the study; untrusted, as is everything that came from outside.
        kind: What stands above the headline, such as `clo-nas ablation`.
        outcome: Styles the head: `gain`, `better`, `worse` or nothing.
        headline: One short sentence.
        lead: The figures behind it.
        then: Further paragraphs by their style: `banner`, `rule`, `headline` or `second`.
        asked: What a reader asks next, what is to be said to it, and the key of the section that says more, or nothing.
        tiles: The same figures to be seen at a glance.
        following: What to do next, and what to type for it.
        remarks: What else a reader must know.
        sections: The rest, in order.
    """

    name: str
    kind: str
    outcome: str = ""
    headline: str
    lead: str
    then: Pairs = ()
    asked: tuple[tuple[str, str, str], ...] = ()
    tiles: tuple[Tile, ...] = ()
    following: Pairs = ()
    remarks: tuple[str, ...] = ()
    sections: tuple[Section, ...]

    def __getitem__(self, key: str) -> Section:
        """Return the section of that key."""
        return next(section for section in self.sections if section.key == key)

    def drawn(self, kind: type[D]) -> Sequence[D]:
        """Return its drawings of one class."""
        return [section.drawing for section in self.sections if isinstance(section.drawing, kind)]
