"""A ladder is read as it is typed; its steps are what trains an architecture, each once and in order."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.record.ladder import Budget, Ladder, Rung, Step, Unit, parse_budget, parse_rungs

EXAMPLE = parse_rungs("3x1, 3x3, 12x4")


@st.composite
def ladders(draw: st.DrawFn) -> Ladder:
    """Any ladder whose text is accepted."""
    rungs = [Rung(draw(st.integers(1, 5)), draw(st.integers(1, 3)))]
    for _ in range(draw(st.integers(0, 3))):
        epochs, seeds = draw(st.tuples(st.integers(0, 9), st.integers(0, 2)).filter(any))
        rungs.append(Rung(rungs[-1].epochs + epochs, rungs[-1].seeds + seeds))
    return Ladder(rungs=tuple(rungs))


def test_rungs_are_epochs_times_seeds_from_the_bottom() -> None:
    assert EXAMPLE.rungs == (Rung(3, 1), Rung(3, 3), Rung(12, 4))
    assert parse_rungs("3×1,12 x 2").rungs == (Rung(3, 1), Rung(12, 2))


@given(ladder=ladders())
def test_a_ladder_is_read_back_from_its_own_words(ladder: Ladder) -> None:
    assert parse_rungs(str(ladder)) == ladder


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "rungs are epochs x seeds"),
        ("3", "rungs are epochs x seeds"),
        ("3x1,", "rungs are epochs x seeds"),
        ("3x-1", "rungs are epochs x seeds"),
        ("0x1", "both at least 1"),
        ("3x1, 12x0", "both at least 1"),
        ("3x3, 12x1", "after 3x3, 12x1 is no step up"),
        ("6x1, 3x3", "after 6x1, 3x3 is no step up"),
        ("3x1, 3x1", "after 3x1, 3x1 is no step up"),
    ],
)
def test_what_is_no_ladder_is_a_sentence(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_rungs(text)


def test_a_longer_training_goes_on_from_the_level_below() -> None:
    assert EXAMPLE.levels == (3, 12)
    assert [EXAMPLE.below(epochs) for epochs in (3, 12)] == [0, 3]
    assert EXAMPLE.new_steps(0) == [Step(3, 0)]
    assert EXAMPLE.new_steps(1) == [Step(3, 1), Step(3, 2)]
    # the fourth seed is new: it begins at the bottom
    assert EXAMPLE.new_steps(2) == [Step(12, 0), Step(12, 1), Step(12, 2), Step(3, 3), Step(12, 3)]


@given(ladder=ladders())
def test_every_step_is_trained_once_after_the_one_it_goes_on_from(ladder: Ladder) -> None:
    done: list[Step] = []
    for number in range(len(ladder.rungs)):
        for step in ladder.new_steps(number):
            below = ladder.below(step.epochs)
            assert below == 0 or Step(below, step.place) in done
            done.append(step)
    assert len(done) == len(set(done))
    assert set(done) == set(ladder.steps(len(ladder.rungs) - 1))


def test_a_seed_that_picked_judges_nobody_on_the_rungs_above() -> None:
    # seed 0 picks who gets three seeds, all three pick who gets 12 epochs: there the fourth judges
    assert [EXAMPLE.pickers(epochs) for epochs in (3, 12)] == [1, 3]
    assert parse_rungs("3x1, 12x1, 12x4").pickers(12) == 1
    assert parse_rungs("3x2").pickers(3) == 0  # nobody is picked


def test_one_in_three_climbs_rounded_up() -> None:
    assert EXAMPLE.candidates(10) == [10, 4, 2]
    assert EXAMPLE.candidates(1) == [1, 1, 1]
    assert EXAMPLE.candidates(10, second=2) == [10, 2, 1]
    assert EXAMPLE.candidates(2, second=5) == [2, 2, 1]
    assert EXAMPLE.candidates(9, second=0) == [9, 0, 0]


@given(ladder=ladders(), first=st.integers(0, 500))
def test_nobody_climbs_who_was_not_below(ladder: Ladder, first: int) -> None:
    numbers = ladder.candidates(first)
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[-1] == math.ceil(first / 3 ** (len(numbers) - 1))


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("40 trainings", Budget(40, Unit.TRAININGS)),
        ("1 training", Budget(1, Unit.TRAININGS)),
        ("200epochs", Budget(200, Unit.EPOCHS)),
        ("2 h", Budget(7200, Unit.SECONDS)),
        ("1.5h", Budget(5400, Unit.SECONDS)),
        ("90 m", Budget(5400, Unit.SECONDS)),
    ],
)
def test_a_budget_has_a_unit(text: str, budget: Budget) -> None:
    assert parse_budget(text) == budget


@pytest.mark.parametrize("text", ["", "40", "40 candidates", "1.5 trainings", "0 epochs", "-2 h", "h"])
def test_what_is_no_budget_is_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="a budget is a number with its unit"):
        parse_budget(text)


@pytest.mark.parametrize("text", ["9" * 400 + " h", "9" * 400 + " trainings"])
def test_a_budget_is_finite(text: str) -> None:
    with pytest.raises(ValueError, match="a budget is a number with its unit"):
        parse_budget(text)


def test_a_rung_has_no_more_seeds_than_can_be_listed() -> None:
    assert parse_rungs("1x1000").rungs[0].seeds == 1000
    with pytest.raises(ValueError, match="at most 1000 seeds"):
        parse_rungs("1x1, 1x1001")
