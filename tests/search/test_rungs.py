"""A search on a ladder, its trainings pretended: each is made once, whatever ends it, and goes on from the last."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.architecture import BASELINE
from harness.jobs.trial import Job, Measured
from harness.record.settings import Sampler, search_settings
from harness.record.state import Failure, State
from harness.search.promotion import nobody_judges
from harness.search.setting import Setting
from tests.search.pretended_search import Killed, Search, trained


@pytest.fixture(scope="module")
def long_ladder(tmp_path_factory: pytest.TempPathFactory, tables: Path, setting: Setting) -> tuple[Search, list[str]]:
    """Four candidates, two, one, and what the search said; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("long")
    (folder / "x").mkdir()
    shutil.copy(tables, folder / "x")
    with pytest.MonkeyPatch.context() as patch:
        search = Search(folder, setting, patch)
        return search, search(rungs="2x1, 2x2, 6x3", trials=4)


def test_candidates_climb_and_the_baseline_with_them(long_ladder: tuple[Search, list[str]]) -> None:
    search, notes = long_ladder
    # of the third seed both lengths are new
    trainings, epochs = 5 * 1 + 3 * 1 + 2 * (3 + 1), 5 * 2 + 3 * 2 + 2 * (3 * 4 + 2)
    assert notes[0].endswith(
        f"4 on 2 × 1, 2 on 2 × 2, 1 on 6 × 3; with the baseline {trainings} trainings, {epochs} epochs"
    )
    assert len(search.trainings.asked) == trainings
    assert sum(each.schedule.epochs for each in search.trainings.asked) == epochs
    per_rung = search.complete.groupby(["epochs", "seed"]).architecture.nunique()
    assert per_rung.to_dict() == {(2, 0): 5, (2, 1): 3, (2, 2): 2, (6, 0): 2, (6, 1): 2, (6, 2): 2}
    assert not search.complete.duplicated(["architecture", "epochs", "seed"]).any()
    assert search.complete.gain_map50_95.notna().all()  # every reading has its control
    assert search.complete.latency_ratio.notna().sum() == 5  # measured once each


def test_who_was_picked_by_a_seed_is_not_judged_by_it(long_ladder: tuple[Search, list[str]]) -> None:
    picked = long_ladder[0].complete.groupby(["epochs", "seed"]).selected_on.agg(set)
    assert picked.to_dict() == {
        (2, 0): {True}, (2, 1): {False}, (2, 2): {False}, (6, 0): {True}, (6, 1): {True}, (6, 2): {False},
    }  # fmt: skip


def test_a_longer_training_trains_what_is_missing_and_leaves_no_weights_behind(
    long_ladder: tuple[Search, list[str]],
) -> None:
    search = long_ladder[0]
    parts = {(each.trained_epochs, each.schedule.epochs, each.start is None) for each in search.trainings.asked}
    assert parts == {(0, 2, True), (2, 4, False)}
    assert not search.weights.exists()


def test_the_sampler_is_told_the_first_length_alone(long_ladder: tuple[Search, list[str]]) -> None:
    search = long_ladder[0]
    states = {number: search.optuna.trials[number].state.name for number in search.rows.trial}
    told = search.rows.assign(told=search.rows.trial.map(states) == "COMPLETE").groupby("epochs").told.agg(set)
    assert told.to_dict() == {2: {True}, 6: {False}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tables: Path, setting: Setting) -> pd.DataFrame:
    """What the short search yields that nothing interrupts."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "x").mkdir()
    shutil.copy(tables, folder / "x")
    with pytest.MonkeyPatch.context() as patch:
        search = Search(folder, setting, patch)
        search()
        assert len(search.trainings.asked) == 9
    return search.complete


def test_a_search_that_ends_anywhere_goes_on_as_it_would_have(search: Search, whole: pd.DataFrame) -> None:
    search.trainings.then = {4: Killed(), 7: KeyboardInterrupt(), 9: Killed(), 12: KeyboardInterrupt()}
    for end in (Killed, KeyboardInterrupt, Killed, KeyboardInterrupt):
        with pytest.raises(end):
            search()
    assert not [note for note in search() if "weights" in note]  # none was lost
    assert len(search.trainings.asked) == 9 + 4  # four were cut short and made again
    pd.testing.assert_frame_equal(search.complete, whole)
    search()
    assert len(search.trainings.asked) == 9 + 4  # nothing is trained twice


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("objectives", [("map50_95", "latency"), ("macs", "map50_95")])
@pytest.mark.parametrize("sampler", list(Sampler))
def test_a_search_by_any_sampler_that_is_killed_loses_and_doubles_nothing(
    search: Search, sampler: Sampler, objectives: tuple[str, ...]
) -> None:
    options: dict[str, Any] = {"rungs": "2x1", "trials": 12, "sampler": sampler, "objectives": objectives}
    search.trainings.then = {5: Killed(), 9: Killed(), 14: KeyboardInterrupt()}
    for end in (Killed, Killed, KeyboardInterrupt):
        with pytest.raises(end):
            search(**options)
        finished = set(search.complete.architecture)
    search(**options)
    assert len(search.trainings.asked) == 1 + 12 + 3  # three were cut short and made again
    assert finished < set(search.complete.architecture)
    assert search.complete.architecture.nunique() == 1 + 12 == len(search.complete)


def test_the_cost_aware_sampler_goes_on_as_if_nothing_had_happened(tmp_path: Path, search: Search) -> None:
    options: dict[str, Any] = {"rungs": "2x1", "trials": 9}
    search.trainings.then = {7: Killed()}
    with pytest.raises(Killed):
        search(**options)
    search(**options)
    killed = search.complete
    shutil.rmtree(tmp_path / "x")
    search(**options)
    pd.testing.assert_frame_equal(search.complete, killed)


def test_lost_weights_are_said_and_made_again(search: Search, whole: pd.DataFrame) -> None:
    search.trainings.then = {4: Killed()}  # the first of the last rung
    with pytest.raises(Killed):
        search()
    first, second = sorted(search.weights.glob("*.pt"))  # of the one that climbs and of the baseline
    first.unlink()
    second.write_text("half a check")
    said = [note for note in search() if "no sound weights after 2 epochs; trained again first" in note]
    assert len(said) == 2
    pd.testing.assert_frame_equal(search.complete, whole)


def test_several_workers_wait_for_what_they_go_on_from(search: Search) -> None:
    search(workers=4)
    assert len(search.trainings.asked) == 9
    assert search.complete.gain_map50_95.notna().all()
    assert max(search.trainings.beside) > 1


def test_what_failed_climbs_no_further(search: Search) -> None:
    def outcome(job: Job) -> Measured | Failure:
        failing = job.training.seed == 1 and not job.training.trained_epochs
        return Failure(state=State.FAILED, reason="loss is nan") if failing else trained(job)

    search.trainings.outcome = outcome
    search()
    second = search.rows[search.rows.seed == 1]
    assert second.groupby("epochs").size().to_dict() == {2: 2}  # nothing to go on from, so not begun
    asked = len(search.trainings.asked)
    search()
    assert [training.seed for training in search.trainings.asked[asked:]] == [1]
    assert search.rows.iloc[search.rows.trial.argmax()].architecture == BASELINE  # a control alone is tried again


def test_without_a_control_a_longer_training_is_not_begun(search: Search) -> None:
    def outcome(job: Job) -> Measured | Failure:
        lost = len(search.trainings.asked) == 4  # the baseline's first of 6 epochs
        return Failure(state=State.FAILED, reason="loss is nan") if lost else trained(job)

    search.trainings.outcome = outcome
    search()
    first = search.rows[(search.rows.epochs == 6) & (search.rows.seed == 0)]
    assert first.architecture.tolist() == [BASELINE]
    assert search.complete.gain_map50_95.notna().all()


def test_a_budget_says_how_many_start(search: Search) -> None:
    notes = search(budget="9 trainings", trials=None)  # as many as the short search has; a third one takes one more
    assert "2 on 2 × 1, 1 on 6 × 2" in notes[0]
    assert len(search.trainings.asked) == 9


def test_a_time_is_planned_once_the_control_is_trained(search: Search) -> None:
    search.trainings.then = {2: KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        search(budget="1.6 m", trials=None)
    # 3 s an epoch, up to 5 s of latency; 3 · 2 + 2 · (4 + 6) epochs
    assert search.notes == [
        "plan: unknown until the control is trained",
        "plan: candidates on each rung (epochs × seeds): 2 on 2 × 1, 1 on 6 × 2; "
        "with the baseline 9 trainings, 26 epochs, about 2 min",
    ]


def test_more_candidates_climb_against_those_that_are_there(search: Search) -> None:
    search()
    before = set(search.complete[search.complete.epochs == 6].architecture)
    notes = search(trials=None, more=2)
    assert "4 on 2 × 1, 2 on 6 × 2" in notes[0]
    assert search.complete[search.complete.epochs == 2].architecture.nunique() == 1 + 4
    assert before < set(search.complete[search.complete.epochs == 6].architecture)


def test_a_ladder_that_leaves_nobody_to_judge_says_so() -> None:
    said = nobody_judges(search_settings(rungs="3x1, 3x3, 12x3"))
    assert said.startswith("rung 12 × 3: all of its seeds pick who reaches it") and "12x4 would leave one" in said
    assert [nobody_judges(search_settings(rungs=rungs)) for rungs in ("3x1, 3x3, 12x4", "3x1, 12x2", None)] == [""] * 3
