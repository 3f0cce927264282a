"""How far a search has come, by the hypervolume it has found, and whether going on pays.

References:
    1. Jones, Schonlau and Welch, "Efficient global optimization of expensive black-box functions", J. Global
       Optim. 13, 1998: stop when the expected improvement is below a share of the best there is.
    2. Daulton et al., "Differentiable expected hypervolume improvement for parallel multi-objective Bayesian
       optimization", NeurIPS 2020: several steps together improve less than the sum of each alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.analysis.hypervolume import hypervolumes
from harness.record.state import State

AHEAD = 10
"""Trainings that the stop rule looks ahead: those of one more `clo search --more 10`."""


def progress(
    trials: pd.DataFrame, maximize: Sequence[str], minimize: Sequence[str], reference: Mapping[str, float]
) -> pd.DataFrame:
    """Hypervolume of what was known after each finished training.

    Only the seed that the search looks at counts, the baseline's row included: repeats judge finalists and find
    nothing new. Hours are those in which at least one training ran, whatever its seed or end; pauses between two
    runs of a search are left out, and so is the training of the common base.

    Args:
        trials: `StudyRecord.trials`, in any order. A row without both times is left out.
        maximize: Its columns of which more is better.
        minimize: Its columns of which less is better.
        reference: As in `hypervolume`; one for the whole study, so that what one training added can be read off.

    Returns:
        One row for each complete training of that seed, in the order in which they finished: `trainings` (1, 2, …),
        `hours`, `hypervolume` (never falling; a training with NaN in an objective adds nothing).

    Raises:
        ValueError, KeyError: As `hypervolume`.
    """
    times = trials[["started", "finished"]].apply(pd.to_datetime, format="ISO8601", utc=True, errors="coerce")
    timed = trials.assign(**times)[times.notna().all(axis=1)]
    timed = timed.assign(hours=_hours_of_work(timed)).sort_values("finished", kind="stable")
    rows = timed[(timed["state"] == State.COMPLETE) & timed["selected_on"].astype(bool)]
    counts = range(1, len(rows) + 1)
    volumes = hypervolumes(rows, maximize, minimize, reference)
    return pd.DataFrame(
        {"trainings": np.array(counts, dtype=int), "hours": rows["hours"].to_numpy(float), "hypervolume": volumes}
    ).astype({"hypervolume": float})


def _hours_of_work(timed: pd.DataFrame) -> NDArray[np.float64]:
    """Hours until each row's end in which some row's training ran."""
    begin, end = (
        (timed[name] - timed["started"].min()).dt.total_seconds().to_numpy(float) for name in ("started", "finished")
    )
    edges = np.unique(np.concatenate([[0.0], begin, end]))
    busy = ((begin[:, None] <= edges[:-1]) & (end[:, None] >= edges[1:])).any(axis=0)
    worked = np.concatenate([[0.0], np.cumsum(np.diff(edges) * busy)])
    hours: NDArray[np.float64] = np.interp(end, edges, worked) / 3600
    return hours


def further_gain(hypervolume_now: float, expected_improvements: Sequence[float]) -> float:
    """What the next ten trainings are expected to add, as a share of the hypervolume that there is.

    Where each improvement is reckoned from today's front rather than from what the steps before will have left
    [2], their sum is too large: the rule then goes on for longer than it need.

    Args:
        hypervolume_now: 0 or more.
        expected_improvements: The sampler's expected hypervolume improvement of each step to come, in the same
            unit. Steps after the tenth are ignored; fewer are all that the space has left.

    Returns:
        0 or more; infinite where something is expected and nothing is there.

    Raises:
        ValueError: A number is negative or NaN.
    """
    ahead = list(islice(expected_improvements, AHEAD))
    if not all(value >= 0 for value in [hypervolume_now, *ahead]):
        raise ValueError(f"hypervolume {hypervolume_now}, expected improvements {ahead}: each is 0 or more")
    expected = math.fsum(ahead)
    if expected == 0:
        return 0.0
    return expected / hypervolume_now if hypervolume_now > 0 else math.inf


def enough(hypervolume_now: float, expected_improvements: Sequence[float], threshold: float) -> bool:
    """Whether to stop: another ten trainings are expected to add less than this share of the hypervolume [1].

    Args:
        hypervolume_now: As in `further_gain`.
        expected_improvements: As in `further_gain`.
        threshold: Share of the present hypervolume, 0.01 for 1 %.
    """
    return further_gain(hypervolume_now, expected_improvements) < threshold
