"""A page as data: a headline and sections of sentences, tables and commands. HTML and Markdown draw the same."""

from __future__ import annotations

from dataclasses import dataclass

from harness.report.answer import Tile
from harness.report.notes import Pairs
from harness.report.tables import Table


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a page; what is empty is not drawn.

    Attributes:
        title: Its heading.
        key: Its name in the page's address.
        note: What a reader must know first.
        verdict: One word that stands beside the heading.
        quote: Somebody's words, with their meaning.
        sentences: A list.
        tables: In order.
        pairs: Names and values.
        commands: What each is for, and what to type.
        picture: A PNG beside the page, which Markdown shows.
        image: That PNG itself where the page shows it, too; else the page's tables hold the same.
        picture_says: What is to be seen there.
        minor: Whether it is a part of the section before it.
        folded: Whether its tables are shown only to who asks for them.
    """

    title: str
    key: str
    note: str = ""
    verdict: str = ""
    quote: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    pairs: Pairs = ()
    commands: Pairs = ()
    picture: str = ""
    image: bytes = b""
    picture_says: str = ""
    minor: bool = False
    folded: bool = False


@dataclass(frozen=True, kw_only=True)
class Page:
    """A whole page.

    Attributes:
        name: Of the study; untrusted, as is everything that came from outside.
        kind: What stands above the headline, such as `clo-nas ablation`.
        outcome: Styles the head: `better`, `worse` or nothing.
        headline: One short sentence.
        lead: The figures behind it.
        tiles: The same figures to be seen at a glance.
        remarks: What else a reader must know.
        sections: The rest, in order.
    """

    name: str
    kind: str
    outcome: str = ""
    headline: str
    lead: str
    tiles: tuple[Tile, ...] = ()
    remarks: tuple[str, ...] = ()
    sections: tuple[Section, ...]
