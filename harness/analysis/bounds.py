"""Which architectures lie beyond the bounds of a search: a view of its figures, changed without training anything."""

from __future__ import annotations

import pandas as pd

from harness.constraints import Constraints


def broken(rows: pd.DataFrame, constraints: Constraints) -> pd.DataFrame:
    """Which bounds each row breaks, by its figures as they are, whatever their intervals.

    What was not measured (NaN) breaks no bound.

    Args:
        rows: `StudyRecord.trials` or a summary of them.
        constraints: The bounds.

    Returns:
        Aligned with `rows.index`, a column of True and False for each bound that was given, by its name.
    """
    found = {bound.name: bound.broken_by(rows[bound.column]) for bound in constraints.bounds}
    return pd.DataFrame(found, index=rows.index, dtype=bool)


def within(rows: pd.DataFrame, constraints: Constraints) -> pd.Series[bool]:
    """Which rows break no bound, aligned with `rows.index`."""
    return ~broken(rows, constraints).any(axis=1)
