"""A plan never costs more than the budget, and one candidate more would."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.jobs.plan import LEAST_EPOCHS, STEPS_TO_SHOW, Pace, Plan, enough_epochs, plan, too_few_steps
from harness.record.ladder import Budget, Ladder, Unit, parse_rungs
from tests.record.test_ladder import ladders

EXAMPLE = parse_rungs("3x1, 3x3, 12x4")
PACE = Pace(epoch_seconds=10.0, latency_seconds=5.0, workers=2)


def planned(ladder: Ladder = EXAMPLE, **values: Any) -> Plan:
    found = plan(ladder, **{"candidates": 10, "finalists": None, "budget": None, "pace": None} | values)
    assert found is not None
    return found


def spent(found: Plan, unit: Unit) -> float:
    return {Unit.TRAININGS: found.trainings, Unit.EPOCHS: found.epochs, Unit.SECONDS: found.seconds}[unit] or 0.0


def test_the_example_by_hand() -> None:
    # with the baseline 11, 5 and 3 architectures; steps 1, 2 and 5; epochs 3, 2 · 3 and 3 · 9 + (3 + 9)
    found = planned()
    assert [rung.candidates for rung in found.rungs] == [10, 4, 2]
    assert [rung.trainings for rung in found.rungs] == [11 * 1, 5 * 2, 3 * 5]
    assert [rung.epochs for rung in found.rungs] == [11 * 3, 5 * 6, 3 * 39]
    assert (found.trainings, found.epochs) == (36, 180)
    assert str(found) == (
        "candidates on each rung (epochs × seeds): 10 on 3 × 1, 4 on 3 × 3, 2 on 12 × 4; "
        "with the baseline 36 trainings, 180 epochs"
    )


def test_time_is_epochs_over_workers_and_latency_alone() -> None:
    assert planned(pace=PACE).seconds == pytest.approx(180 * 10 / 2 + 11 * 5)
    assert planned().seconds is None
    assert str(planned(pace=PACE)).endswith("180 epochs, about 16 min")


def test_a_time_is_no_plan_before_the_pace_is_known() -> None:
    time = Budget(600, Unit.SECONDS)
    assert plan(EXAMPLE, candidates=10, finalists=None, budget=time, pace=None) is None
    assert planned(budget=time, pace=PACE).candidates == 5


def test_where_nobody_climbs_the_baseline_stays_below_too() -> None:
    assert [rung.trainings for rung in planned(finalists=0).rungs] == [11, 0, 0]
    assert [rung.trainings for rung in planned(candidates=0).rungs] == [1, 0, 0]


@pytest.mark.parametrize(
    ("budget", "least"),
    [
        (Budget(15, Unit.TRAININGS), "16 trainings at least"),
        (Budget(95, Unit.EPOCHS), "96 epochs at least"),
        (Budget(60, Unit.SECONDS), "8.2 m at least"),  # 96 · 10 / 2 + 2 · 5 s
    ],
)
def test_too_little_says_what_would_do(budget: Budget, least: str) -> None:
    with pytest.raises(ValueError, match=f"too little for one candidate: {least}"):
        planned(budget=budget, pace=PACE)


@given(
    ladder=ladders(),
    candidates=st.integers(1, 300),
    finalists=st.none() | st.integers(0, 9),
    unit=st.sampled_from(Unit),
    amount=st.integers(1, 3000),
)
def test_a_plan_spends_no_more_than_the_budget_and_leaves_no_candidate_out(
    ladder: Ladder, candidates: int, finalists: int | None, unit: Unit, amount: int
) -> None:
    def of(first: int, budget: Budget | None) -> Plan:
        return planned(ladder, candidates=first, finalists=finalists, budget=budget, pace=PACE)

    if spent(of(1, None), unit) > amount:
        with pytest.raises(ValueError, match="too little"):
            of(candidates, Budget(amount, unit))
        return
    found = of(candidates, Budget(amount, unit))
    assert 1 <= found.candidates <= candidates
    assert spent(found, unit) <= amount
    assert found.candidates == candidates or spent(of(found.candidates + 1, None), unit) > amount


def test_a_plan_of_too_few_steps_says_how_many_planted_effects_need() -> None:
    assert too_few_steps(epochs=6, images=1280, batch=16) == ""
    said = too_few_steps(epochs=3, images=640, batch=16)
    assert said.startswith(f"120 steps an architecture; planted effects need {STEPS_TO_SHOW} ")
    assert "--epochs 12 has" in said
    assert too_few_steps(epochs=1, images=17, batch=16).startswith("2 steps")
    assert "planted effects need 960 " in too_few_steps(epochs=1, images=1280, batch=4)


def test_epochs_that_nobody_names_have_steps_enough() -> None:
    for images, batch in ((640, 16), (1280, 5), (48, 16), (118_287, 64)):
        epochs = enough_epochs(images=images, batch=batch)
        assert not too_few_steps(epochs=epochs, images=images, batch=batch)
        assert epochs == LEAST_EPOCHS or too_few_steps(epochs=epochs - 1, images=images, batch=batch)
