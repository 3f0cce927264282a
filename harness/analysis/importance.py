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

fANOVA's main effects on a space of categories are computed here at an eighth of Optuna's time: it walks down every tree
of the forest once for each value of a choice, in Python: two of the three seconds that a study of 1,000 architectures
takes. Where all choices are categories, coded as one column of 0 and 1 a level, every split is at one half. A leaf is
then a sign a column, its volume a power of one half, and all walks down a tree are one product of matrices. The forest
is scikit-learn's, and the shares are those of Optuna's `FanovaImportanceEvaluator` but for rounding, levels that no
architecture can have together included: it, too, averages over the whole cube.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from itertools import accumulate, product
from typing import Any, NamedTuple

import numpy as np
import optuna
import pandas as pd
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

from harness.record.data_dictionary import IMPORTANCE
from harness.record.study import Choices

# Levels of a tree, as in Optuna.
_DEEPEST = 64


class Coded(NamedTuple):
    """Categories as numbers.

    Attributes:
        columns: A row an architecture, a column for each level of each choice: 1 where it has the level.
        places: Choice to its columns, by name; choices of one level have none.
    """

    columns: NDArray[np.float64]
    places: dict[str, slice]


def coded(chosen: pd.DataFrame, levels: Mapping[str, Sequence[Any]]) -> Coded:
    """Code every choice that has two or more levels, one column a level.

    Args:
        chosen: A row an architecture, a column a choice, none of them missing.
        levels: Choice to all that there is to choose from.
    """
    names = sorted(str(name) for name in chosen if len(levels[str(name)]) > 1)
    ends = list(accumulate((len(levels[name]) for name in names), initial=0))
    blocks = [pd.Index(levels[name]).get_indexer(pd.Index(chosen[name])) for name in names]
    columns = np.zeros((len(chosen), ends[-1]))
    for start, places in zip(ends, blocks, strict=False):
        columns[np.arange(len(chosen)), start + places] = 1.0
    return Coded(columns, {name: slice(*ends[at : at + 2]) for at, name in enumerate(names)})


def variance_shares(found: Coded, outcome: NDArray[np.float64], *, trees: int, seed: int) -> dict[str, float]:
    """Compute what each choice alone explains of an outcome's variance, as a share of the sum over all choices.

    Args:
        found: From `coded`.
        outcome: Of each row, finite.
        trees: Of the forest.
        seed: Of the forest.

    Returns:
        Choice to its share, the largest first; 1 in all. Empty where no tree splits: the choices explain nothing.
    """
    from sklearn.ensemble import RandomForestRegressor

    if not found.places:
        return {}
    forest = RandomForestRegressor(n_estimators=trees, max_depth=_DEEPEST, random_state=seed)
    forest.fit(found.columns, outcome)
    parts = [part for each in forest.estimators_ if (part := _of_tree(each.tree_, found.places)) is not None]
    if not parts:
        return {}
    explained = np.mean(parts, axis=0)
    total = float(explained.sum())
    shares = explained / total if total else np.full(len(explained), 1 / len(explained))
    named = dict(zip(found.places, map(float, shares), strict=True))
    return dict(sorted(named.items(), key=lambda item: item[1])[::-1])  # equal ones in Optuna's order


def _of_tree(tree: Any, places: Mapping[str, slice]) -> NDArray[np.float64] | None:
    """Compute the share of a tree's variance that each choice by itself explains; None where it is one leaf."""
    sides, values = _leaves(tree)
    splits = (sides != 0).sum(axis=1)
    volumes = 0.5**splits
    mean = float(volumes @ values)
    variance = float(volumes @ (values - mean) ** 2)
    if variance <= 0:
        return None
    found = []
    for place in places.values():
        own = sides[:, place]
        corners = np.array(list(product((-1, 1), repeat=own.shape[1])), dtype=np.int8)
        missed = (own == 1) @ (corners == -1).T.astype(np.int32) + (own == -1) @ (corners == 1).T.astype(np.int32)
        beside = values * 0.5 ** (splits - (own != 0).sum(axis=1))  # by the volume in all other directions
        means = beside @ (missed == 0)
        found.append(float(((means - means.mean()) ** 2).mean()))
    return np.array(found) / variance


def _leaves(tree: Any) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Find each leaf's side of every column's split (−1, 1, or 0 where it is on both), and its value."""
    sides = np.zeros((tree.node_count, tree.n_features), dtype=np.int8)
    inner = np.flatnonzero(tree.feature >= 0)
    children = zip(inner, tree.feature[inner], tree.children_left[inner], tree.children_right[inner], strict=True)
    for node, column, left, right in children:  # a node comes before its children
        sides[[left, right]] = sides[node]
        sides[left, column], sides[right, column] = -1, 1
    leaf = tree.feature < 0
    return sides[leaf], tree.value[leaf, 0, 0]


COLUMNS = tuple(IMPORTANCE)
# PED-ANOVA compares the best tenth with all, but the best five at least [3].
BEST, BEST_SHARE = 5, 0.1
# Architectures below which nothing is said: the best five are then more than a quarter.
FEWEST = 4 * BEST
# Half of Optuna's number: the spread over resamples is far wider than that between forests.
TREES = 32
# Enough for the spread: of 60 architectures it was 0.086 with 8 trees and 0.077 with 32, at a quarter of the time.
TREES_OF_A_RESAMPLE = 8
RESAMPLES, LEAST_RESAMPLES = 20, 3
# Architectures from which half of them, drawn without repeats, take the place of a bootstrap resample: the mean of a
# half-sample scatters as that of a resample does [4], and takes half the time.
LARGE = 400
# Architectures over all resamples, above which there are fewer of these; 1,000 take half a second.
MOST_ROWS = 3000


class Method(StrEnum):
    """How importance is estimated."""

    # What a site's kind by itself explains of the variance, over what all kinds by themselves explain.
    FANOVA = "fANOVA"
    # How far the best architectures' choices differ from all architectures', over the sum for all choices.
    PED_ANOVA = "PED-ANOVA"


def resamples_of(architectures: int) -> int:
    """Return as many resamples as keep a report fast: `RESAMPLES`, fewer of large studies, whose spread is small."""
    return max(LEAST_RESAMPLES, min(RESAMPLES, MOST_ROWS // max(architectures, 1)))


def importances(choices: Choices, *, seed: int = 0, resamples: int | None = None) -> pd.DataFrame:
    """Estimate how much each choice matters for each objective.

    Args:
        choices: From `harness.storage.records.choices_of`.
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
    """Estimate importance by parameter of some of the architectures, for each objective and method."""
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
    """Estimate PED-ANOVA's importance by parameter for one objective of a study."""
    asked = {name for trial in flat.get_trials(deepcopy=False) for name in trial.params}
    return get_param_importances(
        flat,
        evaluator=PedAnovaImportanceEvaluator(target_quantile=best),
        params=[name for name in parameters if name in asked],
        target=lambda trial: float(trial.values[objective]),  # noqa: PD011 - Optuna's trial
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Optuna's word on every study that it makes, and its advice on how to see importances."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
