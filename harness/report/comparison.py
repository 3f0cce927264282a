"""Architectures side by side: what each gains and costs, where its blocks sit, how its model differs from the base.

Where blocks sit is a drawing's record: a place on a grid for each site. Detectors with a feature pyramid have a form
that their sites' names tell: the backbone goes down from fine maps to coarse ones, the neck up again (`_up`) and down
once more. So three columns and a row for each level hold them all; sites whose names say nothing of the kind stand
below, in the order given.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, ClassVar

import pandas as pd

from harness.analysis.analysis import Analysis
from harness.analysis.statistics import Standing
from harness.analysis.ties import letter, letters, told_apart
from harness.architecture import BASELINE, Architecture, FeedForward, Kind, Mode, Operator, Placement
from harness.report import notes, phrases, words
from harness.report.notes import Pairs

_NAME = re.compile(r"(backbone|neck)\.P(\d+)(_up)?")
_COLUMNS = ("backbone ↓", "neck ↑", "neck ↓")
_HOW = {Mode.AFTER: "", Mode.INSIDE: "in ", Mode.REPLACE: "as "}
# Of a shape in the drawing; the list below it has the whole.
_LETTERS = 14


@dataclass(frozen=True, kw_only=True)
class Place:
    """A site on the grid; columns and rows count from 0."""

    site: str
    label: str
    column: int
    row: int


@dataclass(frozen=True, kw_only=True)
class Network:
    """All sites that anything may be at, in the order of the graph, and how many rows they take."""

    places: tuple[Place, ...]
    columns: tuple[str, ...]
    rows: int


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block in the drawing: kind and shape shortly, `text` as tables say it.

    The kind is given with how it is put there unless that is after the site's layer.
    """

    site: str
    kind: str
    shape: str
    text: str


def network(sites: Iterable[str]) -> Network:
    """Lay sites out, each once."""

    def column(name: re.Match[str]) -> int:
        return 0 if name[1] == "backbone" else 1 if name[3] else 2

    names = list(dict.fromkeys(sites))
    parsed = {name: found for name in names if (found := _NAME.fullmatch(name))}
    levels = sorted({int(found[2]) for found in parsed.values()})
    places = [
        Place(site=name, label=f"P{found[2]}", column=column(found), row=levels.index(int(found[2])))
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


def blocks(architecture: Architecture) -> tuple[Block, ...]:
    """List an architecture's blocks, by site."""
    return tuple(
        Block(
            site=each.site,
            kind=_short(_HOW[each.mode] + each.block_name),
            shape=_short(shape(each)),
            text=each.describe(),
        )
        for each in architecture.placements
    )


def shape(placement: Placement) -> str:
    """Format as `6×k9+2g/4`: heads and kernel of each local group, global heads and their KV pool."""
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


# Architectures side by side: what a screen holds, and a person compares.
MOST = 4
# What a card says, in order.
FACTS = ("Verdict", "Gain", "mAP50-95", "Latency", "MACs", "Parameters", "Evidence", "Tied with")
# Stands for an identity in commands that hold for every architecture.
_TOKEN = "0identity0"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One architecture: the verdict styles it, `facts` has a text for each of `FACTS`, unknown ratios are NaN.

    `difference` is a unified diff of its model YAML to the baseline's, without head; empty where either is unknown.
    """

    architecture: str
    kind: str
    facts: tuple[str, ...]
    latency_ratio: float
    macs_ratio: float
    blocks: tuple[Block, ...]
    difference: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All that can be compared, by identity, the baseline's first; and up to `MOST` to begin with.

    `commands` are what to type for an architecture, with `token` in the place of its identity.
    """

    kind: ClassVar[str] = "cards"

    entries: Mapping[str, Entry]
    chosen: tuple[str, ...]
    network: Network
    commands: Pairs
    token: str = _TOKEN


def comparison(
    study: Analysis, pick: str, ties: Mapping[str, Sequence[str]], named: Collection[str | None]
) -> Comparison:
    """Gather everything that was measured, to be compared; the pick comes first.

    `ties` has those not distinguishable from each; `named` are those whose gains the head of the report names: they
    have the same intervals here.
    """
    record = study.record
    measured = study.summary[study.summary["standing"] != Standing.UNMEASURED]
    base = record.model_yamls.get(BASELINE, "").splitlines()
    entries = {
        str(name): _entry(study, str(name), row, base, ties.get(str(name), ()), pick, named)
        for name, row in measured.iterrows()
    }
    known = [record.architectures[name] for name in entries if name in record.architectures]
    used = sorted({placement.site for each in known for placement in each.placements})
    return Comparison(
        entries=entries,
        chosen=_chosen(measured, study.front, pick),
        network=network([*record.space.sites, *used]),
        commands=notes.row_commands(record, _TOKEN),
    )


def _chosen(measured: pd.DataFrame, best: pd.DataFrame, pick: str) -> tuple[str, ...]:
    """Choose the pick, then judged members of the front, then others of it, then the best gains; not the baseline."""
    by_gain = measured.sort_values("gain_map50_95", ascending=False, kind="stable")
    judged = [name for name in best.index if best.loc[name, "standing"] == Standing.JUDGED]
    order = dict.fromkeys(map(str, [pick, *judged, *best.index, *by_gain.index[: MOST + 1]]))
    return tuple(name for name in order if name != BASELINE and name in measured.index)[:MOST]


def _entry(
    study: Analysis, name: str, row: Any, base: list[str], tied: Sequence[str], pick: str, named: Collection[str | None]
) -> Entry:
    record, digits, is_baseline = study.record, study.digits, name == BASELINE
    known = record.architectures.get(name)
    ratio = phrases.latency_of(row)
    latency = "not measured" if ratio == words.DASH else f"{ratio} the baseline's"
    verdict = [phrases.verdict_of(row), "the pick" * (name == pick), *phrases.beyond(row, record.constraints)]
    gain = "0 by definition" if is_baseline else f"{phrases.gain_of(row, digits)} mAP50-95"
    if name in named:
        gain = phrases.chosen_gain_of(study.inside.loc[name], study.inside, digits)
    facts = (
        "; ".join(filter(None, verdict)),
        gain,
        f"{phrases.map_of(row, digits)} after {words.epochs(row['epochs'])}",
        "1× by definition" if is_baseline else latency,
        f"{words.amount(row['macs'])} ({words.percent(row['macs_ratio'])})",
        f"{words.amount(row['params'])} ({words.percent(row['params_ratio'])})",
        str(row["gain_basis"]),
        ", ".join(tied) or words.DASH,
    )
    return Entry(
        architecture=name,
        kind=str(row["verdict"]),
        facts=facts,
        latency_ratio=float(row["latency_ratio"]),
        macs_ratio=float(row["macs_ratio"]),
        blocks=blocks(known) if known else (),
        difference=difference(base, record.model_yamls.get(name, "").splitlines()),
    )


def difference(base: Sequence[str], other: Sequence[str]) -> tuple[str, ...]:
    """Show how one model YAML differs from the base's: lines that begin with `+`, `-` or a space; `…` between places.

    Comments are left out: they repeat the architecture's name.
    """
    before, after = ([line for line in text if not line.startswith("#")] for text in (base, other))
    if not (before and after):
        return ()
    lines = list(difflib.unified_diff(before, after, n=1, lineterm=""))[2:]
    return tuple("…" if line.startswith("@@") else line for line in lines)


@dataclass(frozen=True, kw_only=True)
class Ties:
    """Groups of architectures that the noise does not tell apart, and whom each is tied with, largest gain first."""

    letters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tied: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def ties_on(front: pd.DataFrame, trials: pd.DataFrame) -> Ties:
    """Find tied candidates among those on a front that were judged on repeated seeds.

    The baseline has no letter: whether a candidate is distinguishable from it is the verdict's to say. Neither has one
    of one seed, which was picked on it. Gains after different numbers of epochs are of two kinds, never tied.
    """
    judged = front[front["standing"] == Standing.JUDGED].sort_values("gain_map50_95", ascending=False, kind="stable")
    names = [str(name) for name in judged.index]
    if len(names) < 2:
        return Ties()
    epochs = judged["epochs"].to_dict()
    unlike = {frozenset(pair) for pair in combinations(names, 2) if epochs[pair[0]] != epochs[pair[1]]}
    groups = letters(names, told_apart(trials, names) | unlike)
    tied = {
        name: tuple(other for other in names if other != name and set(groups[name]) & set(groups[other]))
        for name in names
    }
    kept = {name: others for name, others in tied.items() if others}
    # Letters are given anew: one that an architecture has for itself says nothing.
    given = sorted({each for name in kept for each in groups[name]}, key=lambda each: (len(each), each))
    members = {each: [name for name in kept if each in groups[name]] for each in given}
    shared = [each for each in given if len(members[each]) > 1]
    renamed = {each: letter(at) for at, each in enumerate(shared)}
    return Ties(
        letters={name: tuple(renamed[each] for each in groups[name] if each in renamed) for name in kept},
        tied=kept,
    )
