"""Cases by the thousand, counted."""

from __future__ import annotations

import shutil
import tempfile
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from harness.common.errors import UserError
from tests.fuzz.command_lines import COMMAND_LINES, RefusedError, without_work
from tests.fuzz.loaders import LOADERS, Fuzzed
from tests.fuzz.outcome import SECONDS, DefectError, check_sentence, deadline
from tests.fuzz.studies import STUDIES
from tests.fuzz.tables import TABLES

KINDS: Mapping[str, Fuzzed] = {**LOADERS, "study": STUDIES, "study's tables": TABLES, "command line": COMMAND_LINES}
_MOST_SHOWN = 12


@dataclass(kw_only=True)
class Tally:
    """What became of the cases of one kind.

    Attributes:
        defects: What the program did, to the first case that made it.
        slowest: Seconds of the slowest case.
    """

    kind: str
    cases: int = 0
    accepted: int = 0
    rejected: int = 0
    slowest: float = 0.0
    slowest_case: str = ""
    defects: dict[str, str] = field(default_factory=dict)


def fuzz(kind: str, cases: int, start: int = 0) -> Tally:
    """Try so many cases of a kind, and go on after a defect.

    Args:
        kind: One of `KINDS`.
        cases: How many.
        start: Seed of the cases.
    """
    tally = Tally(kind=kind)
    fuzzed = KINDS[kind]
    folder = Path(tempfile.mkdtemp(prefix="clo-nas-fuzz-"))

    @seed(start)
    @settings(
        max_examples=cases,
        deadline=None,  # of ours: Hypothesis measures a case, but ends none
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(fuzzed.cases)
    def each(case: Any) -> None:
        if tally.cases < cases:
            _one(tally, fuzzed, case, folder)

    try:
        with without_work():
            while tally.cases < cases:  # Hypothesis ends early where it thinks that it has seen all
                before = tally.cases
                each()
                if tally.cases == before:
                    break
                start += 1
                seed(start)(each)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return tally


def _one(tally: Tally, fuzzed: Fuzzed, case: Any, folder: Path) -> None:
    tally.cases += 1
    began = time.perf_counter()
    try:
        with deadline(SECONDS):
            fuzzed.run(case, folder)
        tally.accepted += 1
    except UserError as error:
        tally.rejected += 1
        try:
            check_sentence(error)
        except DefectError as defect:
            _note(tally, defect, case)
    except RefusedError:
        tally.rejected += 1
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        _note(tally, error, case)
    took = time.perf_counter() - began
    if took > tally.slowest:
        tally.slowest, tally.slowest_case = took, repr(case)[:2000]


def _note(tally: Tally, error: Exception, case: Any) -> None:
    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "/harness/" in frame.filename]
    place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
    tally.defects.setdefault(f"{type(error).__name__} {place} {str(error)[:160]!r}"[:300], repr(case)[:3000])


def table(tallies: list[Tally], seconds: float) -> str:
    """The tallies, for people."""
    head = f"{'kind':<20}{'cases':>8}{'accepted':>10}{'rejected':>10}{'defects':>9}{'slowest ms':>12}"
    rows = [
        f"{t.kind:<20}{t.cases:>8,}{t.accepted:>10,}{t.rejected:>10,}{len(t.defects):>9}{1000 * t.slowest:>12.0f}"
        for t in tallies
    ]
    sums = [sum(getattr(t, name) for t in tallies) for name in ("cases", "accepted", "rejected")]
    found = sum(len(t.defects) for t in tallies)
    slowest = 1000 * max(t.slowest for t in tallies)
    last = f"{'all':<20}{sums[0]:>8,}{sums[1]:>10,}{sums[2]:>10,}{found:>9}{slowest:>12.0f}"
    return "\n".join([head, *rows, last, f"in {seconds:.0f} s"])


def describe(tally: Tally) -> str:
    """The defects of a kind, each with a case."""
    shown = list(tally.defects.items())[:_MOST_SHOWN]
    return "\n".join(f"{tally.kind}: {what}\n    {case}" for what, case in shown)
