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
    data, device = str(PUBLISHED.data[index]), str(PUBLISHED.hardware[index])
    weak, strict = (
        set(MODELS.index[non_dominated(MODELS, maximize=[data], minimize=[device], keep=keep)])
        for keep in ("weak", "strict")
    )
    assert weak == rows(PUBLISHED.pareto_indices[index])
    assert strict <= weak
    for row in weak - strict:
        accuracy, latency = MODELS[data][row], MODELS[device][row]
        better = MODELS.loc[sorted(strict)]
        better = better[(better[data] >= accuracy) & (better[device] <= latency)]
        assert len(better)
        assert ((better[data] == accuracy) | (better[device] == latency)).all()
