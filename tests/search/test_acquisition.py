from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from harness.search import acquisition as module
from harness.search.acquisition import Acquisition, Choice, Preferences
from harness.search.candidates import Candidates, ListedCandidates, ParameterCandidates
from harness.search.history import History, key_of
from harness.search.improvement import Floats

COUNT = 30


def listed(cost: Callable[[int], float] = lambda x: 2.0**x) -> ListedCandidates:
    """Thirty in a row."""
    rows = [{"x": x} for x in range(COUNT)]
    return ListedCandidates({"x": IntDistribution(0, COUNT - 1)}, rows, np.array([cost(x) for x in range(COUNT)]))


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
    assert chosen is not None and 0 < chosen.expected_share < 1 and not chosen.is_repeat


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


def test_where_nothing_costs_anything_accuracy_alone_counts() -> None:
    candidates = listed(lambda x: 0.0)
    past = history(candidates, [(x, -((x - 20) ** 2) / 400) for x in (0, 10, 14, 29)])
    chosen = best(candidates, past)
    assert chosen is not None and 15 <= number(chosen) <= 25 and np.isfinite(chosen.expected_share)


def test_beyond_the_highest_cost_nothing_is_worth_anything() -> None:
    candidates = listed()
    past = history(candidates, [(x, rising(x)) for x in (0, 3, 6)])
    assert number(best(candidates, past, most_cost=2.0**8)) < 8


def test_below_the_least_accuracy_nothing_is_worth_anything() -> None:
    candidates = listed()
    past = history(candidates, [(x, rising(x)) for x in (0, 10, 20, 29)])
    # what exceeds 0.65 needs at least 18, so that cheap ones, which alone fill a gap otherwise, are left
    assert number(best(candidates, past, least_accuracy=0.65)) > 15


def test_a_repeat_needs_to_be_allowed_and_known_noise() -> None:
    candidates = listed()
    known = [(x, rising(x)) for x in range(COUNT)]
    everything = history(candidates, known, noise_sd=0.1)
    assert best(candidates, everything) is None
    again = best(candidates, everything, repeats=True)
    assert again is not None and again.is_repeat and again.expected_share > 0


def test_another_reading_is_worth_what_monte_carlo_says_of_a_changed_belief() -> None:
    candidates = listed()
    noise = 0.1
    past = history(candidates, [(x, rising(x)) for x in range(0, COUNT, 5)], noise_sd=noise)
    decision = Acquisition(candidates, past, Preferences(repeats=True), rng())
    mean, sd = decision._believed
    cost = np.log(past.cost)
    today = decision._staircase(cost, mean).hypervolume
    for one, value in enumerate(decision._again()):
        draws = mean[one] + sd[one] ** 2 / np.sqrt(sd[one] ** 2 + noise**2) * rng(one).standard_normal(4000)
        believed = np.tile(mean, (len(draws), 1))
        believed[:, one] = draws
        gains = np.array([decision._staircase(cost, each).hypervolume for each in believed]) - today
        assert value == pytest.approx(gains.mean(), abs=4 * gains.std() / np.sqrt(len(draws)) + 1e-9)


def test_without_noise_a_second_reading_is_worth_nothing() -> None:
    candidates = listed()
    past = history(candidates, [(x, rising(x)) for x in range(0, COUNT, 3)])
    chosen = best(candidates, past, repeats=True)
    assert chosen is not None and not chosen.is_repeat


def test_with_noise_the_front_is_that_of_means_and_not_of_readings() -> None:
    candidates = listed()
    past = history(candidates, [(x, 0.9 if x == 14 else 0.5) for x in range(0, COUNT, 2)], noise_sd=0.15)
    decision = Acquisition(candidates, past, Preferences(), rng())
    assert decision._front.levels.max() < 0.8


def space(allowed: Callable[[float], bool] = lambda _: True) -> ParameterCandidates:
    """Too many dimensions for a draw to come close to everything."""
    return ParameterCandidates(
        {name: FloatDistribution(0, 1) for name in "xyzuvw"},
        lambda chosen: 1.0 + chosen["x"] if allowed(chosen["x"]) else float("nan"),
    )


def continuous(candidates: ParameterCandidates, known: Floats) -> History:
    accuracy = 1 - ((known - 0.6) ** 2).sum(axis=1)
    return History(
        codes=known, accuracy=accuracy, readings=np.ones(len(known)), cost=candidates.cost(known), noise_sd=None,
        pending=known[:0], taken=frozenset(map(key_of, known)),
    )  # fmt: skip


@pytest.mark.parametrize("known", [0, 1, 8])
def test_a_combination_without_a_cost_is_never_chosen(known: int) -> None:
    candidates = space(lambda x: x > 0.5)
    codes = rng().uniform(0.5, 1, size=(known, 6))
    for seed in range(5):
        chosen = Acquisition(candidates, continuous(candidates, codes), Preferences(), rng(seed)).best()
        assert chosen is not None and chosen.code[0] > 0.5


def test_what_is_near_the_pools_best_is_looked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    candidates = space()
    past = continuous(candidates, rng().uniform(size=(12, 6)))
    evolved = best(candidates, past)
    monkeypatch.setattr(module, "_ROUNDS", 0)
    drawn = best(candidates, past)
    assert evolved is not None and drawn is not None and evolved.expected_share > drawn.expected_share


def test_a_short_list_from_part_of_the_readings_leads_to_the_same_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    candidates = listed()
    past = history(candidates, [(x, rising(x)) for x in (0, 5, 12, 29)])
    whole = number(best(candidates, past))
    monkeypatch.setattr(module, "_MANY", 0)
    monkeypatch.setattr(module, "_SHORT_LIST", 10)
    assert number(best(candidates, past)) == whole


def test_no_candidate_at_all_is_no_choice() -> None:
    none = ListedCandidates({"x": IntDistribution(0, 1)}, [], np.zeros(0))
    assert best(none, history(none, [])) is None


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
