from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import TrialState

from harness.record.settings import Sampler
from harness.search.acquisition import Preferences
from harness.search.candidates import Candidates
from harness.search.sampler import make_sampler
from harness.search.simulate import Conditions, MakeSampler, Replay, _Replay, replay
from harness.search.table import Table
from tests.search.tiny import TINY


class Fixed(BaseSampler):
    """Asks for these one after another, then for the last one forever."""

    def __init__(self, *wanted: tuple[int, str]) -> None:
        self.wanted = wanted

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        return {}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        depth, kind = self.wanted[min(trial.number, len(self.wanted) - 1)]
        return depth if param_name == "depth" else kind


def fixed(*wanted: tuple[int, str]) -> MakeSampler:
    return lambda candidates, preferences, seed: Fixed(*wanted)


def named(name: Sampler) -> MakeSampler:
    return lambda candidates, preferences, seed: make_sampler(
        name, seed=seed, candidates=candidates, preferences=preferences
    )


def told(make: MakeSampler, conditions: Conditions) -> tuple[Replay, list[optuna.trial.FrozenTrial]]:
    running = _Replay(TINY, make, conditions, 0)
    return running.run(), running.study.trials


def values_of(trial: optuna.trial.FrozenTrial) -> list[float]:
    values: list[float] = trial.values  # noqa: PD011 - Optuna's
    return values


def curved(count: int = 60) -> Table:
    """More is more accurate, with a ripple."""
    x = np.arange(count)
    accuracy = 0.5 * (1 - np.exp(-x / 20)) + 0.03 * np.sin(x)
    return Table(name="", parameters=pd.DataFrame({"x": x}), accuracy=accuracy, cost=np.exp(0.1 * x))


def test_each_training_adds_what_the_hand_says() -> None:
    result = replay(TINY, fixed((1, "b"), (3, "a"), (4, "a"), (2, "a")), Conditions(budget=5), 0)
    # (1, b) is 2 · 0.3; (3, a) adds 1 · 0.3; (4, a) nothing; (2, a) all that is left: the search is over
    assert result.shares.tolist() == pytest.approx([0.6, 0.9, 0.9, 1, 1])
    assert (result.distinct, result.asks, result.stalled, result.final_share) == (4, 4, False, 1)
    assert [result.trainings_to(share) for share in (0.5, 0.9 - 1e-9, 1)] == [1, 2, 4]


def test_a_share_that_was_never_reached_has_no_trainings() -> None:
    assert replay(TINY, fixed((2, "a"), (4, "a")), Conditions(budget=2), 0).trainings_to(0.9) is None


def test_what_the_table_lacks_is_pruned_and_costs_nothing_but_the_asking() -> None:
    result, trials = told(fixed((2, "b"), (3, "b"), (2, "a")), Conditions(budget=1))
    assert [trial.state for trial in trials] == [TrialState.PRUNED, TrialState.PRUNED, TrialState.COMPLETE]
    assert result.shares.tolist() == pytest.approx([0.8])
    assert (result.distinct, result.asks, result.stalled) == (1, 3, False)


def test_a_known_model_is_told_again_and_costs_nothing_but_the_asking() -> None:
    result, trials = told(fixed((2, "a"), (2, "a"), (4, "a")), Conditions(budget=2))
    assert [values_of(trial) for trial in trials] == [[0.5, 2], [0.5, 2], [0.6, 8]]
    assert (result.distinct, result.asks, len(result.shares)) == (2, 3, 2)


def test_a_sampler_that_asks_the_same_forever_is_stopped_and_stalled() -> None:
    result = replay(TINY, fixed((2, "a")), Conditions(budget=5), 0)
    assert result.stalled and result.asks == 4 * 5 and result.distinct == 1
    assert result.shares.tolist() == pytest.approx([0.8] * 5)


def test_a_sampler_that_finds_nothing_at_all_has_nothing() -> None:
    result = replay(TINY, fixed((2, "b")), Conditions(budget=3), 0)
    assert result.stalled and result.distinct == 0
    assert result.shares.tolist() == [0, 0, 0] and result.final_share == 0


def test_workers_train_at_once_and_end_in_the_order_of_their_start() -> None:
    states: list[list[TrialState]] = []

    class Watching(Fixed):
        def sample_relative(self, study: optuna.Study, trial: Any, search_space: Any) -> dict[str, Any]:
            states.append([each.state for each in study.get_trials(deepcopy=False)[:-1]])
            return {}

    make: MakeSampler = lambda *_: Watching((2, "a"), (3, "a"), (2, "a"), (4, "a"), (1, "b"))  # noqa: E731
    result, trials = told(make, Conditions(budget=4, workers=3))
    running, complete, pruned = TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED
    assert states[2] == [running, running]
    assert states[3] == [running, running, pruned]  # being trained already
    assert states[4] == [complete, running, pruned, running]
    assert result.shares.tolist() == pytest.approx([0.8, 1, 1, 1])
    assert all(trial.state.is_finished() for trial in trials)


def beliefs(conditions: Conditions, seed: int) -> tuple[list[float], Preferences]:
    found: list[tuple[list[float], Preferences]] = []

    def make(candidates: Candidates, preferences: Preferences, seed: int) -> BaseSampler:
        costs = candidates.cost(candidates.draw(np.random.default_rng(0)))
        found.append((costs.tolist(), preferences))
        return RandomSampler(seed=seed)

    replay(curved(), make, conditions, seed)
    return found[0]


def test_a_sampler_knows_the_cost_with_its_error_and_is_told_so() -> None:
    costs, preferences = beliefs(Conditions(budget=1, cost_error=0.1), 1)
    off = np.log(np.array(costs) / curved().cost)
    assert 0.07 < off.std() < 0.13 and abs(off.mean()) < 0.05
    assert preferences.cost_error == 0.1
    assert beliefs(Conditions(budget=1, cost_error=0.1), 2)[0] != costs


def test_a_cost_error_of_0_is_none() -> None:
    assert beliefs(Conditions(budget=1), 1)[0] == curved().cost.tolist()


def test_what_was_trained_has_its_true_cost() -> None:
    _, trials = told(fixed((2, "a")), Conditions(budget=1, cost_error=0.5))
    assert values_of(trials[0]) == [0.5, 2]


def test_a_known_model_is_read_anew_where_there_is_noise() -> None:
    result, trials = told(fixed((2, "a")), Conditions(budget=40, noise=0.1))
    readings = np.array([values_of(trial)[0] for trial in trials])
    assert (result.distinct, result.asks, result.stalled) == (1, 40, False)
    assert readings.std() == pytest.approx(0.1 * 0.6, rel=0.3)  # of the table's range, 0.6
    assert readings.mean() == pytest.approx(0.5, abs=0.03)


class Scripted(_Replay):
    """Noise as it is written here."""

    def __init__(self, readings: dict[int, Sequence[float]]) -> None:
        super().__init__(TINY, fixed((1, "a"), (2, "a"), (4, "a")), Conditions(budget=3, noise=0.1), 0)
        self.script = {row: iter(each) for row, each in readings.items()}

    def _read(self, row: int) -> float:
        return next(self.script[row])


def test_a_single_lucky_reading_is_never_on_the_final_front() -> None:
    running = Scripted({0: [0.1, 0.1], 1: [0.5, 0.5], 3: [0.95, 0.3]})
    result = running.run()
    # of the first front, 0, 1 and 3, each is read again; the second reading of 3 is what judges
    assert result.confirmations == 3
    assert result.final_share == pytest.approx(TINY.share([0, 1]))


def test_what_a_lucky_reading_had_hidden_is_confirmed_too() -> None:
    # 1 hides behind a lucky 0, whose second reading is below it: then 1 is read again
    running = Scripted({0: [0.8, 0.1], 1: [0.5, 0.45], 3: [0.6, 0.6]})
    assert running.run().confirmations == 3
    assert running.readings == {0: [0.8], 1: [0.5], 3: [0.6]}


def test_without_noise_nothing_is_read_again() -> None:
    result = replay(curved(), named(Sampler.COST_AWARE), Conditions(budget=8), 0)
    assert result.confirmations == 0 and result.final_share == result.shares[-1]


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("name", [Sampler.COST_AWARE, Sampler.RANDOM, Sampler.TPE])
def test_a_seed_is_the_whole_search(name: Sampler, noise: float) -> None:
    def figures(seed: int) -> tuple[object, ...]:
        result = replay(curved(), named(name), Conditions(budget=10, workers=2, noise=noise, cost_error=0.1), seed)
        return tuple(result.shares), result.distinct, result.asks, result.final_share, result.confirmations

    assert figures(1) == figures(1) != figures(2)


def test_shares_only_rise_and_the_cost_aware_sampler_never_asks_in_vain() -> None:
    result = replay(curved(), named(Sampler.COST_AWARE), Conditions(budget=30), 0)
    assert (np.diff(result.shares) >= 0).all()
    assert result.asks == result.distinct <= 30 and not result.stalled
