"""A sample of `nox -s fuzz`, and that the fuzzing itself would notice."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from harness.common.errors import UserError
from tests.fuzz import run
from tests.fuzz.documents import HOSTILE, LAUGHS
from tests.fuzz.loaders import Fuzzed, Run
from tests.fuzz.outcome import DefectError, deadline

SAMPLE = 700
"""Cases in all; the whole is thirty times as many."""


@pytest.mark.parametrize("kind", run.KINDS)
def test_no_case_ends_in_a_traceback_a_hang_or_without_a_sentence(kind: str) -> None:
    shares = sum(fuzzed.share for fuzzed in run.KINDS.values())
    tally = run.fuzz(kind, -(-SAMPLE * run.KINDS[kind].share // shares))
    assert not tally.defects, run.describe(tally)
    assert tally.accepted + tally.rejected == tally.cases >= SAMPLE // 60


def crash(case: Any, _folder: Path) -> object:
    return [][case]


def say_nothing(_case: Any, _folder: Path) -> object:
    raise UserError("")


def hang(_case: Any, _folder: Path) -> object:
    while True:
        pass


@pytest.mark.parametrize(
    ("program", "noticed"),
    [(crash, "IndexError"), (say_nothing, "no clear sentence"), (hang, "it takes longer than")],
)
def test_a_program_with_a_defect_is_noticed(monkeypatch: pytest.MonkeyPatch, program: Run, noticed: str) -> None:
    monkeypatch.setattr(run, "KINDS", {"bad": Fuzzed(st.integers(1, 9), program, 1)})
    monkeypatch.setattr(run, "SECONDS", 0.05)
    tally = run.fuzz("bad", 3)
    assert (tally.cases, tally.accepted) == (3, 0)
    assert noticed in run.describe(tally)


def test_the_same_seed_makes_the_same_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    def cases(start: int) -> list[int]:
        seen: list[int] = []
        monkeypatch.setattr(run, "KINDS", {"any": Fuzzed(st.integers(), lambda case, _: seen.append(case), 1)})
        run.fuzz("any", 20, start)
        return seen

    assert cases(3) == cases(3) != cases(4)


def test_a_deadline_ends_what_swallows_every_exception() -> None:
    began = time.monotonic()

    def careless() -> None:
        while True:
            with contextlib.suppress(Exception):
                time.sleep(1)

    with pytest.raises(DefectError, match="takes longer than"), deadline(0.05):
        careless()
    assert time.monotonic() - began < 1


def test_the_grammar_has_what_attacks_are_made_of() -> None:
    everything = " ".join(HOSTILE)
    for part in (
        "!!python/object/apply:os.system",
        "!!python/name:",
        "*missing",
        "&a [*a]",
        "<<:",
        ".nan",
        "2024-01-01: 1",
    ):
        assert part in everything
    assert LAUGHS.count("*l0") == 9 and LAUGHS.count("&l") == 12
