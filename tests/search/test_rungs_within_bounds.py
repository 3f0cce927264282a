"""A search on a ladder with bounds on cost: who is tried, who climbs, and what of it is said."""

from __future__ import annotations

from typing import Any

import pytest

from harness.architecture import BASELINE
from harness.cost.space_cost import AdditiveCost
from harness.record.constraints import Constraints
from harness.search.region import Region
from harness.search.setting import Setting
from tests.search.pretended_search import Killed, Search


def bounded(search: Search, setting: Setting, **others: float) -> dict[str, Any]:
    """Bound MACs so that four of the space's 24 candidates are within; the options that say so."""
    cost = AdditiveCost.of_base(setting.base, setting.sites, classes=setting.classes, imgsz=64)
    macs = sorted(cost.of(architecture)[1] for architecture in setting.space.enumerate())
    bounds = {"max_macs": macs[3], **others}
    search.region = Region(setting.space, cost, Constraints.model_validate(bounds))
    return {"constraints": bounds}


def test_within_bounds_a_budget_tries_all_there_is_and_the_best_of_it_climb(search: Search, setting: Setting) -> None:
    # One of the four is too slow, and would climb else. After 2 epochs nobody reaches mAP 0.55, after 6 all do.
    bounds = bounded(search, setting, max_latency_ratio=1.382, min_map50_95=0.55)
    search.trainings.then = {7: Killed()}  # while the second rung is trained
    with pytest.raises(Killed):
        search(budget="90 trainings", trials=None, **bounds)
    notes = search(budget="90 trainings", trials=None, **bounds)
    assert "4 on 2 × 1, 2 on 6 × 2" in notes[0]
    assert search.region
    within = {setting.space.identity(architecture) for architecture in search.region.walk()}
    first = search.complete[(search.complete.epochs == 2) & (search.complete.seed == 0)].set_index("architecture")
    assert set(first.index) == within | {BASELINE}
    (slow,) = first.index[first.latency_ratio > 1.382]
    best = first.sort_values("gain_map50_95").index[-3:]
    assert slow in best
    assert set(search.complete[search.complete.epochs == 6].architecture) == {*best, BASELINE} - {slow}
    assert len(search.trainings.asked) == 5 + 3 * 3 + 1  # one was cut short


def test_what_is_too_slow_gets_no_second_seed_on_the_first_rung(search: Search) -> None:
    search(rungs="2x2, 6x3", trials=4, sampler="random", constraints={"max_latency_ratio": 1.5})
    seeds = search.complete[search.complete.epochs == 2].groupby("architecture").seed.nunique()
    slow = set(search.complete.architecture[search.complete.latency_ratio > 1.5])
    assert 0 < len(slow) < 4
    assert set(seeds.index[seeds == 1]) == slow


def test_what_was_trained_before_there_was_a_bound_takes_nobodys_place(search: Search, setting: Setting) -> None:
    search()
    before = set(search.rows.architecture)
    bounds = bounded(search, setting)
    notes = search(budget="90 trainings", trials=None, **bounds)
    assert search.region
    within = {setting.space.identity(architecture) for architecture in search.region.walk()}
    assert not before <= within | {BASELINE}
    assert set(search.rows.architecture) == before | within
    assert f"{len((before | within) - {BASELINE})} on 2 × 1" in notes[0]


def test_what_was_cut_short_before_there_was_a_bound_is_not_made_again(search: Search, setting: Setting) -> None:
    search.trainings.then = {2: Killed()}
    with pytest.raises(Killed):
        search()
    cut = search.rows.architecture.iloc[-1]
    search(**bounded(search, setting))
    assert cut not in set(search.complete.architecture)
    assert search.complete.architecture.nunique() == 1 + 2


def test_what_is_left_is_told_with_every_training_and_comes_to_nothing(search: Search) -> None:
    search()
    assert [work.trainings for work in search.left] == [8, 7, 6, 5, 4, 3, 2, 1, 0]
    epochs = [work.epochs for work in search.left]
    assert epochs == sorted(epochs, reverse=True)
    assert epochs[0] - epochs[-1] == sum(job.schedule.epochs for job in search.trainings.asked[1:])
    assert [(work.trainings, work.epochs, work.timed) for work in search.left][-1] == (0, 0, 0)
    assert [work.timed for work in search.left][:3] == [2, 1, 0]  # latency is measured on the first rung


def test_a_search_that_goes_on_counts_from_what_there_is(search: Search) -> None:
    search()
    search(trials=3)
    assert search.left[0].trainings < 8
    assert search.left[0].timed == 0
