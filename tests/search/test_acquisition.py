from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution

from harness.search import acquisition as module
from harness.search.acquisition import Acquisition, Choice, Preferences
from harness.search.candidates import Candidates, Codes, ListedCandidates
from harness.search.history import History, key_of

COUNT = 30
DISTRIBUTIONS = {"x": CategoricalDistribution(range(COUNT))}


def listed(cost: Callable[[int], float] = lambda x: 2.0**x) -> ListedCandidates:
    """Thirty in a row."""
    rows = [{"x": x} for x in range(COUNT)]
    return ListedCandidates(DISTRIBUTIONS, rows, np.array([cost(x) for x in range(COUNT)]))


def history(
    candidates: Candidates,
    known: Sequence[tuple[int, float]],
    *,
    pending: Sequence[int] = (),
    taken: Sequence[int] = (),
    readings: float = 1,
    noise_sd: float | None = None,
) -> History:
    """Of listed candidates: their numbers and accuracies."""
    codes = np.array([[number] for number, _ in known], dtype=int).reshape(-1, 1)
    running = np.array(pending, dtype=int).reshape(-1, 1)
    numbers = [*(number for number, _ in known), *pending, *taken]
    return History(
        codes=codes,
        accuracy=np.array([accuracy for _, accuracy in known]),
        readings=np.full(len(known), float(readings)),
        cost=candidates.cost(codes),
        noise_sd=noise_sd,
        pending=running,
        taken=frozenset(key_of(np.array([number])) for number in numbers),
    )


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def best(candidates: Candidates, past: History, **preferences: object) -> Choice | None:
    return Acquisition(candidates, past, Preferences(**preferences), rng()).best()  # type: ignore[arg-type]


def number(choice: Choice | None) -> int:
    assert choice is not None
    return int(choice.code[0])


def rising(x: int) -> float:
    return 0.2 + 0.5 * (1 - math.exp(-x / 8))


def test_the_cheapest_is_first_and_then_some_at_random() -> None:
    candidates = listed(lambda x: 1.0 + (x - 17) ** 2)
    first = best(candidates, history(candidates, []))
    assert first is not None and number(first) == 17 and np.isnan(first.expected_share)
    second = {
        number(Acquisition(candidates, history(candidates, [], pending=[17]), Preferences(), rng(s)).best())
        for s in range(9)
    }
    assert len(second) > 3 and 17 not in second


def test_the_cheapest_is_not_insisted_on_when_it_failed() -> None:
    candidates = listed()
    assert number(best(candidates, history(candidates, [], taken=[0]))) != 0


def test_an_improvement_is_the_scores_share_of_the_volume() -> None:
    candidates = listed()
    past = history(candidates, [(x, rising(x)) for x in (0, 5, 12, 29)])
    chosen = best(candidates, past)
    assert chosen is not None and 0 < chosen.expected_share < 1


def test_what_was_ever_asked_for_is_never_chosen_again() -> None:
    candidates = listed()
    past = history(candidates, [(x, rising(x)) for x in (0, 3, 8)], pending=[11, 12], taken=[20, 21])
    for _ in range(COUNT - 7):
        chosen = number(best(candidates, past))
        assert key_of(np.array([chosen])) not in past.taken
        past = History(**{**vars(past), "taken": past.taken | {key_of(np.array([chosen]))}})
    assert best(candidates, past) is None


def test_what_is_being_trained_makes_its_neighbours_worth_less() -> None:
    candidates = listed()
    known = [(x, rising(x)) for x in (0, 10, 29)]
    at = candidates.draw(rng())
    free, busy = (
        Acquisition(candidates, history(candidates, known, pending=pending), Preferences(), rng())._scores(
            at, candidates.cost(at)
        )
        for pending in ([], [18])
    )
    near, far = [17, 18, 19], [2, 4, 6]
    assert (busy[near] / free[near]).max() < 0.9 < (busy[far] / free[far]).min()


def test_more_accuracy_at_the_same_cost_is_preferred() -> None:
    candidates = listed(lambda x: 5.0)
    past = history(candidates, [(x, 0.02 * x) for x in (0, 4, 9, 14)])
    assert number(best(candidates, past)) > 14


def test_beyond_the_highest_cost_nothing_is_worth_anything() -> None:
    candidates = listed()
    past = history(candidates, [(x, rising(x)) for x in (0, 3, 6)])
    assert number(best(candidates, past, most_cost=2.0**8)) < 8


def test_below_the_least_accuracy_nothing_is_worth_anything() -> None:
    candidates = listed()
    past = history(candidates, [(x, rising(x)) for x in (0, 10, 20, 29)])
    # what exceeds 0.65 needs at least 18, so that cheap ones, which alone fill a gap otherwise, are left
    assert number(best(candidates, past, least_accuracy=0.65)) > 15


def test_with_noise_the_front_is_that_of_means_and_not_of_readings() -> None:
    candidates = listed()
    past = history(candidates, [(x, 0.9 if x == 14 else 0.5) for x in range(0, COUNT, 2)], noise_sd=0.15)
    decision = Acquisition(candidates, past, Preferences(), rng())
    assert decision._front.levels.max() < 0.8


class Drawn(ListedCandidates):
    """Of these a few are drawn; near another one is who stands beside it."""

    is_complete = False

    def draw(self, rng: np.random.Generator) -> Codes:
        return np.arange(0, COUNT, 6)[:, None]

    def neighbours(self, codes: Codes, rng: np.random.Generator) -> Codes:
        near: Codes = np.clip(np.concatenate([codes - 1, codes + 1]), 0, COUNT - 1)
        return near


def test_what_is_near_the_pools_best_is_looked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    candidates = Drawn(DISTRIBUTIONS, [{"x": x} for x in range(COUNT)], np.array([2.0**x for x in range(COUNT)]))
    past = history(candidates, [(x, rising(x)) for x in (0, 6, 12, 29)])
    evolved = best(candidates, past)
    monkeypatch.setattr(module, "_ROUNDS", 0)
    drawn = best(candidates, past)
    assert evolved is not None and drawn is not None and evolved.expected_share > drawn.expected_share
    assert number(drawn) % 6 == 0 != number(evolved) % 6


def test_a_short_list_from_part_of_the_readings_leads_to_the_same_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    candidates = listed()
    past = history(candidates, [(x, rising(x)) for x in (0, 5, 12, 29)])
    whole = number(best(candidates, past))
    monkeypatch.setattr(module, "_MANY", 0)
    monkeypatch.setattr(module, "_SHORT_LIST", 10)
    assert number(best(candidates, past)) == whole


def test_costs_that_are_uncertain_count_as_that() -> None:
    candidates = listed(lambda x: 1.0 + x)
    past = history(candidates, [(0, 0.2), (15, 0.6), (29, 0.61)])
    sure, unsure = (Acquisition(candidates, past, Preferences(cost_error=e), rng()) for e in (0.0, 0.3))
    at = candidates.draw(rng())
    scores = [each._scores(at, candidates.cost(at)) for each in (sure, unsure)]
    assert scores[0][29] == 0 < scores[1][29]  # at the reference cost: worth nothing, unless it is cheaper than known


# --- Looking ahead --------------------------------------------------------------------------------


def test_the_first_step_ahead_is_the_choice_and_later_ones_take_it_as_done() -> None:
    candidates = listed()
    past = history(candidates, [(0, 0.1), (9, 0.3), (20, 0.5), (29, 0.55)])
    chosen = best(candidates, past)
    gains = Acquisition(candidates, past, Preferences(), rng()).ahead(10)
    assert chosen is not None
    assert gains[0] == pytest.approx(chosen.expected_share)
    assert len(gains) == 10
    assert min(gains) >= 0
    assert sum(gains[5:]) < sum(gains[:5])  # ever less is left


def test_looking_ahead_ends_with_the_candidates() -> None:
    candidates = listed()
    past = history(candidates, [(number, 0.01 * number) for number in range(COUNT - 3)])
    assert len(Acquisition(candidates, past, Preferences(), rng()).ahead(10)) == 3


def test_without_a_model_nothing_is_expected() -> None:
    candidates = listed()
    assert Acquisition(candidates, history(candidates, [(0, 0.1)]), Preferences(), rng()).ahead(10) == []


def test_where_nothing_was_found_no_share_is_expected() -> None:
    candidates = listed()
    past = history(candidates, [(number, 0.0) for number in (0, 9, 20, 29)])
    assert Acquisition(candidates, past, Preferences(), rng()).ahead(10) == []
