from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState

from harness.record.study import DUPLICATE, ROLE, ROW
from harness.search.candidates import ListedCandidates
from harness.search.history import History, key_of

CHOICES = CategoricalDistribution(list(range(10)))
CANDIDATES = ListedCandidates({"x": CHOICES}, [{"x": x} for x in range(10)], np.arange(1.0, 11.0))


def study_of(
    trials: Sequence[tuple[int, TrialState, Sequence[float] | None]],
    directions: Sequence[str] = ("maximize", "minimize"),
) -> optuna.Study:
    study = optuna.create_study(directions=[StudyDirection[name.upper()] for name in directions])
    for x, state, values in trials:
        study.add_trial(optuna.create_trial(state=state, values=values, params={"x": x}, distributions={"x": CHOICES}))
    return study


def keys(*numbers: int) -> set[bytes]:
    return {key_of(np.array([number])) for number in numbers}


COMPLETE, PRUNED, FAIL, RUNNING = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING


def test_only_complete_trials_teach_and_all_are_taken() -> None:
    study = study_of(
        [
            (0, COMPLETE, (0.5, 1.5)),
            (1, PRUNED, None),
            (2, FAIL, None),
            (3, RUNNING, None),
            (4, TrialState.WAITING, None),
        ]
    )
    history = History.of(study, CANDIDATES, 0)
    assert history.codes.tolist() == [[0]]
    assert (history.accuracy.tolist(), history.cost.tolist(), history.readings.tolist()) == ([0.5], [1.5], [1])
    assert history.pending.tolist() == [[3]]
    assert history.taken == keys(0, 1, 2, 3, 4)
    assert history.noise_sd is None


def test_an_empty_study_has_an_empty_history() -> None:
    history = History.of(study_of([]), CANDIDATES, 0)
    assert history.codes.shape == history.pending.shape == (0, 1)
    assert len(history.accuracy) == len(history.cost) == 0 and not history.taken


def test_several_readings_are_one_candidate_with_their_mean_and_pooled_spread() -> None:
    study = study_of(
        [
            (0, COMPLETE, (0.4, 1.0)), (1, COMPLETE, (0.7, 2.0)), (0, COMPLETE, (0.6, 3.0)), (2, COMPLETE, (0.1, 9.0)),
            (1, COMPLETE, (0.7, 2.0)), (1, COMPLETE, (1.0, 2.0)),
        ]
    )  # fmt: skip
    history = History.of(study, CANDIDATES, 0)
    assert history.codes.ravel().tolist() == [0, 1, 2]
    assert history.accuracy.tolist() == pytest.approx([0.5, 0.8, 0.1])
    assert history.cost.tolist() == [2, 2, 9]
    assert history.readings.tolist() == [2, 3, 1]
    assert history.noise_sd == pytest.approx(np.sqrt((2 * 0.1**2 + 2 * 0.1**2 + 0.2**2) / (1 + 2)))


def test_the_baseline_whose_gain_is_0_by_definition_is_no_candidate_without_noise() -> None:
    study = study_of([(1, COMPLETE, (0.4, 1.0)), (1, COMPLETE, (0.6, 1.0))])
    for _ in range(3):
        told = optuna.create_trial(
            state=COMPLETE, values=(0.5, 1.0), params={"x": 0}, distributions={"x": CHOICES},
            user_attrs={ROW: {"architecture": "baseline"}},
        )  # fmt: skip
        study.add_trial(told)
    history = History.of(study, CANDIDATES, 0)
    assert history.noise_sd == pytest.approx(np.std([0.4, 0.6], ddof=1))
    assert sorted(history.readings.tolist()) == [2, 3]


def test_an_answer_from_the_record_is_no_reading() -> None:
    study = study_of([(1, COMPLETE, (0.4, 1.0))])
    again = optuna.create_trial(
        state=COMPLETE, values=(0.4, 1.0), params={"x": 1}, distributions={"x": CHOICES}, user_attrs={ROLE: DUPLICATE}
    )
    study.add_trial(again)
    history = History.of(study, CANDIDATES, 0)
    assert history.readings.tolist() == [1]
    assert history.noise_sd is None


def test_what_has_a_reading_is_not_pending_though_it_is_trained_again() -> None:
    history = History.of(study_of([(0, COMPLETE, (0.5, 1)), (0, RUNNING, None), (1, RUNNING, None)]), CANDIDATES, 0)
    assert history.pending.tolist() == [[1]]


def test_one_trial_can_be_left_out() -> None:
    history = History.of(study_of([(0, RUNNING, None), (1, RUNNING, None)]), CANDIDATES, 0, without=1)
    assert history.pending.tolist() == [[0]] and history.taken == keys(0)


def test_trials_that_are_no_candidates_are_no_history() -> None:
    few = ListedCandidates({"x": CHOICES}, [{"x": 1}], np.ones(1))
    history = History.of(study_of([(0, COMPLETE, (0.5, 1)), (2, RUNNING, None)]), few, 0)
    assert not history.taken and history.codes.shape == history.pending.shape == (0, 1)


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1), st.floats(1, 9)), max_size=6))
def test_the_order_of_the_objectives_is_no_matter(readings: list[tuple[int, float, float]]) -> None:
    plain = History.of(study_of([(x, COMPLETE, [accuracy, cost]) for x, accuracy, cost in readings]), CANDIDATES, 0)
    turned = study_of([(x, COMPLETE, [cost, accuracy]) for x, accuracy, cost in readings], ("minimize", "maximize"))
    other = History.of(turned, CANDIDATES, 1)
    for field in ("codes", "accuracy", "cost", "readings"):
        assert getattr(other, field).tolist() == getattr(plain, field).tolist()
    assert other.noise_sd == plain.noise_sd and other.taken == plain.taken


def test_equal_candidates_have_equal_keys() -> None:
    assert key_of(np.arange(2)) == key_of(np.array([0, 1])) != key_of(np.array([1, 0]))
