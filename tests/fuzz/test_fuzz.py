"""Bad input of every kind: taken, or refused in one sentence; never a traceback, a hang or a riddle.

A sample, the same each time; `nox -s fuzz` tries as many cases as `CLO_NAS_FUZZ` says, others each time.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from harness.common.errors import UserError
from tests.fuzz.command_lines import COMMAND_LINES, RefusedError, without_work
from tests.fuzz.documents import HOSTILE, LAUGHS
from tests.fuzz.loaders import LOADERS, Fuzzed, Run
from tests.fuzz.outcome import SECONDS, DefectError, check_sentence, deadline
from tests.fuzz.studies import STUDIES
from tests.fuzz.tables import TABLES

KINDS: Mapping[str, Fuzzed] = {**LOADERS, "study": STUDIES, "study's tables": TABLES, "command line": COMMAND_LINES}
SHARES = sum(fuzzed.share for fuzzed in KINDS.values())
CASES = int(os.environ.get("CLO_NAS_FUZZ", "700"))
"""In all."""


def judge(run: Run, case: Any, folder: Path, seconds: float = SECONDS) -> None:
    """Take a case, which may be refused.

    Raises:
        DefectError: It takes too long, or is refused without one clear sentence.
    """
    try:
        with deadline(seconds), contextlib.suppress(RefusedError):
            run(case, folder)
    except UserError as error:
        check_sentence(error)


@pytest.mark.parametrize("kind", KINDS)
def test_no_case_ends_in_a_traceback_a_hang_or_without_a_sentence(kind: str, tmp_path: Path) -> None:
    fuzzed = KINDS[kind]

    @settings(
        max_examples=-(-CASES * fuzzed.share // SHARES),
        deadline=None,  # of ours: Hypothesis measures a case, but ends none
        database=None,
        derandomize="CLO_NAS_FUZZ" not in os.environ,
        suppress_health_check=list(HealthCheck),
    )
    @given(fuzzed.cases)
    def each(case: Any) -> None:
        judge(fuzzed.run, case, tmp_path)

    with without_work():
        each()


def say_nothing(_case: Any, _folder: Path) -> object:
    raise UserError("")


def hang(_case: Any, _folder: Path) -> object:
    while True:
        pass


@pytest.mark.parametrize(("program", "noticed"), [(say_nothing, "no clear sentence"), (hang, "it takes longer than")])
def test_a_program_with_a_defect_is_noticed(program: Run, noticed: str, tmp_path: Path) -> None:
    with pytest.raises(DefectError, match=noticed):
        judge(program, 1, tmp_path, seconds=0.05)


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
