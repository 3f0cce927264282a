"""The model YAMLs that insertion writes, and what the models cost, by the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.characterisation import pure_figures
from tests.characterisation.pure_cases import COUNTED_BY_NAME

COSTS = pure_figures.expected("costs")
MODELS = tuple(pure_figures.models())
COUNTED = pure_figures.counted_models()


@pytest.mark.parametrize("name", MODELS)
def test_an_architecture_is_written_as_the_same_yaml(name: str, tmp_path: Path) -> None:
    wanted = (pure_figures.EXPECTED / "models" / f"{name}.yaml").read_text(encoding="utf-8")
    assert pure_figures.written_model(name, tmp_path) == wanted


@pytest.mark.parametrize("name", COUNTED)
def test_an_architecture_costs_the_same(name: str, tmp_path: Path) -> None:
    assert pure_figures.counted(name, tmp_path) == COSTS[name]


def test_a_model_of_the_article_costs_the_same() -> None:
    assert pure_figures.counted_by_name(COUNTED_BY_NAME) == COSTS[COUNTED_BY_NAME]


def test_nothing_is_accepted_that_is_not_asked_for() -> None:
    assert {file.stem for file in (pure_figures.EXPECTED / "models").iterdir()} == set(MODELS)
    assert set(COSTS) == {*COUNTED, COUNTED_BY_NAME}
