"""Which architectures are one, what each is called in every study's record, and how many a space has.

An identity names rows and files of studies that exist: another one for the same blocks would orphan them.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.characterisation import pure_figures
from tests.characterisation.pure_cases import ARTICLE, PLACEMENTS, SPACES

EXPECTED = pure_figures.expected("identities")
NAMES = (*PLACEMENTS, *ARTICLE)


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Any]]:
    return pure_figures.identities()


@pytest.mark.parametrize("name", NAMES)
def test_an_architecture_keeps_its_identity_its_line_and_its_written_form(
    found: dict[str, dict[str, Any]], name: str
) -> None:
    assert found[name] == EXPECTED["architectures"][name]


def test_nothing_is_accepted_that_is_not_asked_for() -> None:
    assert set(EXPECTED["architectures"]) == set(NAMES)
    assert set(EXPECTED["spaces"]) == set(SPACES)


@pytest.mark.parametrize("key", ["identity", "in_a_space"])
def test_the_same_architectures_are_one_function(found: dict[str, dict[str, Any]], key: str) -> None:
    assert pure_figures.classes_of(found, key) == EXPECTED["one_function"][key]


@pytest.mark.parametrize("name", SPACES)
def test_a_space_has_the_same_candidates_in_the_same_order(name: str) -> None:
    assert pure_figures.space(name) == EXPECTED["spaces"][name]


def test_every_space_that_ships_is_here() -> None:
    folder = pure_figures.FOLDER.parents[1] / "search_spaces"
    assert sorted(file.stem for file in folder.glob("*.yaml")) == sorted(SPACES)
