"""A search on a ladder, its trainings pretended: each is made once, whatever ends it, and goes on from the last.

The whole loop runs, against a real storage; a training writes a checkpoint and yields an accuracy that its
model, seed and epochs decide.
"""

from __future__ import annotations

import json
import shutil
import zlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from harness.architecture import BASELINE
from harness.constraints import Constraints
from harness.measure.accuracy import Accuracy
from harness.records import open_storage
from harness.search import loop as search_loop
from harness.search.base import CommonBase
from harness.search.climb import nobody_judges
from harness.search.opening import open_study
from harness.search.outcome import Failure, State
from harness.search.region import Region
from harness.search.setting import Setting, prepare
from harness.search.space_cost import AdditiveCost
from harness.search.trial import Job, Measured
from harness.search.work import Work
from harness.settings import Sampler, SearchSettings, search_settings
from tests.cli.pretended import Trainings

SHORT = {"rungs": "2x1, 6x2", "trials": 2}
"""Two candidates and the baseline, then one and the baseline: nine trainings, the last rung's from the fourth on."""


class Killed(BaseException):
    """The search dies without a chance to tidy up."""


class Notes:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.left: list[Work] = []

    def plan(self, work: Work) -> None:
        self.left.append(work)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def __getattr__(self, _name: str) -> Any:
        return lambda *_: None


def draw(*parts: object) -> float:
    """A number from 0 to 1 that the parts decide."""
    return zlib.crc32(json.dumps(parts).encode()) / 2**32


def trained(job: Job) -> Measured:
    """Weights, if they are wanted, and an accuracy."""
    for each in (*job.before, job.training):
        assert each.start is None or each.start.is_file()
        if each.save_to:
            each.save_to.parent.mkdir(exist_ok=True)
            each.save_to.write_text(json.dumps([each.config, each.seed, each.trained_epochs]))
    training = job.training
    epochs = training.trained_epochs + training.schedule.epochs
    accuracy = 0.5 + epochs / 100 + draw(training.config) / 100 + draw(training.config, training.seed, epochs) / 500
    ratio = 1.0 + draw(training.config, "latency")
    timing: Any = SimpleNamespace(p50=9.0, p90=10.0)
    latency: Any = SimpleNamespace(candidate=timing, baseline=timing, ratio=ratio, ratio_ci95=(ratio, ratio))
    return Measured(
        accuracy=Accuracy(map50_95=accuracy, map50=0.7, evaluator="E", train_seconds=6.0, transferred=""),
        latency=latency if job.measure_latency else None,
        cpu_seconds=1.0,
    )


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory, small_data: Path) -> Setting:
    """All that a search works on, read once."""
    return prepare(
        SearchSettings(
            data=str(small_data), imgsz=64, space="small", device="cpu", workers=1, from_scratch=True,
            results=tmp_path_factory.mktemp("results"),
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without a study: making one takes longer than a test."""
    path = tmp_path_factory.mktemp("tables") / "study.db"
    open_storage(f"sqlite:///{path}").engine.dispose()
    return path


class Search:
    """Searches of one study, with trainings that are pretended."""

    def __init__(self, folder: Path, setting: Setting, patch: pytest.MonkeyPatch) -> None:
        self.trainings = Trainings(trained)
        self.weights = folder / "x" / "weights"
        self.region: Region | None = None
        self._folder, self._setting = folder, setting
        self._cost = AdditiveCost.of_base(setting.base, setting.sites, classes=setting.classes, imgsz=64)
        cost = SimpleNamespace(macs=1e6, flops=2e6, params=1e3)
        patch.setattr("harness.search.place.Children", self.trainings)
        for name, value in {
            "build": lambda *_: None, "model_cost": lambda *_: cost,
            "to_yaml": lambda *_: "nc: 10\n", "write_parquet": lambda *_, **__: None,
        }.items():  # fmt: skip
            patch.setattr(search_loop, name, value)

    def __call__(self, workers: int = 1, **options: Any) -> list[str]:
        """Run, or go on; what the search has said."""
        data = self._setting.settings.data
        settings = search_settings(study="x", results=self._folder, data=data, **SHORT | options)
        setting = replace(self._setting, settings=settings, workers=workers)
        observer = Notes()
        self.notes, self.left = observer.notes, observer.left
        with open_study(settings, {}) as study:
            study.optuna.set_user_attr("environment", {})
            study.optuna.set_user_attr("space", self.region.summary() if self.region else {})
            common = CommonBase(weights=None, origin="")
            try:
                search_loop.Loop(study, setting, common, self._cost, self.region, observer, float("inf")).run([])
            finally:
                self.rows = study.record().trials
                self.optuna = study.optuna
        return observer.notes

    @property
    def complete(self) -> pd.DataFrame:
        """What is to be compared between searches: all but times and numbers of trials."""
        rows = self.rows[self.rows.state == "complete"]
        columns = ["architecture", "epochs", "seed", "map50_95", "gain_map50_95", "selected_on", "latency_ratio"]
        return rows[columns].sort_values(columns[:3]).reset_index(drop=True)


@pytest.fixture
def search(tmp_path: Path, tables: Path, setting: Setting, monkeypatch: pytest.MonkeyPatch) -> Search:
    (tmp_path / "x").mkdir()
    shutil.copy(tables, tmp_path / "x")
    return Search(tmp_path, setting, monkeypatch)


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


# --- Within bounds --------------------------------------------------------------------------------


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
