"""Which rows of a table nothing else beats, and which lie within the bounds of a search.

References:
    1. Zitzler et al., "Performance assessment of multiobjective optimizers", IEEE TEC 7(2), 2003: the
       relations of dominance used here.
    2. López-Ibáñez, moocore, https://multi-objective.github.io/moocore: the O(n log n) sweep.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import cast

import moocore
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.record.constraints import Constraints


def broken(rows: pd.DataFrame, constraints: Constraints) -> pd.DataFrame:
    """Return which bounds each row breaks, by its figures as they are, whatever their intervals.

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
    """Return which rows break no bound, aligned with `rows.index`."""
    return ~broken(rows, constraints).any(axis=1)


# Rows compared with the whole front at once: bounds memory, changes no result.
_CHUNK = 4096


class Keep(StrEnum):
    """What happens to a row that is equal to another on some objectives."""

    # Drop a row when another is at least as good everywhere and better somewhere (Pareto dominance).
    STRICT = "strict"
    # Drop a row only when another is better on every objective (strict dominance).
    WEAK = "weak"


def non_dominated(
    frame: pd.DataFrame,
    maximize: Sequence[str] = (),
    minimize: Sequence[str] = (),
    keep: str = Keep.STRICT,
) -> pd.Series[bool]:
    """Mark the rows that belong to the Pareto front.

    The two rules differ on ties alone: `weak` keeps a slower row that only equals the accuracy of a
    faster one (YOLOBench's published fronts do), `strict` drops it. Rows that are equal on *every*
    objective stand or fall together under both: none of two equal architectures is the worse.

    Infinite values are compared like others. A row with NaN in any objective is never on the front and
    dominates nothing: what was not measured cannot win.

    Args:
        frame: One row per candidate; other columns are ignored.
        maximize: Columns of which more is better.
        minimize: Columns of which less is better.
        keep: A `Keep`.

    Returns:
        True for the rows on the front, aligned with `frame.index`.

    Raises:
        ValueError: No objective, an objective named twice, or an unknown `keep`.
        KeyError: A column that the frame does not have.
    """
    points = less_is_better(frame, maximize, minimize)
    rule = Keep(keep)
    measured = ~np.isnan(points).any(axis=1)
    on_front = np.zeros(len(frame), dtype=bool)
    if measured.any():
        on_front[measured] = _front(points[measured], rule)
    return cast("pd.Series[bool]", pd.Series(on_front, index=frame.index, name="on_front"))


def less_is_better(frame: pd.DataFrame, maximize: Sequence[str], minimize: Sequence[str]) -> NDArray[np.float64]:
    """Return the objectives (rows × objectives, in the order given), those turned round of which more is better.

    Raises:
        ValueError: No objective, or an objective named twice.
        KeyError: A column that the frame does not have.
    """
    columns = [*maximize, *minimize]
    if not columns or len(set(columns)) != len(columns):
        raise ValueError(f"objectives {columns}: name one or more columns, each once")
    signs = np.array([-1.0] * len(maximize) + [1.0] * len(minimize))
    # Adding 0.0 turns -0.0 into 0.0, so that both are one value.
    points: NDArray[np.float64] = frame[columns].to_numpy(dtype=float) * signs + 0.0
    return points


def _front(points: NDArray[np.float64], rule: Keep) -> NDArray[np.bool_]:
    """Mark the rows on the front of finished points (rows × objectives, less is better, no NaN)."""
    if points.shape[1] == 1:  # moocore asks for two objectives
        strict: NDArray[np.bool_] = points[:, 0] == points[:, 0].min()
    else:
        # Ranks have the dominance of the values they stand for, and moocore 0.3 crashes on infinities of both signs.
        ranks = np.column_stack([np.unique(column, return_inverse=True)[1] for column in points.T])
        # moocore's keep_weakly only says that copies of a front point stay.
        strict = np.asarray(moocore.is_nondominated(ranks.astype(float), keep_weakly=True), dtype=bool)
    if rule is Keep.STRICT:
        return strict
    # Whoever is beaten everywhere is beaten everywhere by a member of the strict front too.
    front = np.unique(points[strict], axis=0)
    kept = np.ones(len(points), dtype=bool)
    for start in range(0, len(points), _CHUNK):
        part = slice(start, start + _CHUNK)
        beaten: NDArray[np.bool_] = np.all(front[None, :, :] < points[part, None, :], axis=2)
        kept[part] = ~np.any(beaten, axis=1)
    return kept
