"""Architectures side by side: what each gains and costs, where its blocks sit, how its model differs from the base."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.analysis.statistics import Standing
from harness.architecture import BASELINE
from harness.report import notes, phrases, words
from harness.report.network import Block, Network, blocks, network
from harness.report.notes import Pairs
from harness.study_record import StudyRecord

MOST = 4
"""Architectures side by side: what a screen holds, and a person compares."""
FACTS = ("Verdict", "Gain", "mAP50-95", "Latency", "MACs", "Parameters", "Evidence", "Tied with")
"""What a card says, in order."""
_TOKEN = "0identity0"
"""Stands for an identity in commands that hold for every architecture."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One architecture.

    Attributes:
        architecture: Its identity.
        kind: The verdict, which styles it.
        facts: A text for each of `FACTS`.
        latency_ratio: To the baseline's; NaN where not measured.
        macs_ratio: Likewise.
        blocks: Where something was inserted.
        difference: Unified diff of its model YAML to the baseline's, without head; empty where either is unknown.
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
    """All that can be compared, and whom to begin with.

    Attributes:
        entries: Identity to entry, of every architecture that was measured; the baseline's first.
        chosen: Up to `MOST` to begin with.
        network: Where blocks can be.
        commands: What to type for an architecture, with `token` in the place of its identity.
        token: See there.
    """

    entries: Mapping[str, Entry]
    chosen: tuple[str, ...]
    network: Network
    commands: Pairs
    token: str = _TOKEN


def comparison(
    record: StudyRecord,
    summary: pd.DataFrame,
    best: pd.DataFrame,
    pick: str,
    ties: Mapping[str, Sequence[str]],
    digits: int,
) -> Comparison:
    """Everything to be compared.

    Args:
        record: The study.
        summary: From `summarise`; rows that were not measured are left out.
        best: Its rows that are on a front, by gain.
        pick: The recommended candidate, which comes first; or nothing.
        ties: Architecture to those that the noise does not tell from it.
        digits: Decimals of an mAP.
    """
    measured = summary[summary["standing"] != Standing.UNMEASURED]
    base = record.model_yamls.get(BASELINE, "").splitlines()
    entries = {
        str(name): _entry(record, str(name), row, base, ties.get(str(name), ()), digits, pick)
        for name, row in measured.iterrows()
    }
    known = [record.architectures[name] for name in entries if name in record.architectures]
    used = sorted({placement.site for each in known for placement in each.placements})
    return Comparison(
        entries=entries,
        chosen=_chosen(measured, best, pick),
        network=network([*map(str, record.space.get("sites", ())), *used]),
        commands=notes.row_commands(record, _TOKEN),
    )


def _chosen(measured: pd.DataFrame, best: pd.DataFrame, pick: str) -> tuple[str, ...]:
    """The pick, then judged members of the front, then others of it, then whoever gains most; not the baseline."""
    by_gain = measured.sort_values("gain_map50_95", ascending=False, kind="stable")
    judged = [name for name in best.index if best.loc[name, "standing"] == Standing.JUDGED]
    order = dict.fromkeys(map(str, [pick, *judged, *best.index, *by_gain.index[: MOST + 1]]))
    return tuple(name for name in order if name != BASELINE and name in measured.index)[:MOST]


def _entry(
    record: StudyRecord, name: str, row: Any, base: list[str], tied: Sequence[str], digits: int, pick: str
) -> Entry:
    known = record.architectures.get(name)
    screening = " (screening only)" if row["standing"] == Standing.SCREENING else ""
    latency = words.times(row["latency_ratio"], row["latency_ratio_low"], row["latency_ratio_high"])
    facts = (
        "; ".join(
            [
                f"{row['verdict']}{screening}",
                *(["the pick"] if name == pick else []),
                *phrases.beyond(row, record.constraints),
            ]
        ),
        "0 by definition" if name == BASELINE else f"{phrases.gain_of(row, digits)} mAP50-95",
        f"{phrases.map_of(row, digits)} after {words.epochs(row['epochs'])}",
        "1× by definition"
        if name == BASELINE
        else "not measured"
        if latency == words.DASH
        else f"{latency} the baseline's",
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
    """How one model YAML differs from the base's: lines that begin with `+`, `-` or a space; `…` between places.

    Comments are left out: they repeat the architecture's name.
    """
    before, after = ([line for line in text if not line.startswith("#")] for text in (base, other))
    if not (before and after):
        return ()
    lines = list(difflib.unified_diff(before, after, n=1, lineterm=""))[2:]
    return tuple("…" if line.startswith("@@") else line for line in lines)
