"""How much of the objectives' space a set of architectures covers: one number for a whole front.

The hypervolume is the volume of all points that some row is better than and that are better than the reference
point [1]. It grows with every row that the front lacks, and it is the only widely used number that never calls
a worse front the better [2]. Its unit is the product of the objectives' units, so that only hypervolumes of
one reference point can be compared.

References:
    1. Zitzler and Thiele, "Multiobjective optimization using evolutionary algorithms", PPSN V, 1998.
    2. Zitzler et al., "Performance assessment of multiobjective optimizers", IEEE TEC 7(2), 2003.
    3. Ishibuchi et al., "A many-objective test problem for visually examining diversity maintenance behavior in a
       decision space", GECCO 2011: a tenth of the range beyond the nadir is a robust reference point.
    4. Balandat et al., "BoTorch", NeurIPS 2020, `infer_reference_point`: the rule as applied here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import moocore
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.analysis.fronts import less_is_better, non_dominated

# Share of the front's range by which the reference point is worse than the nadir [3].
BEYOND_NADIR = 0.1
# In the place of a range of zero [4]: a row at the reference point would cover nothing.
SMALLEST_RANGE = 1e-7


def hypervolume(
    frame: pd.DataFrame, maximize: Sequence[str], minimize: Sequence[str], reference: Mapping[str, float]
) -> float:
    """Compute the volume that the rows cover, from the reference point on.

    A row that is not better than the reference point in every objective adds nothing; neither does a copy, a
    dominated row, or one with NaN or infinity in an objective: what was not measured covers nothing.

    Args:
        frame: One row per architecture; other columns are ignored.
        maximize: Columns of which more is better.
        minimize: Columns of which less is better.
        reference: Objective to the worst value that counts, in the objective's own sign and unit.

    Returns:
        0 or more, in the product of the objectives' units.

    Raises:
        ValueError: No objective, one named twice, or one without a finite reference.
        KeyError: A column that the frame does not have.
    """
    points, worst = _points(frame, maximize, minimize, reference)
    points = points[np.isfinite(points).all(axis=1)]
    return float(moocore.hypervolume(points, ref=worst)) if len(points) else 0.0


def _points(
    frame: pd.DataFrame, maximize: Sequence[str], minimize: Sequence[str], reference: Mapping[str, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return all rows and the reference point, each objective with its sign."""
    points = less_is_better(frame, maximize, minimize)
    missing = [name for name in [*maximize, *minimize] if not np.isfinite(reference.get(name, np.nan))]
    if missing:
        raise ValueError(f"reference point: {', '.join(missing)} has no finite value in {dict(reference)}")
    return points, less_is_better(pd.DataFrame([dict(reference)]), maximize, minimize)[0]


def reference_point(
    frame: pd.DataFrame, maximize: Sequence[str], minimize: Sequence[str], worst: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Compute a reference point by a published rule: the front's nadir, worse by a tenth of the front's range [3, 4].

    Of a front of one point the range is its absolute value. The rule looks at what was found; whoever compares
    two moments of a study infers it once, from the later one, and uses it for both.

    Args:
        frame: One row per architecture; rows with NaN or infinity in an objective are left out.
        maximize: Columns of which more is better.
        minimize: Columns of which less is better.
        worst: Objectives whose worst value is known before any training, as that of a cost is among all
            candidates of a space: it is the reference itself, and the front is not asked.

    Raises:
        ValueError: No objective, one named twice, or no row is measured in all objectives.
        KeyError: A column that the frame does not have.
    """
    columns = [*maximize, *minimize]
    measured = frame[columns].replace([np.inf, -np.inf], np.nan).dropna()
    if measured.empty:
        raise ValueError(f"reference point of {columns}: none of {len(frame)} rows is measured in all")
    on_front = non_dominated(measured, maximize, minimize).to_numpy()
    front = np.unique(less_is_better(measured, maximize, minimize)[on_front], axis=0)
    nadir = front.max(axis=0)
    span = np.abs(front[0]) if len(front) == 1 else nadir - front.min(axis=0)
    inferred = nadir + BEYOND_NADIR * np.maximum(span, SMALLEST_RANGE)
    inferred[: len(maximize)] *= -1
    return dict(zip(columns, map(float, inferred), strict=True)) | dict(worst or {})


def relative_hypervolume(
    found: pd.DataFrame, table: pd.DataFrame, maximize: Sequence[str], minimize: Sequence[str]
) -> float:
    """Compute the hypervolume of what a search found, as a share of that of the best it could have found.

    The reference point is the worst value of the table in every objective, so that no choice is left to the
    reader. Costs count by their logarithm: half the cost is worth the same at every size. Min-max
    normalisation over the table, as benchmarks of architecture search do it [2], is implied: scaling an
    objective changes both volumes alike.

    Args:
        found: Rows of the table that the search has trained; NaN adds nothing.
        table: Every architecture, with its true objectives.
        maximize: Accuracies, of which more is better.
        minimize: Costs, of which less is better; zero and below count as not measured.

    Returns:
        0 to 1; NaN where even the whole table covers nothing: each row is the worst of the table in something.

    Raises:
        ValueError: No objective, one named twice, or no row of the table is measured in all.
        KeyError: A column that a frame does not have.
    """
    columns = [*maximize, *minimize]
    found, table = (_in_logarithms(frame[columns], minimize) for frame in (found, table))
    known = table.replace([np.inf, -np.inf], np.nan).dropna()
    if known.empty:
        raise ValueError(f"table of {columns}: none of {len(table)} rows is measured in all")
    reference = {name: float(known[name].min()) for name in maximize}
    reference |= {name: float(known[name].max()) for name in minimize}
    whole = hypervolume(known, maximize, minimize, reference)
    return hypervolume(found, maximize, minimize, reference) / whole if whole > 0 else float("nan")


def _in_logarithms(frame: pd.DataFrame, costs: Sequence[str]) -> pd.DataFrame:
    """Return the frame with its costs in natural logarithms, NaN where a cost is not above 0."""
    positive = frame[[*costs]].astype(float).where(lambda cost: cost > 0)
    return frame.assign(**{name: np.log(positive[name]) for name in costs}).astype(float)
