"""The straight path, for real: a small search from the command line to the report."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
import pandas as pd
import pytest
import yaml

from harness.storage.records import load_record

if TYPE_CHECKING:
    from tests.search.conftest import Clo

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, small_search: tuple[str, ...], clo: Clo) -> Path:
    """A folder in which the small search has run."""
    folder = tmp_path_factory.mktemp("search")
    done = clo(small_search, folder)
    assert done.returncode == 0, done.stderr
    (folder / "closing.json").write_text(done.stdout)
    return folder


def trials(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "results" / "x" / "trials.csv", keep_default_na=False, na_values=[""])


def test_the_closing_object_counts_what_was_done(finished: Path) -> None:
    said = json.loads((finished / "closing.json").read_text())
    assert said["study"] == "x"
    assert said["folder"] == "results/x"
    assert (said["finished"], said["failed"]) == (2, 0)
    assert said["front"]


def test_baseline_is_trial_zero_and_the_table_has_a_row_for_each_architecture_and_seed(finished: Path) -> None:
    rows = trials(finished)
    assert list(rows.columns[:13]) == [
        "trial", "architecture", "seed", "epochs", "state", "reason", "map50_95", "map50", "gain_map50_95",
        "latency_ms_p50", "latency_ratio", "macs", "params",
    ]  # fmt: skip
    assert (rows.trial[0], rows.architecture[0], rows.seed[0]) == (0, "baseline", 0)
    assert (rows.state == "complete").all()
    seeds = rows.groupby("architecture").seed.agg(list)
    assert seeds.pop("baseline") == [0, 1]
    assert sorted(map(len, seeds)) == [1, 2]  # one finalist with both seeds


def test_gain_is_the_difference_to_the_baseline_of_the_same_seed(finished: Path) -> None:
    rows = trials(finished)
    control = rows[rows.architecture == "baseline"].set_index("seed").map50_95
    assert rows.gain_map50_95.tolist() == pytest.approx((rows.map50_95 - rows.seed.map(control)).tolist(), abs=1e-12)


def test_every_row_names_its_evaluator_and_has_cocoevals_figure_beside_it(finished: Path) -> None:
    rows = trials(finished)
    assert rows.evaluator.str.fullmatch(r"Ultralytics 8\.\d+\.\d+'s validator").all()
    assert (rows.map50_95 == rows.ultralytics_map50_95).all()
    assert rows.coco_map50_95.between(0, 1).all()
    per_class = pd.read_csv(finished / "results" / "x" / "per_class.csv", index_col="trial")
    assert per_class.mean(axis=1).sort_index().tolist() == pytest.approx(
        rows.set_index("trial").map50_95.sort_index().tolist()
    )


def test_every_pass_of_each_latency_measurement_is_kept(finished: Path) -> None:
    rows = trials(finished)
    first = rows[rows.seed == 0].set_index("architecture")
    files = {file.stem: pd.read_parquet(file) for file in (finished / "results" / "x" / "latency").glob("*.parquet")}
    assert set(files) == set(first.index)
    for name, passes in files.items():
        p50 = passes[passes.model == "candidate"].latency_ms.median()
        assert p50 == pytest.approx(first.latency_ms_p50[name])


def test_every_training_leaves_its_learning_curve(finished: Path) -> None:
    rows = trials(finished)
    kept = {file.stem: pd.read_parquet(file) for file in (finished / "results" / "x" / "curves").iterdir()}
    keys = zip(rows.architecture, rows.epochs, rows.base_seed, rows.seed, strict=True)
    assert {*kept} == {f"{name}-{epochs}epochs-base{base}-seed{seed}" for name, epochs, base, seed in keys}
    ends = [curve.ultralytics_map50_95.iloc[-1] for curve in kept.values()]
    assert sorted(ends) == pytest.approx(sorted(rows.ultralytics_map50_95))
    for name, curve in kept.items():
        assert curve.learning_rate_blocks.isna().all() == name.startswith("baseline")


def test_optuna_holds_the_same_study(finished: Path) -> None:
    study = optuna.load_study(study_name="x", storage=f"sqlite:///{finished}/results/x/study.db")
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    rows = trials(finished).set_index("trial")
    assert study.trials[0].values == pytest.approx([rows.map50_95[0], rows.latency_ms_p50[0]])  # noqa: PD011 - Optuna
    first = rows[(rows.architecture != "baseline") & (rows.seed == 0)]
    for number, row in first.iterrows():
        told = study.trials[int(str(number))].values  # noqa: PD011
        assert told == pytest.approx([row.map50_95, rows.latency_ms_p50[0] * row.latency_ratio])


def test_the_folder_holds_all_that_was_promised(finished: Path) -> None:
    folder = finished / "results" / "x"
    for name in ("report.html", "report.md", "pareto.png", "trials.csv", "front.csv", "environment.json"):
        assert (folder / name).stat().st_size > 0, name
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["command"].startswith("clo search --data ")
    assert environment["seeds"] == [0, 1]
    low, high = environment["latency_aa_check"]["ratio_ci95"]
    assert 0 < low <= environment["latency_aa_check"]["ratio"] <= high
    assert {path.stem for path in (folder / "architectures").glob("*.yaml")} == set(trials(finished).architecture)


def test_every_architecture_is_a_model_that_ultralytics_builds(finished: Path, clo: Clo) -> None:
    rows = trials(finished)
    for path in (finished / "results" / "x" / "architectures").glob("*.yaml"):
        counted = json.loads(clo(["cost", str(path), "--imgsz", "64", "--json"], finished).stdout)
        row = rows[rows.architecture == path.stem].iloc[0]
        assert (counted["macs"], counted["params"]) == (row.macs, row.params)


def test_the_same_command_again_trains_nothing(finished: Path, small_search: tuple[str, ...], clo: Clo) -> None:
    before = trials(finished)
    assert clo(small_search, finished).returncode == 0
    pd.testing.assert_frame_equal(trials(finished), before)


def test_another_setting_is_refused_in_one_sentence(finished: Path, small_search: tuple[str, ...], clo: Clo) -> None:
    refused = clo([*small_search, "--space", "small"], finished)
    assert refused.returncode == 2
    assert "error: study x exists with another space (default, now small)" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_report_and_export_need_only_storage(finished: Path, clo: Clo) -> None:
    identity = trials(finished).architecture.iloc[-1]
    (finished / "results" / "x" / "report.html").unlink()
    assert clo(["report", "x"], finished).returncode == 0
    assert (finished / "results" / "x" / "report.html").is_file()
    exported = json.loads(clo(["export", "x", identity, "--json"], finished).stdout)
    text = (finished / exported["folder"] / f"{identity}.yaml").read_text()
    assert "CloBlock" in text
    assert len(yaml.safe_load(text)["scales"]) == 1
    refused = clo(["export", "x", "nobody"], finished)
    assert refused.returncode == 2
    assert "has no architecture 'nobody'" in refused.stderr


def test_more_adds_to_what_is_there(finished: Path, small_search: tuple[str, ...], clo: Clo) -> None:
    before = trials(finished)
    assert clo([*small_search, "--more", "1"], finished).returncode == 0
    after = trials(finished)
    assert set(after.architecture) > set(before.architecture)
    assert after.architecture.nunique() == before.architecture.nunique() + 1
    pd.testing.assert_frame_equal(after[after.trial.isin(before.trial)].reset_index(drop=True), before)


def candidates_begun(database: Path) -> int:
    """Candidates begun so far, read without touching the storage."""
    if not database.is_file():
        return 0
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        try:
            rows = connection.execute("SELECT value_json FROM trial_user_attributes WHERE key = 'row'").fetchall()
        except sqlite3.OperationalError:  # the tables are just being made
            return 0
    return sum(json.loads(row[0])["architecture"] != "baseline" for row in rows)


def test_a_kill_costs_the_running_trial_only(tmp_path: Path, small_search: tuple[str, ...], clo: Clo) -> None:
    command = [*small_search, "--trials", "3", "--finalists", "0"]
    database = tmp_path / "results" / "x" / "study.db"
    search = subprocess.Popen(
        [sys.executable, "-m", "harness", *command], cwd=tmp_path, env=os.environ, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while candidates_begun(database) < 2:
        assert search.poll() is None, "the search ended before it could be killed"
        time.sleep(0.2)
    search.send_signal(signal.SIGKILL)
    search.wait()
    killed = load_record(f"sqlite:///{database}", "x").trials
    done = clo(command, tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["finished"] == 3
    rows = trials(tmp_path)
    complete = rows[rows.state == "complete"]
    assert not complete.duplicated(["architecture", "seed"]).any()
    assert complete[complete.architecture != "baseline"].architecture.nunique() == 3
    kept = killed[killed.state == "complete"]
    assert set(kept.trial) <= set(complete.trial)
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM trials WHERE state = 'RUNNING'").fetchone() == (0,)


def weights_of(folder: Path) -> dict[str, int]:
    """Checkpoints that wait for a longer training, by name, with their bytes."""
    return {path.name: path.stat().st_size for path in (folder / "results" / "x" / "weights").glob("*.pt")}


def test_a_kill_on_the_second_rung_costs_that_training_only(tmp_path: Path, small_data: Path, clo: Clo) -> None:
    command = (
        "search", "--data", str(small_data), "--imgsz", "64", "--rungs", "1x1, 2x1", "--from-scratch", "--trials",
        "1", "--latency-seconds", "0.5", "--study", "x", "--json",
    )  # fmt: skip
    database = tmp_path / "results" / "x" / "study.db"
    search = subprocess.Popen(
        [sys.executable, "-m", "harness", *command], cwd=tmp_path, env=os.environ, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while candidates_begun(database) < 2:  # on the first rung and on the second
        assert search.poll() is None, "the search ended before it could be killed"
        time.sleep(0.1)
    search.send_signal(signal.SIGKILL)
    search.wait()
    kept = weights_of(tmp_path)
    identity = next(name.split("-")[0] for name in kept)
    assert set(kept) == {f"{identity}-1-0.pt"}  # the baseline has climbed already
    assert all(size > 1e6 for size in kept.values())
    done = clo(command, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no sound weights" not in done.stderr
    rows = trials(tmp_path)
    complete = rows[rows.state == "complete"]
    assert sorted(zip(complete.architecture, complete.epochs, strict=True)) == sorted(
        [("baseline", 1), ("baseline", 2), (identity, 1), (identity, 2)]
    )
    assert complete.gain_map50_95.notna().all()
    assert (rows.state == "interrupted").sum() == 1
    assert not (tmp_path / "results" / "x" / "weights").exists()
    front = pd.read_csv(tmp_path / "results" / "x" / "front.csv")
    assert set(front.epochs) == {2}


def test_a_baseline_that_failed_is_trained_again_by_the_next_start(
    tmp_path: Path, small_search: tuple[str, ...], clo: Clo
) -> None:
    absurd = (*small_search, "--learning-rate", "1e25")
    for starts in (1, 2):
        done = clo(absurd, tmp_path)
        assert done.returncode == 2
        assert "the baseline cannot be trained, so nothing can be compared with it: " in done.stderr
        database = f"sqlite:///{tmp_path / 'results' / 'x' / 'study.db'}"
        assert load_record(database, "x").trials.state.tolist() == ["failed"] * starts


def hear_ctrl_c() -> None:
    """A shell's background jobs ignore Ctrl-C and so would what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_leaves_a_report_of_what_is_done(tmp_path: Path, small_search: tuple[str, ...]) -> None:
    database = tmp_path / "results" / "x" / "study.db"
    search = subprocess.Popen(
        [sys.executable, "-m", "harness", *small_search, "--trials", "9", "--epochs", "8"],  # long enough to be met
        cwd=tmp_path, env=os.environ, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=hear_ctrl_c,  # noqa: PLW1509
    )  # fmt: skip
    while candidates_begun(database) < 1:
        assert search.poll() is None, "the search ended before it could be stopped"
        time.sleep(0.2)
    search.send_signal(signal.SIGINT)
    output, errors = search.communicate(timeout=120)
    assert search.returncode == 130, errors
    assert "Traceback" not in errors
    assert json.loads(output)["study"] == "x"
    rows = trials(tmp_path)
    assert rows[rows.architecture == "baseline"].state.tolist() == ["complete"]
    assert rows.state.iloc[-1] == "interrupted"
    assert (tmp_path / "results" / "x" / "report.html").is_file()
