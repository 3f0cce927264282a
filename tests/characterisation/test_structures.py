"""What scripts read keeps its keys and the types of its values."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.characterisation.compared import check
from tests.characterisation.names import with_json
from tests.characterisation.structures import CASES

ELSEWHERE = {"simulate", "control", "plan", "judge"}
"""Commands whose answers other tests hold still."""


def test_every_command_that_scripts_read_is_among_them() -> None:
    assert {name.partition(",")[0] for name in CASES} | ELSEWHERE == with_json()


@pytest.mark.parametrize("name", CASES)
def test_what_a_command_says_to_scripts_has_its_keys_and_types(empty: Path, name: str) -> None:
    check("structures", name, CASES[name]())
