"""A study tells the sampler what it should learn, and forgets nothing that a kill left half done."""

from __future__ import annotations

import optuna
import pytest
from optuna.trial import TrialState

from harness.architecture import BASELINE
from harness.record.constraints import Constraints
from harness.record.settings import Sampler, SearchSettings
from harness.record.state import Key, State
from harness.record.study import ROLE, TRAINING
from harness.search.sampler import make_sampler
from harness.storage.opening import open_study
from tests.storage.studies import BASE, BLOCK, DATA, OTHER, begin, figures, killed_before_telling, state_of, told, train

# --- What the sampler is told ---------------------------------------------------------------------


def test_values_are_the_first_controls_plus_what_the_candidate_adds(settings: SearchSettings) -> None:
    with open_study(settings, DATA) as study:
        control = train(study, BASELINE, 0, figures(0.50, latency=10.0, ratio=1.0))
        train(study, BASELINE, 1, figures(0.56))
        first = train(study, "a", 0, figures(0.53, latency=99.0, ratio=1.2))  # 99 ms: the machine had slowed down
        later = train(study, "a", 1, figures(0.57))
        assert told(study, control) == pytest.approx([0.50, 10.0])
        assert told(study, first) == pytest.approx([0.50 + (0.53 - 0.50), 10.0 * 1.2])
        assert told(study, later) == pytest.approx([0.50 + (0.57 - 0.56), 10.0 * 1.2])  # latency: the first seed's


def test_a_look_is_kept_once_for_each_larger_number_of_evaluation_seeds(settings: SearchSettings) -> None:
    def seed(number: int) -> None:
        for identity in (BASELINE, "a"):
            train(study, identity, number, figures(0.5, latency=10.0, ratio=1.0))

    with open_study(settings, DATA) as study:
        seed(0)
        assert study.looked().environment.looks == ()  # one that picks judges nobody
        for number in (1, 2):
            seed(number)
        assert study.looked().look == study.looked().look == 1
        seed(3)
        assert study.record().look == 2
        assert (study.looked().environment.looks, study.record().look) == ((2, 3), 2)


def test_longer_trainings_are_kept_and_not_told(settings: SearchSettings) -> None:
    with open_study(settings, DATA) as study:
        train(study, BASELINE, 0, figures(0.50, latency=10.0, ratio=1.0))
        train(study, "a", 0, figures(0.53, latency=12.0, ratio=1.2))
        for identity, found in ((BASELINE, 0.60), ("a", 0.64)):
            trial = begin(study, BLOCK, identity, epochs=12)
            study.end(trial, State.COMPLETE, figures(found))
            assert state_of(study, trial.number) == TrialState.FAIL
        rows = study.record().trials.set_index(["architecture", "epochs"])
        assert rows.state["a", 12] == "complete"
        assert rows.gain_map50_95["a", 12] == pytest.approx(0.64 - 0.60)  # to the control of the same epochs
        assert rows.gain_map50_95["a", 3] == pytest.approx(0.53 - 0.50)
        assert study.known()["a"].values == pytest.approx((0.53, 12.0))


def test_a_training_is_complete_if_any_trial_of_it_is(settings: SearchSettings) -> None:
    with open_study(settings, DATA) as study:
        study.end(begin(study, BLOCK, "a"), State.INTERRUPTED, {}, "Ctrl-C")
        begin(study, BLOCK, "b")
        study.end(begin(study, BLOCK, "c"), State.FAILED, {}, "loss is nan")
        assert study.states() == {
            Key("a", 3, 0): State.INTERRUPTED, Key("b", 3, 0): State.INTERRUPTED, Key("c", 3, 0): State.FAILED,
        }  # fmt: skip
        found = figures(0.5, latency=10.0, ratio=1.0) | {"weights_sha256": "feed"}
        study.end(begin(study, BLOCK, "a"), State.COMPLETE, found)
        study.end(begin(study, BLOCK, "a"), State.INTERRUPTED, {}, "Ctrl-C")
        assert study.states()[Key("a", 3, 0)] is State.COMPLETE
        assert study.checkpoints("a", 0) == {3: "feed"}
        assert study.checkpoints("a", 1) == {}


def test_a_trainings_failures_are_counted_and_an_interruption_is_none(settings: SearchSettings) -> None:
    control = Key(BASELINE, 3, 0)
    with open_study(settings, DATA) as study:
        found = [study.failures(BASELINE)[control]]
        for state in (State.FAILED, State.INTERRUPTED, State.OUT_OF_MEMORY):
            study.end(begin(study, BASE, BASELINE), state, {}, "a reason")
            found.append(study.failures(BASELINE)[control])
        train(study, BASELINE, 0, figures(0.5, 9.0, 1.0))
        study.end(begin(study, BASE, BASELINE, seed=1), State.FAILED, {}, "a reason")
        assert [*found, study.failures(BASELINE)[control]] == [0, 1, 1, 2, 2]


def test_costs_are_told_as_they_are(settings: SearchSettings) -> None:
    chosen = SearchSettings.model_validate(
        {**settings.model_dump(), "sampler": "tpe", "objectives": ("macs", "map50_95", "params")}
    )
    with open_study(chosen, DATA) as study:
        train(study, BASELINE, 0, figures(0.5, latency=10.0, ratio=1.0))
        number = train(study, "a", 0, figures(0.4, latency=12.0, ratio=1.2))
        assert told(study, number) == pytest.approx([5e6, 0.4, 7e3])


@pytest.mark.parametrize("state", [State.FAILED, State.OUT_OF_MEMORY, State.INTERRUPTED])
def test_a_trial_without_figures_teaches_nothing_and_keeps_its_reason(settings: SearchSettings, state: State) -> None:
    with open_study(settings, DATA) as study:
        trial = begin(study, BLOCK, "a")
        study.end(trial, state, {"macs": 5e6}, "loss is nan")
        assert state_of(study, trial.number) == TrialState.FAIL
        row = study.record().trials.iloc[0]
        assert (row.state, row.reason, row.macs) == (state.value, "loss is nan", 5e6)


@pytest.mark.filterwarnings("error")
def test_a_seed_whose_control_failed_ends_without_a_value(settings: SearchSettings) -> None:
    with open_study(settings, DATA) as study:
        train(study, BASELINE, 0, figures(0.5, latency=10.0, ratio=1.0))
        train(study, "a", 0, figures(0.5, latency=10.0, ratio=1.0))
        study.end(begin(study, BASE, BASELINE, seed=1), State.FAILED, {}, "no memory")
        train(study, "a", 1, figures(0.6))
        assert study.record().trials.set_index(["architecture", "seed"]).state["a", 1] == "complete"
        assert study.optuna.get_trials()[-1].state == TrialState.FAIL


def test_known_are_the_settled_first_readings(settings: SearchSettings) -> None:
    with open_study(settings, DATA) as study:
        train(study, BASELINE, 0, figures(0.5, latency=10.0, ratio=1.0))
        train(study, "a", 0, figures(0.6, latency=12.0, ratio=1.2))
        train(study, "late", 1, figures(0.6, latency=12.0, ratio=1.2))  # another seed than the search's first
        study.end(begin(study, BLOCK, "broken"), State.FAILED, {}, "loss is nan")
        study.end(begin(study, BLOCK, "stopped"), State.INTERRUPTED, {}, "Ctrl-C")
        begin(study, BLOCK, "running")
        known = study.known()
        assert set(known) == {BASELINE, "a", "broken"}
        assert known["a"].values == pytest.approx((0.6, 12.0))
        assert known["broken"].values is None


def test_the_baseline_teaches_nothing_where_a_site_is_required(settings: SearchSettings) -> None:
    """It is no candidate then: it has none of the parameters that all others share."""
    chosen = settings.model_copy(update={"constraints": Constraints(required_sites=("neck.P4",))})
    with open_study(chosen, DATA) as study:
        control = train(study, BASELINE, 0, figures(0.5, latency=10.0, ratio=1.0))
        number = train(study, "a", 0, figures(0.6, latency=12.0, ratio=1.2))
        assert state_of(study, control) == TrialState.FAIL
        assert told(study, number) == pytest.approx([0.6, 12.0])
        assert study.record().trials.state.tolist() == ["complete", "complete"]
        assert study.known()[BASELINE].values is None


# --- After a kill ---------------------------------------------------------------------------------


def test_a_trial_killed_between_record_and_tell_is_told_complete(settings: SearchSettings) -> None:
    with open_study(settings, DATA) as study:
        train(study, BASELINE, 0, figures(0.50, latency=10.0, ratio=1.0))
        number = killed_before_telling(study, "a", figures(0.55, latency=12.0, ratio=1.1))
    with open_study(settings, DATA) as study:
        study.close_abandoned()
        assert study.unfinished() == []
        assert state_of(study, number) == TrialState.COMPLETE
        assert told(study, number) == pytest.approx([0.55, 11.0])


def test_a_trial_killed_in_training_fails_and_comes_back_for_another_try(settings: SearchSettings) -> None:
    with open_study(settings, DATA) as study:
        train(study, BASELINE, 0, figures(0.50, latency=10.0, ratio=1.0))
        number = begin(study, BLOCK, "a").number
    with open_study(settings, DATA) as study:
        study.close_abandoned()
        assert study.unfinished() == [BLOCK]
        assert state_of(study, number) == TrialState.FAIL
        assert study.record().trials.state.tolist() == ["complete", "interrupted"]
        assert study.record().trials.reason[1].endswith("died; run again")
        study.close_abandoned()
        assert study.unfinished() == [BLOCK]  # until it is run
        again = begin(study, BLOCK, "a")
        assert study.unfinished() == []
        assert study.under_way() == {Key("a", 3, 0)}
        study.close_abandoned()  # its own it leaves alone
        study.end(again, State.COMPLETE, figures(0.51, latency=10.0, ratio=1.0))
        assert study.unfinished() == []
        assert study.under_way() == set()


def test_an_interrupted_baseline_or_later_seed_is_not_a_candidate_to_retry(settings: SearchSettings) -> None:
    with open_study(settings, DATA) as study:
        begin(study, BASE, BASELINE)
        begin(study, OTHER, "b", seed=1)
    with open_study(settings, DATA) as study:
        study.close_abandoned()
        assert study.unfinished() == []
        assert not study.optuna.get_trials(states=[TrialState.RUNNING])


@pytest.mark.parametrize("attributes", [{}, {ROLE: "duplicate"}])
def test_a_proposal_killed_before_it_was_written_down_is_closed(
    settings: SearchSettings, attributes: dict[str, str]
) -> None:
    with open_study(settings, DATA) as study:
        trial = study.optuna.ask()
        for name, value in attributes.items():
            trial.set_user_attr(name, value)
    with open_study(settings, DATA) as study:
        study.close_abandoned()
        assert study.unfinished() == []
        assert state_of(study, trial.number) == TrialState.FAIL
        assert study.record().trials.empty


def test_what_a_trial_is_stands_in_storage_before_it_starts(settings: SearchSettings) -> None:
    with open_study(settings, DATA) as study:
        begin(study, BLOCK, "a")
        record = study.record()
        assert record.architectures == {"a": BLOCK}
        assert record.model_yamls == {"a": "nc: 10\n"}
        assert record.trials.state.tolist() == ["interrupted"]
        assert study.optuna.get_trials()[0].user_attrs[ROLE] == TRAINING


# --- Samplers -------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tpe", optuna.samplers.TPESampler),
        ("nsga2", optuna.samplers.NSGAIISampler),
        ("nsga3", optuna.samplers.NSGAIIISampler),
        ("gp", optuna.samplers.GPSampler),
        ("random", optuna.samplers.RandomSampler),
    ],
)
def test_samplers_go_by_their_names(name: str, kind: type[optuna.samplers.BaseSampler]) -> None:
    assert type(make_sampler(Sampler(name), seed=0)) is kind
