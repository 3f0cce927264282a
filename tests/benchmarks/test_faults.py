"""The fault campaign notices what it is there to notice."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import filelock
import pytest

from benchmarks import faults
from benchmarks.fault_checks import ALL, cluster, shared
from benchmarks.fault_checks.files import cut
from benchmarks.fault_checks.ground import Ground, sqlite_url
from benchmarks.fault_checks.left_behind import MARK, half_written, held_locks, processes
from benchmarks.fault_checks.program import Program
from benchmarks.fault_checks.rows import Figures, Key, Row, different, doubled, lost, read_rows, runs_again
from benchmarks.fault_checks.scenario import Play, Scenario, Skipped, Tally, scenario, shares, until
from benchmarks.fault_checks.watched import Watched
from harness.storage.records import open_storage

FIRST = {"architecture": "a", "epochs": 1, "seed": 0, "state": "complete", "map50_95": 0.25, "macs": 8}
UNDISTURBED = {Key("a", 1, 0): Figures(0.25, 8), Key("b", 1, 0): Figures(0.5, 9)}


def row(number: int = 0, **others: object) -> Row:
    return Row(number=number, told="COMPLETE", content={**FIRST, "reason": "", **others})


# --- Rows -----------------------------------------------------------------------------------------


def test_a_row_that_is_gone_or_changed_is_lost() -> None:
    kept, changed, gone = row(0), row(1, epochs=2), row(2, seed=1)
    assert lost([kept, changed, gone], [kept, replace(changed, content={**changed.content, "macs": 9})]) == [
        changed,
        gone,
    ]


def test_a_training_that_finished_twice_is_doubled_and_one_run_again_after_a_kill_is_not() -> None:
    again = row(2)
    assert doubled([row(0), row(1, state="interrupted"), row(3, seed=1)]) == []
    assert doubled([row(0), again, row(3, state="failed")]) == [again]


@pytest.mark.parametrize("change", [{"map50_95": 0.25 + 1e-15}, {"macs": 9}, {"map50_95": None}, {"epochs": 2}])
def test_a_row_is_different_by_the_last_digit(change: dict[str, object]) -> None:
    changed = replace(row(), content={**row().content, **change})
    assert different([row()], UNDISTURBED) == []
    assert different([changed], UNDISTURBED) == [changed]


def test_a_training_that_runs_again_after_a_workers_death_must_not_be_killed() -> None:
    dead, again, other = row(0, died=True), replace(row(1), told="RUNNING"), replace(row(2, seed=1), told="RUNNING")
    assert runs_again([dead, again, other]) == [again]
    assert runs_again([row(0), again, other]) == []
    assert runs_again([dead, row(1), other]) == []


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A results folder whose study `x` has one finished row, as Optuna stores it."""
    import optuna

    (tmp_path / "x").mkdir()
    study = optuna.create_study(storage=open_storage(sqlite_url(tmp_path, "x")), study_name="x")
    trial = study.ask()
    trial.set_user_attr("row", {**FIRST, "reason": ""})
    study.tell(trial, 0.25)
    return tmp_path


def test_rows_are_read_from_optunas_tables(stored: Path) -> None:
    assert read_rows(sqlite_url(stored, "x"), "x") == [row()]
    assert read_rows(sqlite_url(stored, "x"), "other") == []


def test_a_database_without_tables_has_no_rows(tmp_path: Path) -> None:
    assert read_rows(f"sqlite:///{tmp_path / 'new.db'}", "x") == []


# --- What is left behind --------------------------------------------------------------------------


def test_a_process_with_the_studys_mark_is_found_and_others_are_not() -> None:
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen(sleeper, env={**os.environ, MARK: "test-mine"}) as mine:
        found = [process.pid for process in processes("test-mine", patience=0)]
        others = processes("test-other", patience=0)
        mine.kill()
    assert (found, others) == ([mine.pid], [])
    assert processes("test-mine", patience=5) == []


def test_a_lock_that_is_held_is_found(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    mine, free = tmp_path / "study" / ".lock", tmp_path / "study" / "free.lock"
    free.touch()
    holder = "import sys, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print('held', flush=True); "
    holder += "input()"
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(mine)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        assert held_locks([tmp_path]) == [mine]
        other.kill()
    assert held_locks([tmp_path]) == []
    with filelock.FileLock(free, timeout=0):
        pass


def test_half_written_files_are_found_and_whole_ones_are_not(tmp_path: Path) -> None:
    halves = [".report.html.host.7.part", "a.tmp", "base.part"]
    for name in [*halves, "report.html", "a-1-0.pt", "a.pt.lock"]:
        (tmp_path / name).touch()
    assert [path.name for path in half_written([tmp_path])] == halves


# --- Watching -------------------------------------------------------------------------------------


def watched(results: Path) -> Watched:
    undisturbed = {Key("a", 1, 0): Figures(0.25, 8)}
    ground = Ground(folder=results, data=Path(), architectures={"a": ""}, options={}, undisturbed=undisturbed)
    return Watched(ground=ground, tally=Tally(faults=1), name="x", results=results)


@contextmanager
def storage_of(study: Watched) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(study.database)) as connection:
        yield connection
        connection.commit()


def write_row(study: Watched, **change: object) -> None:
    with storage_of(study) as connection:
        connection.execute(
            "UPDATE trial_user_attributes SET value_json = ? WHERE key = 'row'", [json.dumps({**FIRST, **change})]
        )


def test_a_sound_study_passes(stored: Path) -> None:
    study = watched(stored)
    study.expect_whole(study.check())
    study.expect_whole(study.check())
    assert study.tally.passed
    assert study.tally.counts() == (1, 0, 2, 0, 0, 0, 0)


def test_a_finished_row_that_vanishes_is_counted_as_lost(stored: Path) -> None:
    study = watched(stored)
    study.check()
    with storage_of(study) as connection:
        connection.execute("DELETE FROM trial_user_attributes")
    study.check()
    assert (study.tally.lost, study.tally.passed) == (1, False)


def test_a_finished_row_of_other_figures_is_counted_as_different(stored: Path) -> None:
    study = watched(stored)
    write_row(study, map50_95=0.2500001)
    study.check()
    assert (study.tally.different, study.tally.lost, study.tally.passed) == (1, 0, False)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"state": "failed", "reason": "", "map50_95": None}, "failed without a reason"),
        ({"state": "failed", "reason": "nan", "map50_95": 0.0}, "failed with a mAP"),
        ({"state": "interrupted"}, "never finished"),
    ],
)
def test_what_did_not_finish_has_failed_for_a_reason_and_without_a_map(
    stored: Path, change: dict[str, object], problem: str
) -> None:
    study = watched(stored)
    write_row(study, **change)
    study.expect_whole(study.check(), failed=1)
    assert any(problem in sentence for sentence in study.tally.problems)


def test_a_trial_that_runs_for_ever_is_a_problem(stored: Path) -> None:
    study = watched(stored)
    with storage_of(study) as connection:
        connection.execute("UPDATE trials SET state = 'RUNNING'")
    study.expect_whole(study.check())
    assert any("takes trials [0] for running" in sentence for sentence in study.tally.problems)


# --- Scenarios ------------------------------------------------------------------------------------


def test_a_whole_campaign_puts_in_at_least_66_faults_and_60_without_servers_and_clusters() -> None:
    faults_of = {each.name: each.faults for each in ALL.values()}
    assert sum(faults_of.values()) >= 66
    others = [count for name, count in faults_of.items() if not re.search("worker|PostgreSQL|Ray", name)]
    assert sum(others) >= 60
    assert len(faults_of) - len(others) == 5


def test_fewer_faults_are_shared_out_and_every_scenario_has_one() -> None:
    counts = dict(shares([*ALL.values()], 20))
    assert all(counts.values())
    assert 15 <= sum(counts.values()) <= 25 + len(ALL)
    assert dict(shares([*ALL.values()], None)) == {each: each.faults for each in ALL.values()}


def test_a_scenario_has_a_name_of_its_own() -> None:
    with pytest.raises(ValueError, match=r"'Ctrl-C' exists twice"):
        scenario("Ctrl-C", faults=1)(lambda *_: None)


def test_faults_that_never_meet_a_running_search_are_an_error() -> None:
    with pytest.raises(RuntimeError, match="only 0 of 1 faults"):
        for _ in until(Tally(), 1):
            pass


def skip(*_: object) -> None:
    raise Skipped("needs the right to mount")


def break_down(*_: object) -> None:
    raise OSError("no such thing")


def do_nothing(*_: object) -> None:
    pass


def test_a_scenario_that_breaks_or_tries_nothing_has_not_passed(tmp_path: Path) -> None:
    ground = Ground(folder=tmp_path, data=Path(), architectures={}, options={"rungs": "1x1"})
    found = {}
    for play in (skip, break_down, do_nothing):
        tally = Tally()
        faults.play(Scenario(name="it", faults=1, play=play), ground, random.Random(0), 1, tally)
        found[play.__name__] = (tally.passed, tally.skipped, tally.problems)
    assert found == {
        "skip": (False, "needs the right to mount", []),
        "break_down": (False, "", ["OSError: no such thing"]),
        "do_nothing": (False, "", []),
    }


def stop(_ground: Ground, _generator: random.Random, tally: Tally, _faults: int) -> None:
    tally.faults = 1
    tally.problems.append("this was wrong before")
    raise KeyboardInterrupt


def find(_ground: Ground, _generator: random.Random, tally: Tally, faults: int) -> None:
    tally.faults, tally.checked = faults, 11


def test_the_table_has_every_row_and_the_sum_though_a_scenario_breaks_and_ctrl_c_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Ground, "run_undisturbed", lambda _: None)
    ground = Ground(folder=tmp_path, data=Path(), architectures={}, options={"rungs": "1x1"})
    plays: dict[str, Play] = {"sound": find, "broken": break_down, "absent": skip, "ended": stop, "never begun": find}
    with pytest.raises(KeyboardInterrupt):
        faults.campaign([Scenario(name=name, faults=3, play=play) for name, play in plays.items()], ground, None, 0)
    said = capsys.readouterr().out
    assert "sound: pass; 3 faults, 0 restarts, 11 checked" in said.partition("broken")[0], "as soon as it is known"
    assert {"  this was wrong before", "  needs the right to mount"} <= set(said.splitlines())
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in said.splitlines() if "│" in line]
    assert [(name, count, result) for name, count, *_, result in cells] == [
        ("sound", "3", "pass"),
        ("broken", "0", "FAIL"),
        ("absent", "0", "skipped"),
        ("ended", "1", "stopped"),
        ("in all", "4", "FAIL"),
    ]


@pytest.mark.parametrize(
    ("name", "value", "needed"),
    [("find_spec", None, "needs psycopg"), ("programs", None, "needs a PostgreSQL server: apt-get install postgresql")],
)
def test_where_there_is_no_server_its_scenarios_are_skipped_with_what_they_need(
    monkeypatch: pytest.MonkeyPatch, name: str, value: None, needed: str
) -> None:
    monkeypatch.setattr(shared, "find_spec", lambda _: "there")
    monkeypatch.setattr(shared, name, lambda *_: value)
    with pytest.raises(Skipped, match=needed):
        shared.server().__enter__()


def test_where_there_is_no_ray_its_scenario_is_skipped_with_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "is_installed", lambda: False)
    tally, ground = Tally(), Ground(folder=Path(), data=Path(), architectures={}, options={})
    faults.play(ALL["kill -9 of a Ray node"], ground, random.Random(0), 1, tally)
    assert (tally.skipped, tally.problems) == ("needs Ray: pip install 'clo-nas[ray]'", [])


def test_a_file_that_is_cut_off_is_shorter_and_begins_as_it_did(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(range(100)))
    cut(file, random.Random(0))
    left = file.read_bytes()
    assert len(left) < 100
    assert bytes(range(100)).startswith(left)


def test_an_option_that_is_emptied_is_not_given(tmp_path: Path) -> None:
    ground = Ground(
        folder=tmp_path, data=Path("d.yaml"), architectures={"a": ""}, options={"device": "cpu", "seed": "1"}
    )
    program = ground.start("x", tmp_path, {"device": ""})
    ground.end_all()
    words = list(map(str, program.process.args))  # type: ignore[arg-type]
    assert words[words.index("search") :] == (
        f"search --seed 1 --data d.yaml --results {tmp_path} --study x --include a.yaml".split()
    )


def test_a_program_is_killed_alone_pauses_and_hears_ctrl_c(tmp_path: Path) -> None:
    program = Program(["--help"], folder=tmp_path, mark="x", environment={})
    program.pause()
    assert program.run_for(3.0), "paused"
    program.go_on()
    assert program.wait() == 0
    program = Program(["search", "--quiet"], folder=tmp_path, mark="x", environment={"CLO_NAS_CACHE": str(tmp_path)})
    program.kill()
    assert program.process.returncode == -signal.SIGKILL
    assert processes("x") == []
