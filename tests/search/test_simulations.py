from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.record.settings import Sampler
from harness.search.simulate import Conditions, Replay, simulate
from harness.search.table import read_table
from tests.search.tiny import TINY

YOLOBENCH = Path(__file__).parents[1] / "data" / "yolobench" / "voc_scratch_100epochs.csv"


def timeless(found: dict[Sampler, list[Replay]]) -> list[list[dict[str, object]]]:
    """Comparable: an array as a list, without what differs from run to run."""
    return [
        [{**vars(replace(run, seconds_per_suggestion=0)), "shares": run.shares.tolist()} for run in runs]
        for runs in found.values()
    ]


def test_each_sampler_has_a_search_for_each_seed_in_their_order() -> None:
    ended: list[None] = []
    samplers, conditions = [Sampler.RANDOM, Sampler.COST_AWARE], Conditions(budget=3, noise=0.1)
    found = simulate(TINY, samplers, [3, 1, 2], conditions, jobs=1, after_each=lambda: ended.append(None))
    assert list(found) == samplers and len(ended) == 6
    alone = simulate(TINY, [Sampler.COST_AWARE], [1], conditions, jobs=1)
    assert timeless(alone) == [timeless(found)[1][1:2]]


@pytest.mark.slow
def test_processes_change_nothing() -> None:
    samplers, conditions = [Sampler.COST_AWARE, Sampler.TPE], Conditions(budget=4, noise=0.1, cost_error=0.1, workers=2)
    ended: list[None] = []
    several = simulate(TINY, samplers, range(2), conditions, jobs=2, after_each=lambda: ended.append(None))
    assert timeless(several) == timeless(simulate(TINY, samplers, range(2), conditions, jobs=1))
    assert len(ended) == 4


@pytest.mark.slow
def test_on_real_trainings_a_known_cost_is_worth_a_multiple_of_the_budget() -> None:
    """968 YOLO models; random is allowed twice the trainings."""
    table = read_table(
        YOLOBENCH, parameters=["family", "depth", "width", "resolution"], maximize="mAP_0.5:0.95",
        minimize="nano_gpu_latency",
    )  # fmt: skip
    [ours] = simulate(table, [Sampler.COST_AWARE], range(3), Conditions(budget=60), jobs=1).values()
    [random] = simulate(table, [Sampler.RANDOM], range(3), Conditions(budget=120), jobs=1).values()
    assert all(run.trainings_to(0.99) is not None for run in ours)
    assert all(run.shares[-1] < 0.99 for run in random)
    assert np.min([run.shares[29] for run in ours]) > np.max([run.shares[119] for run in random])
