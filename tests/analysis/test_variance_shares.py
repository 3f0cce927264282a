"""fANOVA's shares against Optuna's own, and on functions whose variances are known."""

from __future__ import annotations

import logging

import numpy as np
import optuna
import pandas as pd
import pytest
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances

from harness.analysis.importance import coded, variance_shares

LEVELS: dict[str, tuple[str, ...]] = {
    "b:kind": ("none", "attention", "block"),
    "a:kind": ("none", "block"),
    "c:kind": ("none", "attention", "block", "bare"),
    "only:kind": ("none",),
}


def drawn(count: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({name: rng.choice(levels, count) for name, levels in LEVELS.items()}, dtype=object)


def outcome(chosen: pd.DataFrame, seed: int) -> NDArray[np.float64]:
    """Two choices that act together, and noise."""
    noise = np.random.default_rng(seed).normal(scale=0.3, size=len(chosen))
    block = (chosen["b:kind"] == "block").to_numpy(float)
    return block + 0.5 * (chosen["a:kind"] == "block") * block + 0.2 * (chosen["c:kind"] == "bare") + noise


def by_optuna(chosen: pd.DataFrame, values: NDArray[np.float64], *, trees: int, seed: int) -> dict[str, float]:
    optuna.logging.set_verbosity(logging.ERROR)
    study = optuna.create_study()
    distributions: dict[str, BaseDistribution] = {
        str(name): CategoricalDistribution(LEVELS[str(name)]) for name in chosen
    }
    for row, value in zip(chosen.to_dict("records"), values, strict=True):
        params = {str(name): level for name, level in row.items()}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=float(value)))
    return get_param_importances(
        study,
        evaluator=FanovaImportanceEvaluator(n_trees=trees, seed=seed),
        params=[str(name) for name in chosen],
        target=lambda trial: float(trial.values[0]),  # noqa: PD011 - Optuna's trial
    )


@pytest.mark.parametrize("seed", range(4))
def test_the_shares_and_their_order_are_those_of_optuna(seed: int) -> None:
    chosen = drawn(80, seed)
    values = outcome(chosen, seed)
    expected = by_optuna(chosen, values, trees=6, seed=seed)
    found = variance_shares(coded(chosen, LEVELS), values, trees=6, seed=seed)
    assert expected.pop("only:kind") == 0  # Optuna lists a choice of one level; we do not
    assert list(found) == list(expected)
    assert list(found.values()) == pytest.approx(list(expected.values()), abs=1e-12)


def test_a_choice_that_alone_acts_has_all_of_the_variance() -> None:
    chosen = drawn(200, 2)
    values = np.array(chosen["c:kind"] == "attention", dtype=float)
    found = variance_shares(coded(chosen, LEVELS), values, trees=10, seed=0)
    assert found == {"c:kind": pytest.approx(1), "b:kind": 0, "a:kind": 0}
    assert next(iter(found)) == "c:kind"


def test_what_does_not_vary_is_explained_by_nothing() -> None:
    chosen = drawn(40, 0)
    assert variance_shares(coded(chosen, LEVELS), np.ones(40), trees=4, seed=0) == {}
    assert variance_shares(coded(chosen[["only:kind"]], LEVELS), outcome(chosen, 0), trees=4, seed=0) == {}


def test_every_row_has_one_level_of_each_choice() -> None:
    found = coded(drawn(30, 1), LEVELS)
    assert list(found.places) == ["a:kind", "b:kind", "c:kind"]
    for place in found.places.values():
        assert (found.columns[:, place].sum(axis=1) == 1).all()
    assert found.columns.shape == (30, 9)
