"""Architectures that learnt under some seeds and not under others: their mean is that of neither.

A block may break through at some step of its training or not before its end. Observations of such a one fall into two
groups, far further apart than seeds scatter where nothing breaks through. It is no noise of one effect, and a longer
training settles it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from harness.architecture import BASELINE
from harness.record.state import State

# Least gap between the groups, in standard deviations of a difference of two unpaired readings of the baseline.
BEYOND_NOISE = 8.0
# Least gap, in mAP50-95: what matters to nobody is no breakthrough.
LEAST_GAP = 0.05
# Most that who did not learn gains, as a share of the least gain of who did.
LITTLE = 0.5
# Least gap over the range of either group.
BEYOND_SPREAD = 2.0


@dataclass(frozen=True, kw_only=True)
class Breakthrough:
    """An architecture whose seeds fall into two groups.

    Attributes:
        architecture: Its identity.
        epochs: Of the trainings.
        learnt: Gains under the seeds under which it learnt, ascending.
        not_learnt: The others.
    """

    architecture: str
    epochs: int
    learnt: tuple[float, ...]
    not_learnt: tuple[float, ...]


def breakthroughs(trials: pd.DataFrame) -> tuple[Breakthrough, ...]:
    """Find the architectures that learnt under some seeds only, for each number of epochs.

    Args:
        trials: `StudyRecord.trials`.
    """
    complete = trials[(trials["state"] == State.COMPLETE) & trials["gain_map50_95"].notna()]
    found = []
    for epochs, rows in complete.groupby("epochs"):
        is_baseline = rows["architecture"] == BASELINE
        scatter = float(rows.loc[is_baseline, "map50_95"].std(ddof=1))  # NaN of one seed
        least = max(LEAST_GAP, BEYOND_NOISE * np.sqrt(2) * (0.0 if np.isnan(scatter) else scatter))
        for name, gains in rows[~is_baseline].groupby("architecture")["gain_map50_95"]:
            if split := _split(np.sort(gains.to_numpy(float)), least):
                below, above = split
                found.append(
                    Breakthrough(architecture=str(name), epochs=int(str(epochs)), learnt=above, not_learnt=below)
                )
    return tuple(found)


def _split(gains: np.ndarray, least: float) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Part ascending gains at their widest gap; None where it is not wide enough."""
    if len(gains) < 2:
        return None
    gaps = np.diff(gains)
    at = int(gaps.argmax()) + 1
    below, above = gains[:at], gains[at:]
    is_apart = gaps.max() >= max(least, BEYOND_SPREAD * max(np.ptp(below), np.ptp(above)))
    if not is_apart or not below[-1] <= LITTLE * above[0]:  # all learnt something, one less than another
        return None
    return tuple(map(float, below)), tuple(map(float, above))
