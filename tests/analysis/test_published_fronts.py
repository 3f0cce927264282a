"""A second oracle: the fronts that YOLOBench published of its own table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from harness.analysis.fronts import non_dominated

FOLDER = Path(__file__).parents[1] / "data" / "yolobench"
MODELS = pd.read_csv(FOLDER / "finetuned.csv")
PUBLISHED = pd.read_csv(FOLDER / "published_fronts.csv")


def rows(front: object) -> set[int]:
    return {int(number) for number in str(front).split(",")}


def test_there_are_as_many_fronts_as_metrics_times_devices() -> None:
    assert len(PUBLISHED) == PUBLISHED.data.nunique() * PUBLISHED.hardware.nunique() == 64


@pytest.mark.parametrize("index", PUBLISHED.index)
def test_a_published_front_is_the_weak_one(index: int) -> None:
    """It keeps a slower model that equals the best accuracy so far; strict non-dominance differs on such ties alone."""
    one = PUBLISHED.loc[index]
    weak, strict = (
        set(MODELS.index[non_dominated(MODELS, maximize=[one.data], minimize=[one.hardware], keep=keep)])
        for keep in ("weak", "strict")
    )
    assert weak == rows(one.pareto_indices)
    assert strict <= weak
    tied = MODELS.loc[sorted(weak - strict)]
    best = MODELS.loc[sorted(strict)]
    assert all(
        ((best[one.data] >= row[one.data]) & (best[one.hardware] <= row[one.hardware])).any()
        and ((best[one.data] == row[one.data]) | (best[one.hardware] == row[one.hardware])).any()
        for _, row in tied.iterrows()
    )
