"""What each choice is worth: the mean of the architectures that have it, minus that of those that could have.

The comparison is among the architectures that were asked: a kernel is compared with the other kernels at that
site, not with having no block there. It knows no causes: a sampler chose the architectures, so that choices
which it liked to combine share their effects, and choices that looked bad early were not tried again.

References:
    1. Welch, "The generalization of Student's problem when several different population variances are
       involved", Biometrika 34, 1947.
    2. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6, 1979.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from scipy import stats

from harness.analysis.noise import ALPHA, NO_VARIATION, holm
from harness.record.data_dictionary import EFFECTS

COLUMNS = tuple(EFFECTS)
# Architectures on either side below which a level is left out: it could never pass Holm's correction over the many
# levels of a space, and would only make it harder for the others.
FEWEST = 5


def marginal_effects(chosen: pd.DataFrame, outcomes: pd.DataFrame) -> pd.DataFrame:
    """Compute the effect of every choice on every objective, with its interval and a test corrected for many looks.

    Args:
        chosen: One row per architecture, one column per parameter; NaN where it was not asked about.
        outcomes: The same rows; one column per objective. NaN is left out.

    Returns:
        `COLUMNS`; one row for each objective, parameter and level that `FEWEST` architectures or more have and as
        many could have had and have not. `effect`: difference of the means in the objective's own sign and unit;
        `low`, `high`: Welch's 95 % interval [1], uncorrected; `p_holm`: corrected [2] over all rows of the
        objective; `significant`: below 5 %. NaN and False where neither side varies. Of a parameter with two
        levels the rows mirror each other; the correction counts both, and is the stricter for it.
    """
    tables = [_effects_on(str(objective), outcomes[objective].dropna(), chosen) for objective in outcomes]
    tables = [table for table in tables if not table.empty]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))


def _effects_on(objective: str, outcome: pd.Series[float], chosen: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for parameter in chosen:
        asked = chosen[parameter].reindex(outcome.index).dropna()
        for level in sorted(asked.unique(), key=lambda level: (isinstance(level, str), level)):
            has = asked == level
            sides = outcome[asked.index[has]], outcome[asked.index[~has]]
            if min(map(len, sides)) >= FEWEST:
                rows.append({"parameter": parameter, "level": level, **_difference(*sides)})
    effects = pd.DataFrame(rows, columns=list(COLUMNS)).assign(objective=objective)
    effects["p_holm"] = holm(effects["p_value"])
    return effects.assign(significant=effects["p_holm"] < ALPHA)


def _difference(having: pd.Series[float], lacking: pd.Series[float]) -> dict[str, float]:
    """Compute the difference of two means with Welch's interval and test."""
    found = {
        "effect": float(having.mean() - lacking.mean()),
        "n_with": len(having),
        "n_without": len(lacking),
    }
    if max(having.std(), lacking.std()) <= NO_VARIATION:
        return {**found, "low": np.nan, "high": np.nan, "p_value": np.nan}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # one side may be constant: the other's scatter is enough
        test = stats.ttest_ind(having, lacking, equal_var=False)
    interval = test.confidence_interval(1 - ALPHA)
    return {**found, "low": float(interval.low), "high": float(interval.high), "p_value": float(test.pvalue)}
