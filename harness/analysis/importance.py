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
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances
from optuna.study import StudyDirection
from optuna.trial import TrialState

from harness.choices import NO_BLOCK
from harness.records import ROLE, ROW, TRAINING

COLUMNS = ("objective", "method", "parameter", "importance", "spread")
BEST, BEST_SHARE = 5, 0.1
"""PED-ANOVA compares the best tenth with all, but the best five at least [3]."""
FEWEST = 4 * BEST
"""Architectures below which nothing is said: the best five are then more than a quarter."""
RESAMPLES = 20
TREES = 32
"""Half of Optuna's number: the spread over resamples is far wider than that between forests."""


class Method(StrEnum):
    """How importance is reckoned."""

    FANOVA = "fANOVA"
    """What a site's kind by itself explains of the variance, over what all kinds by themselves explain."""
    PED_ANOVA = "PED-ANOVA"
    """How far the best architectures' choices differ from all architectures', over the sum for all choices."""


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What was chosen for each architecture that was trained, and what came of it.

    Attributes:
        chosen: One row per architecture, one column per parameter; NaN where it was not asked about. Kinds are
            always known: a site that was not asked about, because the blocks were used up, is empty.
        outcomes: The same rows; one column per objective, in its own sign and unit.
        minimized: Objective to whether less is better.
        distributions: Parameter to what there was to choose from.
    """

    chosen: pd.DataFrame
    outcomes: pd.DataFrame
    minimized: Mapping[str, bool]
    distributions: Mapping[str, BaseDistribution]


def choices_of(study: optuna.Study) -> Choices:
    """The choices and outcomes of a search's study.

    Trials that carry a completed training count, the baseline's included; duplicates and failures do not. What
    the sampler learnt from several seeds of an architecture is averaged.
    """
    trials = [
        trial
        for trial in study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        if trial.user_attrs.get(ROLE) == TRAINING
    ]
    names = [trial.user_attrs[ROW]["architecture"] for trial in trials]
    objectives = study.metric_names or [f"values_{at}" for at in range(len(study.directions))]
    told = pd.DataFrame([tuple(trial.values) for trial in trials], index=names, columns=objectives, dtype=float)
    chosen = pd.DataFrame([trial.params for trial in trials], index=names, dtype=object)
    chosen = chosen[~chosen.index.duplicated()]
    kinds = _kinds(chosen)
    chosen[kinds] = chosen[kinds].where(chosen[kinds].notna(), NO_BLOCK)
    return Choices(
        chosen=chosen,
        outcomes=told.groupby(level=0).mean().reindex(chosen.index),
        minimized={
            name: direction is StudyDirection.MINIMIZE
            for name, direction in zip(objectives, study.directions, strict=True)
        },
        distributions={name: each for trial in trials for name, each in trial.distributions.items()},
    )


def importances(choices: Choices, *, seed: int = 0, resamples: int = RESAMPLES) -> pd.DataFrame:
    """How much each choice matters for each objective.

    Args:
        choices: From `choices_of`.
        seed: Of the forests and of the resampling.
        resamples: Bootstrap resamples of the architectures, each with a forest of its own.

    Returns:
        `COLUMNS`, the most important first within objective and method. `importance`: 0 to 1, 1 in all over the
        method's parameters; `spread`: its standard deviation over the resamples. No row for an objective or
        a method's choices that do not vary, and none at all with fewer than `FEWEST` architectures.
    """
    tables: list[pd.DataFrame] = []
    count = len(choices.chosen)
    rng = np.random.default_rng(seed)
    for objective, minimized in choices.minimized.items():
        losses = choices.outcomes[objective] * (1 if minimized else -1)
        if count < FEWEST or losses.nunique() < 2:
            continue
        rows = [np.arange(count), *rng.integers(count, size=(resamples, count))]
        for method in Method:
            shares = pd.DataFrame(
                [
                    _shares(choices.chosen.iloc[row], losses.iloc[row], choices.distributions, method, seed + at)
                    for at, row in enumerate(rows)
                ]
            )
            if shares.iloc[0].isna().all():
                continue
            shares = shares.fillna(0.0)  # a choice that no architecture of a resample was asked about
            found = pd.DataFrame({"importance": shares.iloc[0], "spread": shares[1:].std()})
            found = found.rename_axis("parameter").reset_index().assign(objective=objective, method=method)
            tables.append(found.sort_values("importance", ascending=False, kind="stable"))
    if not tables:
        return pd.DataFrame(columns=list(COLUMNS))
    return pd.concat(tables, ignore_index=True)[list(COLUMNS)]


def _shares(
    chosen: pd.DataFrame,
    losses: pd.Series[float],
    distributions: Mapping[str, BaseDistribution],
    method: Method,
    seed: int,
) -> pd.Series[float]:
    """Importance by parameter for one objective of which less is better; NaN where nothing varies."""
    parameters = _kinds(chosen) if method is Method.FANOVA else list(chosen)
    chosen = chosen[parameters]
    if losses.nunique() < 2 or len(chosen.drop_duplicates()) < 2:
        return pd.Series(index=parameters, dtype=float)
    evaluator = (
        FanovaImportanceEvaluator(n_trees=TREES, seed=seed)
        if method is Method.FANOVA
        else PedAnovaImportanceEvaluator(target_quantile=max(BEST_SHARE, BEST / len(losses)))
    )
    with _quiet():
        flat = optuna.create_study(direction="minimize")
        for row, loss in zip(chosen.to_dict("records"), losses, strict=True):
            asked = {str(name): level for name, level in row.items() if pd.notna(level)}
            own = {name: distributions[name] for name in asked}
            flat.add_trial(optuna.trial.create_trial(params=asked, distributions=own, value=loss))
        return pd.Series(get_param_importances(flat, evaluator=evaluator), dtype=float)


def _kinds(chosen: pd.DataFrame) -> list[str]:
    """Parameters that say what is at a site; see `SearchSpace.suggest`."""
    return [str(name) for name in chosen if str(name).endswith(":kind")]


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
