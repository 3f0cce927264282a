"""Which candidates get more seeds: a reading of one seed chooses, other seeds judge."""

from __future__ import annotations

import pandas as pd

from harness.analysis.bounds import within
from harness.architecture import BASELINE
from harness.constraints import UNBOUNDED, Constraints
from harness.search.outcome import State


def finalists(rows: pd.DataFrame, *, seed: int, count: int, constraints: Constraints = UNBOUNDED) -> list[str]:
    """The most promising candidates by their first seed, best first.

    The choice rests on first readings alone, which later seeds do not change: a search that is run
    again chooses the same ones. Ties go to the lower latency.

    Args:
        rows: `StudyRecord.trials`.
        seed: The seed that screens.
        count: How many to take.
        constraints: Bounds that the first reading keeps to.

    Returns:
        Identities.
    """
    screened = rows[(rows.seed == seed) & (rows.state == State.COMPLETE) & (rows.architecture != BASELINE)]
    screened = screened[within(screened, constraints)]
    screened = screened[screened.gain_map50_95.notna()].drop_duplicates("architecture")
    ranked = screened.sort_values(["gain_map50_95", "latency_ratio"], ascending=[False, True])
    return list(ranked.architecture.head(count))
