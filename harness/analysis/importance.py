"""Which choices matter for which objective, as shares.

A space's choices are conditional: a kernel is only asked about where there is a block. Evaluators of importance
mostly need every parameter in every trial, and drop the others without a word. Hence two methods, each where it
applies: fANOVA [1] for the kinds, one a site, which every architecture has; the conditional PED-ANOVA [2, 3] for
all choices.

Shares add up to one even where there is only noise: each is then about one over their number. Whether a choice
does anything is for `effects.marginal_effects` to say, which tests it.

References:
    1. Hutter, Hoos and Leyton-Brown, "An efficient approach for assessing hyperparameter importance", ICML 2014.
    2. Watanabe, Bansal and Hutter, "PED-ANOVA: efficiently quantifying hyperparameter importance in arbitrary
       subspaces", IJCAI 2023.
    3. "Conditional PED-ANOVA: hyperparameter importance in hierarchical and dynamic search spaces", KDD 2026,
       arXiv:2601.20800; Optuna's `PedAnovaImportanceEvaluator`, whose notes ask for five architectures or more in
       the best part.
    4. McCarthy, "Pseudo-replication: half samples", Rev. Int. Stat. Inst. 37, 1969.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

import numpy as np
import optuna
import pandas as pd
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

from harness.analysis.variance_shares import coded, variance_shares
from harness.study_record import Choices

COLUMNS = ("objective", "method", "parameter", "importance", "spread")
BEST, BEST_SHARE = 5, 0.1
"""PED-ANOVA compares the best tenth with all, but the best five at least [3]."""
FEWEST = 4 * BEST
"""Architectures below which nothing is said: the best five are then more than a quarter."""
TREES = 32
"""Half of Optuna's number: the spread over resamples is far wider than that between forests."""
TREES_OF_A_RESAMPLE = 8
"""Enough for the spread: of 60 architectures it was 0.086 with 8 trees and 0.077 with 32, at a quarter of the time."""
RESAMPLES, LEAST_RESAMPLES = 20, 3
LARGE = 400
"""Architectures from which half of them, drawn without repeats, take the place of a bootstrap resample: the mean of a
half-sample scatters as that of a resample does [4], and takes half the time."""
MOST_ROWS = 3000
"""Architectures over all resamples, above which there are fewer of these; 1,000 take half a second."""


class Method(StrEnum):
    """How importance is reckoned."""

    FANOVA = "fANOVA"
    """What a site's kind by itself explains of the variance, over what all kinds by themselves explain."""
    PED_ANOVA = "PED-ANOVA"
    """How far the best architectures' choices differ from all architectures', over the sum for all choices."""


def resamples_of(architectures: int) -> int:
    """As many resamples as keep a report fast: `RESAMPLES`, fewer of large studies, whose spread is small."""
    return max(LEAST_RESAMPLES, min(RESAMPLES, MOST_ROWS // max(architectures, 1)))


def importances(choices: Choices, *, seed: int = 0, resamples: int | None = None) -> pd.DataFrame:
    """How much each choice matters for each objective.

    Args:
        choices: From `harness.records.choices_of`.
        seed: Of the forests and of the resampling.
        resamples: Bootstrap resamples of the architectures, each with a forest of its own; `resamples_of` by
            default.

    Returns:
        `COLUMNS`, the most important first within objective and method. `importance`: 0 to 1, 1 in all over the
        method's parameters; `spread`: its standard deviation over the resamples. No row for an objective or
        a method's choices that do not vary, none of fANOVA where the kinds explain nothing at all, and none
        whatever with fewer than `FEWEST` architectures.
    """
    count = len(choices.chosen)
    if count < FEWEST:
        return pd.DataFrame(columns=list(COLUMNS))
    if resamples is None:
        resamples = resamples_of(count)
    rng = np.random.default_rng(seed)
    losses = choices.outcomes * [1 if choices.minimized[str(name)] else -1 for name in choices.outcomes]
    rows = [np.arange(count), *(_resample(rng, count) for _ in range(resamples))]
    with _quiet():
        found = [
            _shares(choices, losses, row, seed + at, TREES_OF_A_RESAMPLE if at else TREES)
            for at, row in enumerate(rows)
        ]
    tables: list[pd.DataFrame] = []
    for objective, method in found[0]:
        shares = pd.DataFrame([each[objective, method] for each in found])
        if shares.iloc[0].isna().all():
            continue
        shares = shares.fillna(0.0)  # a choice that no architecture of a resample was asked about
        table = pd.DataFrame({"importance": shares.iloc[0], "spread": shares[1:].std()})
        table = table.rename_axis("parameter").reset_index().assign(objective=objective, method=method)
        tables.append(table.sort_values("importance", ascending=False, kind="stable"))
    if not tables:
        return pd.DataFrame(columns=list(COLUMNS))
    return pd.concat(tables, ignore_index=True)[list(COLUMNS)]


def _resample(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    if count < LARGE:
        return rng.integers(count, size=count)
    return rng.choice(count, size=count // 2, replace=False)


def _shares(
    choices: Choices, losses: pd.DataFrame, rows: NDArray[np.int64], seed: int, trees: int
) -> dict[tuple[str, Method], pd.Series[float]]:
    """Importance by parameter of some of the architectures, for each objective and method."""
    chosen, told = choices.chosen.iloc[rows], losses.iloc[rows]
    distributions: dict[str, BaseDistribution] = {name: _Shared(levels) for name, levels in choices.levels.items()}
    flat = optuna.create_study(directions=["minimize"] * told.shape[1])
    for row, values in zip(chosen.to_dict("records"), told.to_numpy(), strict=True):
        asked = {str(name): level for name, level in row.items() if pd.notna(level)}
        own = {name: distributions[name] for name in asked}
        flat.add_trial(optuna.trial.create_trial(params=asked, distributions=own, values=list(values)))
    best = max(BEST_SHARE, BEST / len(rows))
    kinds = coded(chosen[choices.kinds], choices.levels)
    found: dict[tuple[str, Method], pd.Series[float]] = {}
    for at, objective in enumerate(map(str, losses)):
        for method, parameters in ((Method.FANOVA, choices.kinds), (Method.PED_ANOVA, list(map(str, chosen)))):
            shares: dict[str, float] = {}
            if min(len(each.drop_duplicates()) for each in (told[objective], chosen[parameters])) > 1:
                shares = (
                    variance_shares(kinds, told[objective].to_numpy(), trees=trees, seed=seed)
                    if method is Method.FANOVA
                    else _by_best(flat, at, parameters, best)
                )
            found[objective, method] = pd.Series(shares, index=None if shares else parameters, dtype=float)
    return found


class _Shared(CategoricalDistribution):
    """One for all trials of a study: Optuna copies every trial that it is given, and compares what is not the same."""

    def __deepcopy__(self, _memo: object) -> _Shared:
        return self


def _by_best(flat: optuna.Study, objective: int, parameters: list[str], best: float) -> dict[str, float]:
    """PED-ANOVA's importance by parameter for one objective of a study."""
    asked = {name for trial in flat.get_trials(deepcopy=False) for name in trial.params}
    return get_param_importances(
        flat,
        evaluator=PedAnovaImportanceEvaluator(target_quantile=best),
        params=[name for name in parameters if name in asked],
        target=lambda trial: float(trial.values[objective]),  # noqa: PD011 - Optuna's trial
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's word on every study that it makes, and its advice on how to see importances."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
