"""A study is one search's alone, holds one setting, and forgets nothing that a kill left half done."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import optuna
import pytest
from filelock import FileLock
from optuna.trial import TrialState

from harness.architecture import BASELINE, Architecture, Placement
from harness.constraints import SITE_FIELDS, Constraints
from harness.errors import UserError
from harness.records import ROLE, ROW, SETTINGS, TRAINING, open_storage
from harness.search.climb import Key
from harness.search.opening import open_study
from harness.search.outcome import State
from harness.search.sampler import CostAwareSampler
from harness.search.samplers import make_sampler
from harness.search.study import SearchStudy
from harness.settings import COMPARABLE, Sampler, SearchSettings

BASE = Architecture(base="yolov5n")
BLOCK = Architecture(base="yolov5n", placements=(Placement(site="neck.P4", global_heads=2),))
OTHER = Architecture(base="yolov5n", placements=(Placement(site="neck.P5", global_heads=2),))
DATA = {"data_fingerprint": "feed"}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without a study: making one takes longer than a test."""
    path = tmp_path_factory.mktemp("tables") / "study.db"
    open_storage(f"sqlite:///{path}").engine.dispose()
    return path


@pytest.fixture
def settings(tmp_path: Path, tables: Path) -> SearchSettings:
    """Of a study that does not exist yet."""
    (tmp_path / "x").mkdir()
    shutil.copy(tables, tmp_path / "x")
    return SearchSettings(study="x", results=tmp_path)


@pytest.fixture(scope="module")
def existing(tmp_path_factory: pytest.TempPathFactory) -> SearchSettings:
    """Of a study that exists; tests leave it as it is."""
    settings = SearchSettings(study="x", results=tmp_path_factory.mktemp("existing"))
    with open_study(settings, DATA):
        return settings


def figures(map50_95: float, latency: float | None = None, ratio: float | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"map50_95": map50_95, "map50": map50_95 + 0.2, "macs": 5e6, "params": 7e3}
    return found | ({} if latency is None else {"latency_ms_p50": latency, "latency_ratio": ratio})


def begin(
    study: SearchStudy, architecture: Architecture, identity: str, seed: int = 0, epochs: int = 3
) -> optuna.trial.Trial:
    trial = study.optuna.ask()
    row = {"seed": seed, "epochs": epochs, "selected_on": seed == 0}
    study.begin(trial, architecture, identity, "nc: 10\n", row)
    return trial


def train(study: SearchStudy, identity: str, seed: int, found: dict[str, Any]) -> int:
    trial = begin(study, BASE if identity == BASELINE else BLOCK, identity, seed)
    study.end(trial, State.COMPLETE, found)
    return trial.number


def killed_before_telling(study: SearchStudy, identity: str, found: dict[str, Any]) -> int:
    """The row says complete, Optuna says running."""
    trial = begin(study, BLOCK, identity)
    trial.set_user_attr(ROW, {**trial.user_attrs[ROW], **found, "state": State.COMPLETE})
    return trial.number


def state_of(study: SearchStudy, number: int) -> TrialState:
    return study.optuna.get_trials()[number].state


def told(study: SearchStudy, number: int) -> list[float]:
    values: list[float] = study.optuna.get_trials()[number].values
    return values


# --- One setting a study --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"base": "yolov8n"}, "another base (yolov5n, now yolov8n)"),
        ({"imgsz": 160}, "another imgsz (128, now 160)"),
        ({"learning_rate": 5e-5}, "another learning_rate ("),
        ({"from_scratch": True}, "another from_scratch (False, now True)"),
        ({"sampler": "random"}, "another sampler (cost-aware, now random)"),
        ({"seed": 7}, "another seed (0, now 7)"),
        (
            {"objectives": ("map50_95", "macs")},
            "another objectives (['map50_95', 'latency'], now ['map50_95', 'macs'])",
        ),
        ({"objectives": ("map50_95", "latency", "params"), "sampler": "tpe"}, "another objectives ("),
        ({"constraints": {"required_sites": ["neck.P3"]}}, "another required_sites ([], now ['neck.P3'])"),
        ({"constraints": {"forbidden_sites": ["neck.P3"]}}, "another forbidden_sites ([], now ['neck.P3'])"),
    ],
)
def test_another_setting_is_refused_by_its_name(
    existing: SearchSettings, change: dict[str, Any], sentence: str
) -> None:
    changed = SearchSettings.model_validate({**existing.model_dump(), **change})
    with pytest.raises(UserError, match="study x exists with ") as refused, open_study(changed, DATA):
        pass
    assert sentence in str(refused.value)
    assert "choose another --study" in str(refused.value)


def test_epochs_reached_over_other_rungs_are_refused(existing: SearchSettings, settings: SearchSettings) -> None:
    def with_rungs(before: SearchSettings, rungs: str) -> SearchSettings:
        return SearchSettings(study=before.study, results=before.results, rungs=rungs)

    with open_study(with_rungs(settings, "3x1, 12x2"), DATA):
        pass
    with open_study(with_rungs(settings, "3x1, 3x3, 12x4"), DATA):  # other seeds change no figure
        pass
    sentence = r"another epochs_of_rungs \(\[3, 12\], now \[3, 6, 12\]\)"
    with pytest.raises(UserError, match=sentence), open_study(with_rungs(settings, "3x1, 6x1, 12x2"), DATA):
        pass
    with pytest.raises(UserError, match=r"\(None, now \[3, 6\]\)"), open_study(with_rungs(existing, "3x1, 6x1"), DATA):
        pass


def test_other_data_under_the_same_name_are_refused(existing: SearchSettings) -> None:
    with (
        pytest.raises(UserError, match=r"another data_fingerprint \(feed, now beef\)"),
        open_study(existing, {"data_fingerprint": "beef"}),
    ):
        pass


def test_a_long_value_is_shortened_in_the_sentence(existing: SearchSettings) -> None:
    with pytest.raises(UserError) as refused, open_study(existing, {"data_fingerprint": "b" * 500}):
        pass
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("change", [{"trials": 99}, {"seeds": 9}, {"finalists": 0}, {"more": 2}, {"timeout_s": 60.0}])
def test_what_changes_no_figure_may_change(existing: SearchSettings, change: dict[str, Any]) -> None:
    assert not set(change) & set(COMPARABLE)
    with open_study(existing.model_copy(update=change), DATA) as study:
        assert study.optuna.study_name == "x"


def test_optuna_knows_the_objectives_by_name_and_direction(settings: SearchSettings) -> None:
    chosen = SearchSettings.model_validate(
        {**settings.model_dump(), "sampler": "tpe", "objectives": ("map50_95", "macs", "params")}
    )
    with open_study(chosen, DATA) as study:
        assert study.optuna.metric_names == ["map50_95", "macs", "params"]
        assert [direction.name for direction in study.optuna.directions] == ["MAXIMIZE", "MINIMIZE", "MINIMIZE"]


def test_bounds_may_change(existing: SearchSettings) -> None:
    bounds = Constraints(max_params=2e6, max_macs=5e8, max_latency_ratio=1.2, min_map50_95=0.4)
    with open_study(existing.model_copy(update={"constraints": bounds}), DATA) as study:
        assert study.optuna.study_name == "x"


def test_a_study_from_before_there_were_sites_to_require_is_continued(settings: SearchSettings) -> None:
    with open_study(settings, DATA) as study:
        before = {name: value for name, value in study.optuna.user_attrs[SETTINGS].items() if name not in SITE_FIELDS}
        study.optuna.set_user_attr(SETTINGS, before)
    with open_study(settings, DATA):
        pass
    chosen = settings.model_copy(update={"constraints": Constraints(required_sites=("neck.P3",))})
    with pytest.raises(UserError, match="another required_sites"), open_study(chosen, DATA):
        pass


# --- One search at a time -------------------------------------------------------------------------


def test_a_second_search_is_refused_while_the_first_runs(settings: SearchSettings) -> None:
    with (
        open_study(settings, DATA),
        pytest.raises(UserError, match="study x: another clo search is running on it"),
        open_study(settings, DATA),
    ):
        pass


def test_the_lock_is_free_again_after_success_and_after_an_error(settings: SearchSettings) -> None:
    with pytest.raises(ZeroDivisionError), open_study(settings, DATA):
        raise ZeroDivisionError
    with pytest.raises(UserError), open_study(settings.model_copy(update={"seed": 5}), DATA):
        raise AssertionError("opened with another seed")
    with FileLock(settings.folder / ".lock", timeout=0) as lock:
        assert lock.is_locked


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = SearchSettings(study="x", results=tmp_path / "file")
    with (
        pytest.raises(UserError, match=r"cannot be made .*; choose another --results folder") as refused,
        open_study(settings, DATA),
    ):
        pass
    assert str(tmp_path / "file" / "x") in str(refused.value)


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
        ("cost-aware", CostAwareSampler),
        ("tpe", optuna.samplers.TPESampler),
        ("nsga2", optuna.samplers.NSGAIISampler),
        ("nsga3", optuna.samplers.NSGAIIISampler),
        ("gp", optuna.samplers.GPSampler),
        ("random", optuna.samplers.RandomSampler),
    ],
)
def test_samplers_go_by_their_names(name: str, kind: type[optuna.samplers.BaseSampler]) -> None:
    assert type(make_sampler(Sampler(name), seed=0)) is kind


# --- After damage ---------------------------------------------------------------------------------


def test_a_damaged_database_is_replaced_by_a_copy_that_has_every_finished_training(settings: SearchSettings) -> None:
    with open_study(settings, DATA) as study:
        numbers = [train(study, BASELINE, seed, figures(0.5, latency=10.0, ratio=1.0)) for seed in (0, 1)]
    database = settings.folder / "study.db"
    database.write_bytes(database.read_bytes()[:9000])
    said: list[str] = []
    with open_study(settings, DATA, said.append) as study:
        assert study.record().trials.trial.tolist() == numbers
    assert len(said) == 1 and f"{database} was damaged" in said[0]
    with open_study(settings, DATA, said.append):
        assert len(said) == 1
