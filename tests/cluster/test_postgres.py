"""Searches that share a study in PostgreSQL: one decides at a time, and nothing is lost or doubled."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import Trial, TrialState

from benchmarks.postgres_server import PostgresServer
from harness.architecture import BASELINE, Architecture, Placement
from harness.common.errors import UserError
from harness.detectors import resolve_base
from harness.jobs.base import FILE, CommonBase, shared_base
from harness.jobs.setting import find_architecture
from harness.record.settings import SearchSettings
from harness.record.state import Key, State
from harness.storage.opening import open_study
from harness.storage.records import load_record
from harness.storage.study import SearchStudy

pytestmark = pytest.mark.cluster

BASE = Architecture(base="yolov5n")
BLOCK = Architecture(base="yolov5n", placements=(Placement(site="neck.P4", global_heads=2),))
COMPLETE = {"map50_95": 0.5, "map50": 0.7, "macs": 5e6, "params": 7e3, "latency_ms_p50": 9.0, "latency_ratio": 1.1}


@pytest.fixture
def settings(tmp_path: Path, new_storage: Callable[[], str]) -> SearchSettings:
    return SearchSettings(study="x", results=tmp_path, storage=new_storage(), worker_timeout_s=2)


def begin(study: SearchStudy, architecture: Architecture = BLOCK, identity: str = "a", seed: int = 0) -> Trial:
    with study.members.turn():
        trial = study.optuna.ask()
        row = {"seed": seed, "base_seed": 0, "epochs": 3, "selected_on": False}
        study.begin(trial, architecture, identity, "nc: 10\n", row)
    return trial


@contextmanager
def silent(study: SearchStudy) -> Iterator[None]:
    """As if its machine were cut off: no sign of life leaves it."""
    study.members.close()  # type: ignore[attr-defined]
    time.sleep(2.5)
    yield


def rows(study: SearchStudy) -> list[tuple[str, str]]:
    return [(str(row.architecture), str(row.state)) for row in study.record().trials.itertuples()]


def test_two_may_work_on_one_study_and_only_one_decides_at_a_time(settings: SearchSettings) -> None:
    inside: list[int] = []

    def decide(number: int) -> None:
        with open_study(settings, {}) as study:
            for _ in range(5):
                with study.members.turn(), study.members.turn():
                    inside.append(number)
                    time.sleep(0.01)
                    inside.append(number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(decide, range(4)))
    assert len(inside) == 40
    assert all(inside[at] == inside[at + 1] for at in range(0, 40, 2))


def test_what_one_works_on_is_under_way_for_the_other_and_stays_its_own(settings: SearchSettings) -> None:
    with open_study(settings, {}) as one, open_study(settings, {}) as other:
        trial = begin(one)
        time.sleep(2.5)  # longer than a silence: it has given signs of life
        other.close_abandoned()
        assert other.under_way() == {Key("a", 3, 0)}
        assert other.unfinished() == []
        one.end(trial, State.COMPLETE, COMPLETE)
        assert other.states() == {Key("a", 3, 0): State.COMPLETE}


def test_a_silent_worker_is_noticed_and_its_training_run_again_once(settings: SearchSettings) -> None:
    with open_study(settings, {}) as other:
        with open_study(settings, {}) as dead:
            begin(dead)
            with silent(dead):
                other.close_abandoned()
        assert rows(other) == [("a", "interrupted")]
        assert other.record().trials.reason[0].endswith("died; run again")
        assert other.unfinished() == [BLOCK]
        with open_study(settings, {}) as dead_too:
            begin(dead_too)
            with silent(dead_too):
                other.close_abandoned()
        assert rows(other) == [("a", "interrupted"), ("a", "failed")]
        assert other.record().trials.reason[1] == "2 workers died of it; not run again"
        assert other.unfinished() == []


def test_a_trial_that_was_asked_for_by_one_who_died_before_a_word_is_closed(settings: SearchSettings) -> None:
    with open_study(settings, {}) as study:
        trial = study.optuna.ask()
        study.close_abandoned()
        assert study.optuna.trials[trial.number].state is TrialState.FAIL


def test_who_was_taken_for_dead_hands_in_its_result_all_the_same(settings: SearchSettings) -> None:
    with open_study(settings, {}) as other, open_study(settings, {}) as cut_off:
        trial = begin(cut_off)
        with silent(cut_off):
            other.close_abandoned()
        cut_off.end(trial, State.COMPLETE, COMPLETE)
        assert rows(other) == [("a", "interrupted"), ("a", "complete")]
        assert other.optuna.trials[1].values == [0.5, 9.0]


@pytest.mark.parametrize("again_is_done", [True, False])
def test_of_two_that_finish_the_same_training_one_counts(settings: SearchSettings, again_is_done: bool) -> None:
    with open_study(settings, {}) as other, open_study(settings, {}) as cut_off:
        trial = begin(cut_off)
        with silent(cut_off):
            other.close_abandoned()
        again = begin(other)
        first, second = ((other, again), (cut_off, trial)) if again_is_done else ((cut_off, trial), (other, again))
        first[0].end(first[1], State.COMPLETE, COMPLETE)
        second[0].end(second[1], State.COMPLETE, COMPLETE)
        assert sorted(rows(other)) == sorted(
            [("a", "complete"), ("a", "interrupted")] + ([] if again_is_done else [("a", "interrupted")])
        )
        assert other.under_way() == set()


def test_a_candidate_that_ends_before_its_control_is_told_after_it(settings: SearchSettings) -> None:
    with open_study(settings, {}) as one, open_study(settings, {}) as other:
        control = begin(one, BASE, BASELINE)
        early = begin(other)
        other.end(early, State.COMPLETE, {**COMPLETE, "map50_95": 0.55})
        assert other.optuna.trials[early.number].state is TrialState.RUNNING
        assert other.under_way() == {Key(BASELINE, 3, 0)}
        assert set(other.known()) == {"a"}
        one.end(control, State.COMPLETE, {**COMPLETE, "latency_ms_p50": 10.0, "latency_ratio": 1.0})
        assert other.optuna.trials[early.number].values == pytest.approx([0.55, 11.0])
        assert other.under_way() == set()


def test_a_restart_of_the_server_is_waited_out_in_the_middle_of_a_trial(
    settings: SearchSettings, server: PostgresServer
) -> None:
    said: list[str] = []
    with open_study(settings, {}) as study:
        study.storage.on_outage = said.append  # type: ignore[attr-defined]
        trial = begin(study)
        server.stop("immediate")
        threading.Timer(2.0, server.start).start()
        study.end(trial, State.COMPLETE, COMPLETE)
        assert rows(study) == [("a", "complete")]
    assert said[0].startswith("storage postgresql+psycopg://postgres@127.0.0.1")
    assert said[-1] == "storage answers again"


def test_a_trial_that_begins_while_the_server_restarts_is_begun_all_the_same(
    settings: SearchSettings, server: PostgresServer
) -> None:
    with open_study(settings, {}) as one, open_study(settings, {}) as other:
        trial = one.optuna.ask()
        server.stop()
        threading.Timer(1.0, server.start).start()
        one.members.works_on(trial.number + 1)  # its first sign of life
        other.close_abandoned()
        assert one.optuna.trials[trial.number].state is TrialState.RUNNING


def test_a_server_that_refuses_writes_is_waited_out(settings: SearchSettings, server: PostgresServer) -> None:
    with open_study(settings, {}) as study:
        trial = begin(study)
        server.refuse_writes(refuse=True)
        time.sleep(0.5)
        threading.Timer(2.0, lambda: server.refuse_writes(refuse=False)).start()
        started = time.monotonic()
        study.end(trial, State.COMPLETE, COMPLETE)
        assert time.monotonic() - started > 1
        assert rows(study) == [("a", "complete")]


def test_a_server_that_does_not_come_back_ends_the_search_with_what_it_said(
    settings: SearchSettings, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.storage.patient_storage.PatientStorage.patience_s", 0.5)
    with open_study(settings, {}) as study:
        server.stop()
        try:
            with pytest.raises(Exception, match="exception is raised"):
                study.states()
        finally:
            server.start()


def test_a_storage_that_is_not_there_is_one_sentence(settings: SearchSettings) -> None:
    nowhere = settings.model_copy(update={"storage": "postgresql://someone:secret@127.0.0.1:9/none"})
    with pytest.raises(UserError, match=r"someone:\*\*\*@127.0.0.1:9/none: cannot be opened") as refused:
        open_study(nowhere, {}).__enter__()
    assert "secret" not in str(refused.value)


def test_the_base_is_made_by_one_and_is_the_same_file_for_all(settings: SearchSettings, tmp_path: Path) -> None:
    made: list[int] = []
    waited: list[int] = []
    (tmp_path / "cached.pt").write_bytes(b"weights")

    def ask(number: int) -> CommonBase:
        def make() -> CommonBase:
            made.append(number)
            time.sleep(0.3)
            return CommonBase(weights=tmp_path / "cached.pt", origin="trained", map50_95=0.4)

        with open_study(settings, {}) as study:
            return shared_base(study, make, lambda: waited.append(number))

    with ThreadPoolExecutor(3) as pool:
        bases = list(pool.map(ask, range(3)))
    assert len(made) == 1
    assert not set(made) & set(waited)
    assert set(bases) == {CommonBase(weights=settings.folder / FILE, origin="trained", map50_95=0.4)}
    assert (settings.folder / FILE).read_bytes() == b"weights"


def test_a_machine_with_another_results_folder_is_told_so(settings: SearchSettings, tmp_path: Path) -> None:
    (tmp_path / "cached.pt").write_bytes(b"weights")
    base = CommonBase(weights=tmp_path / "cached.pt", origin="trained")
    with open_study(settings, {}) as study:
        shared_base(study, lambda: base)
    elsewhere = settings.model_copy(update={"results": tmp_path / "elsewhere"})
    with open_study(elsewhere, {}) as study, pytest.raises(UserError, match="needs the same --results folder"):
        shared_base(study, lambda: base)


def test_another_kind_of_device_has_a_study_of_its_own_beside_the_first(settings: SearchSettings) -> None:
    with open_study(settings, {"device_kind": "Tesla T4"}) as first:
        train = begin(first, BASE, BASELINE)
        first.end(train, State.COMPLETE, COMPLETE)
    with open_study(settings, {"device_kind": "NVIDIA A100-SXM4-40GB"}) as second:
        assert second.settings.study == "x@nvidia-a100-sxm4-40gb"
        assert rows(second) == []
    with open_study(settings, {"device_kind": "Tesla T4"}) as again:
        assert again.settings.study == "x"
        assert rows(again) == [(BASELINE, "complete")]


def test_an_architecture_of_a_study_on_the_server_can_be_included(settings: SearchSettings) -> None:
    base = resolve_base("yolov5n")
    with open_study(settings, {}) as study:
        study.end(begin(study), State.COMPLETE, COMPLETE)
    asked: dict[str, Any] = {"option": "--include", "storage": settings.storage}
    assert find_architecture("x/a", base, settings.results, **asked) == BLOCK
    with pytest.raises(UserError, match="study x has no architecture 'b'"):
        find_architecture("x/b", base, settings.results, **asked)


@pytest.mark.slow
def test_two_searches_on_one_study_share_its_work_though_one_is_killed(
    tmp_path: Path, small_search: tuple[str, ...], new_storage: Callable[[], str]
) -> None:
    storage = new_storage()
    command = [
        sys.executable, "-m", "harness", *small_search, "--trials", "4", "--workers", "1", "--threads", "1",
        "--storage", storage, "--worker-timeout", "3s",
    ]  # fmt: skip
    options: dict[str, Any] = {"cwd": tmp_path, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    searches = [subprocess.Popen(command, **options) for _ in range(3)]
    seen = _wait_for_a_candidate(storage)
    searches[0].kill()
    said = [search.communicate(timeout=240) for search in searches]
    assert [search.returncode for search in searches[1:]] == [0, 0], said
    table = load_record(storage, "x").trials
    done = table[table.state == "complete"]
    assert not done.duplicated(["architecture", "epochs", "seed"]).any()
    assert set(seen) <= set(done.trial)
    assert done.groupby("architecture").seed.count().sort_values().tolist() == [1, 1, 1, 2, 2]
    assert len(list((tmp_path / "results" / "x").glob("base.pt"))) == 1


def _wait_for_a_candidate(storage: str) -> list[int]:
    """Until the baseline and a candidate are trained; the trials that are complete by then."""
    until = time.monotonic() + 240
    while time.monotonic() < until:
        time.sleep(1)
        try:
            table = load_record(storage, "x").trials
        except UserError:  # the searches have not made it yet
            continue
        done = table[table.state == "complete"]
        if len(done) >= 2:
            return [int(number) for number in done.trial]
    raise AssertionError("nothing was trained in four minutes")


def test_of_two_ablations_of_one_name_the_second_is_refused(settings: SearchSettings) -> None:
    with open_study(settings, {}) as one, open_study(settings, {}) as other, one.members.only_one("ablate"):
        with pytest.raises(UserError, match="another clo ablate is running on it"), other.members.only_one("ablate"):
            pass
        with other.members.turn():  # which keeps no search from its work
            assert other.under_way() == set()
