"""Where blocks sit in a detector, as a drawing's record: a place on a grid for each site.

Detectors with a feature pyramid have a form that their sites' names tell: the backbone goes down from fine maps to
coarse ones, the neck up again (`_up`) and down once more. So three columns and a row for each level hold them all;
sites whose names say nothing of the kind stand below, in the order given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from harness.architecture import Architecture, FeedForward, Kind, Mode, Operator, Placement

_NAME = re.compile(r"(backbone|neck)\.P(\d+)(_up)?")
_COLUMNS = ("backbone ↓", "neck ↑", "neck ↓")
_LETTERS = 14
"""Of a shape in the drawing; the list below it has the whole."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A site on the grid; columns and rows count from 0."""

    site: str
    label: str
    column: int
    row: int


@dataclass(frozen=True, kw_only=True)
class Network:
    """All sites that anything may be at.

    Attributes:
        places: In the order of the graph.
        columns: What each column is.
        rows: How many.
    """

    places: tuple[Place, ...]
    columns: tuple[str, ...]
    rows: int


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block in the drawing.

    Attributes:
        site: Where it is.
        kind: What it is, shortly; with how it is put there unless that is after the site's layer.
        shape: Its shape, shortly.
        text: All of it, as tables say it.
    """

    site: str
    kind: str
    shape: str
    text: str


def network(sites: Iterable[str]) -> Network:
    """Lay sites out, each once."""
    names = list(dict.fromkeys(sites))
    parsed = {name: found for name in names if (found := _NAME.fullmatch(name))}
    levels = sorted({int(found[2]) for found in parsed.values()})
    places = [
        Place(site=name, label=f"P{found[2]}", column=_column(found), row=levels.index(int(found[2])))
        for name, found in parsed.items()
    ]
    ends = [name for name in names if name not in parsed and name.startswith("backbone.")]
    others = [name for name in names if name not in parsed and name not in ends]
    below = len(levels)
    places += [
        Place(site=name, label=name.removeprefix("backbone."), column=0, row=below + at) for at, name in enumerate(ends)
    ]
    start = below + len(ends)
    places += [Place(site=name, label=name, column=at % 3, row=start + at // 3) for at, name in enumerate(others)]
    in_order = sorted(places, key=lambda place: (place.column, -place.row if place.column == 1 else place.row))
    return Network(places=tuple(in_order), columns=_COLUMNS, rows=max((place.row for place in places), default=-1) + 1)


def _column(name: re.Match[str]) -> int:
    return 0 if name[1] == "backbone" else 1 if name[3] else 2


def blocks(architecture: Architecture) -> tuple[Block, ...]:
    """An architecture's blocks, by site."""
    return tuple(
        Block(site=each.site, kind=_kind(each), shape=_short(shape(each)), text=each.describe())
        for each in architecture.placements
    )


def _kind(placement: Placement) -> str:
    how = {Mode.AFTER: "", Mode.INSIDE: "in ", Mode.REPLACE: "as "}[placement.mode]
    return _short(how + placement.block_name)


def shape(placement: Placement) -> str:
    """`6×k9+2g/4`: heads and kernel of each local group, global heads and their KV pool."""
    if not placement.is_clo:
        return ", ".join(f"{name} {value}" for name, value in placement.options)
    parts = [f"{group.heads}×k{group.kernel}" for group in placement.groups]
    if placement.global_heads:
        parts.append(f"{placement.global_heads}g" + (f"/{placement.kv_pool}" if placement.kv_pool > 1 else ""))
    noted = "" if placement.operator is Operator.ATTNCONV else f" {placement.operator}"
    plain = " plain" if placement.kind == Kind.BLOCK and placement.ffn is FeedForward.PLAIN else ""
    return "+".join(parts) + noted + plain


def _short(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"
