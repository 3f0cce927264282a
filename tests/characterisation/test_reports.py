"""Reports of stored studies say what they said: closing objects, tables and records."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.characterisation.compared import check
from tests.characterisation.reports import CASES


@pytest.mark.parametrize("name", CASES)
def test_a_stored_study_is_reported_as_before(empty: Path, name: str) -> None:
    check("reports", name, CASES[name]())
