"""The knee of a front: where paying more begins to gain less.

Of a front without any preference the knee is the usual pick [1, 2]: between the cheapest end and the most accurate
one it is the point that stands out most from the straight line, the chord, that joins them. Both objectives are
normalised to the front's own range, so that no unit weighs more than another.

References:
    1. Das, "On characterizing the 'knee' of the Pareto curve based on normal-boundary intersection", Structural
       Optimization 18, 1999: the point of the largest distance to the chord.
    2. Branke et al., "Finding knees in multi-objective optimization", PPSN VIII, 2004.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable

import numpy as np
import pandas as pd

from harness.analysis.fronts import non_dominated

EQUAL = 1e-9
"""Distances, in the normalised objectives, that are closer than this are one distance."""


def chord_distances(frame: pd.DataFrame, gain: str, cost: str) -> pd.Series[float]:
    """How far each member of the front stands out from the chord between the front's ends.

    Args:
        frame: One row per architecture; rows with NaN in an objective are left out.
        gain: Column of which more is better.
        cost: Column of which less is better.

    Returns:
        A value for each member of the front, the cheapest first: positive above the chord, on the side of more gain
        for less cost; 0 for both ends, and for all where the front has one point or two. At most √½, at the corner
        that costs the least and gains the most.
    """
    measured = frame[[gain, cost]].astype(float).replace([np.inf, -np.inf], np.nan).dropna()
    if measured.empty:
        return pd.Series(dtype=float)
    front = measured[non_dominated(measured, [gain], [cost])].sort_values(cost, kind="stable")
    lowest, span = front.min(), front.max() - front.min()
    if not (span > 0).all():  # one point, or copies of one
        return pd.Series(0.0, index=front.index)
    scaled = (front - lowest) / span
    distances: pd.Series[float] = (scaled[gain] - scaled[cost]) / np.sqrt(2)
    return distances


def knee(frame: pd.DataFrame, gain: str, cost: str, eligible: Collection[Hashable]) -> Hashable | None:
    """The eligible member of the front that stands out most from the chord; of equals the cheapest.

    A row that cannot be picked, such as the baseline, still is an end of the chord: with it, one candidate at the
    other end is picked unless another one stands out above the straight line from the baseline to it.

    Args:
        frame: One row per architecture.
        gain: Column of which more is better.
        cost: Column of which less is better.
        eligible: Labels of the rows that may be picked.

    Returns:
        Its label; None where no eligible row is on the front.
    """
    distances = chord_distances(frame, gain, cost)
    allowed = distances[distances.index.isin(list(eligible))]
    if allowed.empty:
        return None
    best = allowed[allowed >= allowed.max() - EQUAL].index[0]
    assert isinstance(best, Hashable)
    return best
