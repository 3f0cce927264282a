"""What replayed searches come to: medians and quartiles over seeds, as data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from harness.search.simulate import Replay

# Numbers of trainings in the table for people; the data have more.
_SHOWN = (10, 20, 50, 100, 200, 500, 1000)
# Shares of the true front's hypervolume that a search should reach.
SHARES = (0.95, 0.98, 0.99)


@dataclass(frozen=True, kw_only=True)
class SimulationSummary:
    """One sampler over all seeds. Hypervolumes are shares of the true front's, numbers are medians.

    Attributes:
        sampler: Its name.
        seeds: Searches.
        hypervolume: By trainings.
        hypervolume_quartiles: First and third, by trainings.
        evaluations_to: Trainings until a share was reached, by share; None where fewer than half of the seeds did.
        reached: Seeds that reached it, by share.
        distinct: Different models that were trained.
        asks: Proposals, with those of missing and known models.
        stalled: Seeds that stopped because the sampler found nothing new.
        final_share: Of the front that the search would name.
        confirmations: Readings beyond the budget that this took.
        seconds_per_suggestion: Time of one proposal.
    """

    sampler: str
    seeds: int
    hypervolume: dict[int, float]
    hypervolume_quartiles: dict[int, tuple[float, float]]
    evaluations_to: dict[float, float | None]
    reached: dict[float, int]
    distinct: float
    asks: float
    stalled: int
    final_share: float
    confirmations: float
    seconds_per_suggestion: float

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON, whose keys are strings."""
        return {
            name: {str(key): each for key, each in value.items()} if isinstance(value, dict) else value
            for name, value in asdict(self).items()
        }


def curves(replays: Mapping[str, Sequence[Replay]]) -> pd.DataFrame:
    """Compute the hypervolume after each training.

    Args:
        replays: By sampler, all of one budget.

    Returns:
        A row for each sampler and number of trainings: sampler, trainings, low, median, high; the quartiles are low
        and high.
    """
    parts = []
    for sampler, runs in replays.items():
        low, middle, high = np.quantile([run.shares for run in runs], [0.25, 0.5, 0.75], axis=0)
        trainings = np.arange(1, len(middle) + 1)
        parts.append(
            pd.DataFrame({"sampler": sampler, "trainings": trainings, "low": low, "median": middle, "high": high})
        )
    return pd.concat(parts, ignore_index=True)


def summarize(sampler: str, replays: Sequence[Replay]) -> SimulationSummary:
    """Sum up one sampler's searches.

    Args:
        sampler: Its name.
        replays: One a seed, all of one budget.
    """
    budget = len(replays[0].shares)
    counts = [*range(10, budget, 10), budget]
    curve = curves({sampler: replays}).set_index("trainings").loc[counts]
    trainings = {share: [run.trainings_to(share) for run in replays] for share in SHARES}
    return SimulationSummary(
        sampler=sampler,
        seeds=len(replays),
        hypervolume=dict(zip(counts, curve["median"].tolist(), strict=True)),
        hypervolume_quartiles={
            count: (low, high)
            for count, low, high in zip(counts, curve["low"].tolist(), curve["high"].tolist(), strict=True)
        },
        evaluations_to={share: _median_reached(counts) for share, counts in trainings.items()},
        reached={share: sum(count is not None for count in counts) for share, counts in trainings.items()},
        distinct=median(run.distinct for run in replays),
        asks=median(run.asks for run in replays),
        stalled=sum(run.stalled for run in replays),
        final_share=median(run.final_share for run in replays),
        confirmations=median(run.confirmations for run in replays),
        seconds_per_suggestion=median(run.seconds_per_suggestion for run in replays),
    )


def _median_reached(counts: Sequence[int | None]) -> float | None:
    """Return the median, where never is more than any number; of two in the middle a never is left out."""
    ordered = sorted(math.inf if count is None else count for count in counts)
    middle = [count for count in ordered[(len(ordered) - 1) // 2 : len(ordered) // 2 + 1] if math.isfinite(count)]
    return sum(middle) / len(middle) if middle else None


def rows_of(results: Sequence[SimulationSummary]) -> tuple[list[str], list[list[str]]]:
    """Return a table for people, its header first: a column a sampler.

    A share that fewer than half of the seeds reached has a dash.
    """
    budget = max(results[0].hypervolume)
    rows = [
        [f"after {count}", *(_percent(each.hypervolume[count], each.hypervolume_quartiles[count]) for each in results)]
        for count in results[0].hypervolume
        if count in _SHOWN or count == budget
    ]
    rows += [
        [f"to {share:.0%}", *(_count(each.evaluations_to[share]) for each in results)]
        for share in results[0].evaluations_to
    ]
    rows += [
        ["models", *(f"{each.distinct:g}" for each in results)],
        ["asks", *(f"{each.asks:g}" for each in results)],
        ["s/suggestion", *(f"{each.seconds_per_suggestion:.4f}" for each in results)],
        ["stalled", *(f"{each.stalled} of {each.seeds}" for each in results)],
    ]
    if any(each.confirmations for each in results):
        rows += [
            ["confirmations", *(f"{each.confirmations:g}" for each in results)],
            ["final front", *(f"{100 * each.final_share:.1f}" for each in results)],
        ]
    return ["", *(each.sampler for each in results)], rows


def _percent(middle: float, quartiles: tuple[float, float]) -> str:
    low, high = quartiles
    return f"{100 * middle:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def _count(count: float | None) -> str:
    return "–" if count is None else f"{count:g}"
