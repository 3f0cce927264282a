"""A killed study ends as if nothing had happened; a finished one of an older version takes more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.characterisation.compared import check
from tests.characterisation.resumed import CASES, MORE, go_on


@pytest.mark.parametrize("name", CASES)
def test_a_killed_search_ends_as_one_that_nothing_interrupted(empty: Path, name: str) -> None:
    went = go_on(name, *CASES[name])
    check("resumed", name, went.end)
    assert "interrupted" in {row["state"] for row in went.before}
    assert not went.trained_twice()
    assert went.asked == len(went.new) > 0


@pytest.mark.parametrize("name", MORE)
def test_a_finished_study_takes_more_and_trains_nothing_twice(empty: Path, name: str) -> None:
    study, command = MORE[name]
    went = go_on(study, *command)
    check("resumed", name, went.end)
    assert not went.trained_twice()
    assert went.asked == len(went.new) > 0
