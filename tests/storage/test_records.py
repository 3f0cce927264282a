"""A study is read back from its storage alone, as tables whose every column is documented."""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from sqlalchemy.exc import OperationalError

from harness.architecture import BASELINE, Architecture, Placement
from harness.common.errors import UserError
from harness.record import study as study_record
from harness.record.form import StudySettings
from harness.record.settings import SearchSettings
from harness.record.study import (
    ARCHITECTURE,
    COLUMNS,
    ENVIRONMENT,
    LAST_RUN,
    MODEL_YAML,
    ROLE,
    ROW,
    SETTINGS,
    SPACE,
    StudyRecord,
)
from harness.record.surroundings import LOOKS, Environment, SpaceSummary
from harness.storage import records
from harness.storage.records import load_record, open_storage, record_of, sqlite_file, storage_failure, study_names
from tests.report.example import failed, frame, row

BLOCK = Architecture(base="yolov5n", placements=(Placement(site="neck.P4", global_heads=2),))


@pytest.fixture
def study() -> optuna.Study:
    """In memory: what storage does is Optuna's business."""
    return optuna.create_study(study_name="x", directions=["maximize", "minimize"])


def add(study: optuna.Study, identity: str, seed: int = 0, **row: Any) -> int:
    trial = study.ask()
    architecture = Architecture(base="yolov5n") if identity == BASELINE else BLOCK
    trial.set_user_attr(ARCHITECTURE, architecture.to_dict())
    trial.set_user_attr(MODEL_YAML, f"# {identity}\n")
    plain = {
        "architecture": identity,
        "seed": seed,
        "epochs": 3,
        "state": "complete",
        "reason": "",
        "selected_on": True,
    }
    trial.set_user_attr(ROW, {**plain, **row})
    trial.set_user_attr(ROLE, "training")
    return trial.number


def gains(record: StudyRecord) -> list[float]:
    return record.trials.gain_map50_95.tolist()


# --- Tables ---------------------------------------------------------------------------------------


def test_every_column_is_there_with_its_type(study: optuna.Study) -> None:
    add(study, BASELINE, map50_95=0.5, macs=100, started="2026-01-01T00:00:00+00:00")
    trials = record_of(study).trials
    assert list(trials.columns) == list(COLUMNS)
    assert trials.dtypes.to_dict() == frame([row(BASELINE, 0)]).dtypes.to_dict()


def test_what_was_not_measured_is_missing_and_not_zero(study: optuna.Study) -> None:
    add(study, "a", state="failed", reason="loss is nan at iteration 3")
    only = record_of(study).trials.iloc[0]
    assert only.reason == "loss is nan at iteration 3"
    assert all(math.isnan(only[name]) for name, kind in COLUMNS.items() if kind == "float64")
    assert (only.finished, only.transferred) == ("", "")


def test_a_study_that_has_only_begun_is_an_empty_table_with_all_columns(study: optuna.Study) -> None:
    record = record_of(study)
    assert record.trials.empty
    assert record.trials.dtypes.to_dict() == frame([row(BASELINE, 0)]).dtypes.to_dict()
    assert (record.name, record.architectures, record.model_yamls) == ("x", {}, {})
    assert (record.settings, record.environment, record.space) == (StudySettings(), Environment(), SpaceSummary())


def test_the_baseline_comes_first_and_the_rest_in_the_order_of_trials(study: optuna.Study) -> None:
    for identity, seed in (("b", 0), (BASELINE, 0), ("a", 0), (BASELINE, 1), ("b", 1)):
        add(study, identity, seed)
    trials = record_of(study).trials
    assert trials.architecture.tolist() == [BASELINE, BASELINE, "b", "a", "b"]
    assert trials.trial.tolist() == [1, 3, 0, 2, 4]
    assert trials.index.tolist() == [0, 1, 2, 3, 4]


def test_trials_that_trained_nothing_have_no_row(study: optuna.Study) -> None:
    add(study, BASELINE)
    study.ask()
    study.ask().set_user_attr(ROLE, "duplicate")
    study.ask().set_user_attr(ROLE, "infeasible")
    study.ask().set_user_attr(ROLE, "training")  # killed before its row was written
    record = record_of(study)
    assert len(record.trials) == 1
    assert record.proposals == {"duplicate": 1, "infeasible": 1}


def test_architectures_and_their_models_come_back(study: optuna.Study) -> None:
    add(study, BASELINE)
    add(study, "a")
    add(study, "a", seed=1)
    record = record_of(study)
    assert record.architectures == {BASELINE: Architecture(base="yolov5n"), "a": BLOCK}
    assert record.model_yamls == {BASELINE: "# baseline\n", "a": "# a\n"}


def test_what_all_trials_share_wins_over_the_last_runs_options(study: optuna.Study) -> None:
    study.set_user_attr(SETTINGS, {"imgsz": 128, "space": "default"})
    study.set_user_attr(LAST_RUN, {"trials": 12, "imgsz": 999})
    study.set_user_attr(ENVIRONMENT, {"device": "cpu"})
    study.set_user_attr(SPACE, {"size": 4})
    record = record_of(study)
    assert record.settings.to_dict() == {"trials": 12, "imgsz": 128, "space": "default"}
    assert (record.environment.device, record.space.size) == ("cpu", 4)


def test_ap_of_each_class_comes_back_by_trial(study: optuna.Study) -> None:
    first = add(study, BASELINE, map50_95=0.5, per_class={"cat": 0.6, "dog": 0.4})
    add(study, "a", state="failed")
    last = add(study, "a", seed=1, map50_95=0.3, per_class={"cat": 0.3})
    per_class = record_of(study).per_class
    assert per_class["cat"].to_dict() == {first: 0.6, last: 0.3}
    assert per_class["dog"].to_dict() == pytest.approx({first: 0.4, last: math.nan}, nan_ok=True)


def test_a_study_from_before_evaluators_were_kept_is_read(study: optuna.Study) -> None:
    add(study, BASELINE, map50_95=0.5)
    record = record_of(study)
    assert (record.trials.evaluator.item(), math.isnan(record.trials.coco_map50_95.item())) == ("", True)
    assert record.per_class.empty


# --- Gains are paired -----------------------------------------------------------------------------


def test_a_gain_is_the_difference_to_the_baseline_of_the_same_seed(study: optuna.Study) -> None:
    add(study, BASELINE, 0, map50_95=0.50)
    add(study, BASELINE, 1, map50_95=0.60)
    add(study, "a", 0, map50_95=0.53)
    add(study, "a", 1, map50_95=0.58)
    assert gains(record_of(study)) == pytest.approx([0, 0, 0.03, -0.02])


def test_a_gain_is_the_difference_to_the_baseline_of_the_same_epochs(study: optuna.Study) -> None:
    add(study, BASELINE, epochs=3, map50_95=0.5)
    add(study, BASELINE, epochs=9, map50_95=0.7)
    add(study, "a", epochs=9, map50_95=0.8)
    add(study, "a", epochs=5, map50_95=0.8)
    assert gains(record_of(study)) == pytest.approx([0, 0, 0.1, math.nan], nan_ok=True)


def test_a_gain_is_not_taken_between_evaluators(study: optuna.Study) -> None:
    add(study, BASELINE, map50_95=0.5)  # from before evaluators were kept: Ultralytics' validator
    add(study, "a", map50_95=0.6, evaluator="COCOeval (faster-coco-eval 1.8.0), COCO annotations")
    add(study, "b", map50_95=0.6, evaluator="Ultralytics 8.4.190's validator")
    assert gains(record_of(study)) == pytest.approx([0, math.nan, 0.1], nan_ok=True)


@pytest.mark.parametrize("state", ["failed", "out_of_memory", "interrupted"])
def test_without_a_complete_control_there_is_no_gain(study: optuna.Study, state: str) -> None:
    add(study, BASELINE, state=state, reason="stopped")
    add(study, "a", map50_95=0.8)
    assert gains(record_of(study)) == pytest.approx([math.nan, math.nan], nan_ok=True)


def test_a_control_that_was_run_again_after_a_kill_counts(study: optuna.Study) -> None:
    add(study, BASELINE, state="interrupted")
    add(study, BASELINE, map50_95=0.5)
    add(study, "a", map50_95=0.4)
    assert gains(record_of(study)) == pytest.approx([math.nan, 0, -0.1], nan_ok=True)


def test_the_reports_examples_are_records_as_well() -> None:
    trials = frame([row(BASELINE, 0), failed("a", 0)])
    assert list(trials.columns) == list(COLUMNS)


# --- Storage --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with study `x`, one trial in it."""
    path = tmp_path_factory.mktemp("storage") / "study.db"
    study = optuna.create_study(
        study_name="x", directions=["maximize", "minimize"], storage=open_storage(f"sqlite:///{path}")
    )
    add(study, BASELINE, map50_95=0.5)
    return path


def test_a_study_is_read_from_its_file(database: Path) -> None:
    record = load_record(f"sqlite:///{database}", "x")
    assert record.name == "x"
    assert record.trials.map50_95.tolist() == [0.5]


def test_an_unknown_study_is_answered_with_those_there_are(database: Path) -> None:
    with pytest.raises(UserError, match=r"study y: not in sqlite:///.*study\.db; there are: x$"):
        load_record(f"sqlite:///{database}", "y")


@pytest.mark.parametrize("query", ["", "?timeout=5"])
def test_reading_makes_no_database(tmp_path: Path, query: str) -> None:
    with pytest.raises(UserError, match="does not exist"):
        load_record(f"sqlite:///{tmp_path}/typo.db{query}", "x")
    assert not list(tmp_path.iterdir())


def test_a_report_can_be_read_while_a_search_writes(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as search:
        assert search.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        search.execute("BEGIN IMMEDIATE")
        search.execute("DELETE FROM trials")
        assert len(load_record(f"sqlite:///{database}", "x").trials) == 1
        search.execute("ROLLBACK")


@contextmanager
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    """Another program has the database to itself, from before it was ever opened by a search."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield other


def test_a_locked_database_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    with locked(path) as other:
        threading.Timer(0.2, other.execute, ["ROLLBACK"]).start()
        started = time.monotonic()
        open_storage(f"sqlite:///{path}")
        assert time.monotonic() - started >= 0.15


def test_a_database_that_stays_locked_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LOCK_SECONDS", 0.1)
    path = tmp_path / "study.db"
    with locked(path), pytest.raises(UserError, match=r"cannot be opened \(database is locked\)") as error:
        open_storage(f"sqlite:///{path}")
    assert str(path) in str(error.value)


def test_the_url_may_say_how_long_to_wait(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    with locked(path):
        started = time.monotonic()
        with pytest.raises(UserError, match=r"cannot be opened \(database is locked\)"):
            open_storage(f"sqlite:///{path}?timeout=0.1")
    assert time.monotonic() - started < records.LOCK_SECONDS / 3


@pytest.mark.parametrize("content", [b"not a database", bytes(range(256)) * 20])
def test_a_file_that_is_no_database_is_named_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "study.db"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot be opened \(file is not a database\)"):
        load_record(f"sqlite:///{path}", "x")
    assert path.read_bytes() == content


@pytest.mark.parametrize("url", ["redis://me:s3cret@host", "postgresql://me:s3cret@host/db"])
def test_a_storage_that_cannot_be_opened_is_named_without_its_password(url: str) -> None:
    with pytest.raises(UserError, match=r"cannot be opened|needs psycopg") as error:  # which tests go without
        open_storage(url)
    assert "s3cret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_failure_is_told_in_the_databases_own_words() -> None:
    deep = OperationalError("INSERT …", {}, sqlite3.OperationalError("database or disk is full"))
    wrapped = optuna.exceptions.StorageInternalError("An exception is raised during the commit. This typically …")
    wrapped.__cause__ = deep
    assert storage_failure(deep) == storage_failure(wrapped) == "database or disk is full"
    assert storage_failure(ValueError("first\nsecond")) == "first"
    assert storage_failure(ValueError()) == "ValueError"


@pytest.mark.parametrize("name", ["what?", "50%25 x", "a#b", "100 %", "{curly}", "空间 x", "a&b=c"])
def test_a_study_is_where_its_path_says_whatever_characters_it_has(tmp_path: Path, name: str) -> None:
    settings = SearchSettings(results=tmp_path / name, study="x")
    settings.folder.mkdir(parents=True)
    optuna.create_study(study_name="x", storage=open_storage(settings.storage_url))
    assert (tmp_path / name / "x" / "study.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert sqlite_file(settings.storage_url) == settings.folder / "study.db"
    assert study_names(settings.storage_url) == ["x"]


def test_a_plain_path_for_a_storage_is_answered_with_its_url(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a URL; of a SQLite file write sqlite:////") as error:
        open_storage(str(tmp_path / "study.db"))
    assert str(error.value).endswith(f"write sqlite:///{tmp_path / 'study.db'}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "url", ["postgresql://me:pa@ss@host/clo", "mysql://me:a@b@c@host:1/clo", "postgresql://me@home:p@host/clo"]
)
def test_a_password_that_would_be_read_as_a_host_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UserError, match="holds an '@'; write %40 for it") as error:
        load_record(url, "x")
    for part in ("pa", "ss@", "a@b", "b@c", "p@"):
        assert part not in str(error.value).replace("password", "")


def test_a_database_of_another_optuna_is_said_to_be_one(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    optuna.create_study(study_name="x", storage=open_storage(url))
    with closing(sqlite3.connect(tmp_path / "study.db")) as other, other:
        other.execute("UPDATE version_info SET schema_version = 7")
        other.execute("UPDATE alembic_version SET version_num = 'v0.9.0.a'")
    with pytest.raises(UserError, match="was made by another version of Optuna than the installed") as error:
        load_record(url, "x")
    assert "locked" not in str(error.value)


def judged(study: optuna.Study, seeds: int) -> None:
    """The baseline and one candidate of so many seeds in all, of which the first picked it."""
    for seed in range(seeds):
        for name in (BASELINE, "a"):
            add(study, name, seed=seed, map50_95=0.5, selected_on=seed == 0)


@pytest.mark.parametrize(("looks", "look"), [((), 1), ((2,), 2), ((2, 4), 2), ((1, 2, 4), 3), ((4,), 1), ((9,), 1)])
def test_a_look_is_one_on_more_evaluation_seeds_than_before(
    study: optuna.Study, looks: tuple[int, ...], look: int
) -> None:
    judged(study, 5)
    study.set_user_attr(LOOKS, list(looks))
    record = record_of(study)
    assert study_record.evaluation_seeds(record.trials) == 4
    assert record.look == look
    assert record.environment.looks == looks  # so that a rendering from environment.json knows it


def test_a_study_without_evaluation_seeds_was_never_looked_at(study: optuna.Study) -> None:
    judged(study, 1)
    record = record_of(study)
    assert (study_record.evaluation_seeds(record.trials), record.look, record.environment.looks) == (0, 1, ())
