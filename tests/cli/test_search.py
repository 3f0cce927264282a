"""A whole search, its trainings pretended."""

from __future__ import annotations

import json
import re
from pathlib import Path

import optuna
import pytest

from harness.common.errors import UserError
from harness.jobs.trial import Job, Measured
from harness.record.constraints import Constraints
from harness.record.state import Failure, State
from harness.storage.records import load_record
from tests.cli.command_line import Clo
from tests.cli.pretended import Trainings, measured


def test_a_search_ends_with_one_object_that_counts_what_was_done(
    clo: Clo, trainings: Trainings, small_search: tuple[str, ...]
) -> None:
    said = clo(*small_search, "--json")
    assert said.code == 0
    found = json.loads(said.out)
    assert found | {"study": "y", "folder": "results/y", "finished": 2, "failed": 0} == found
    assert isinstance(found["front"], list)
    assert [seed for _, seed in trainings.trained] == [0, 0, 0, 1, 1]
    assert "seed 1 of baseline" in said.err
    assert clo(*small_search, "--quiet").code == 0
    assert len(trainings.asked) == 5  # nothing is trained twice


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (UserError("the disk is full; make room"), 2)])
def test_what_was_cut_short_is_run_again_and_the_rest_is_not(
    clo: Clo, trainings: Trainings, small_search: tuple[str, ...], error: BaseException, code: int
) -> None:
    trainings.then = {3: error}  # the second candidate
    said = clo(*small_search, "--quiet")
    assert said.code == code
    assert "Traceback" not in said.err
    assert clo(*small_search, "--quiet").code == 0
    third, *rest = trainings.trained[2:]
    assert third == rest[0]
    assert len(set(trainings.trained)) == len(trainings.asked) - 1 == 5
    states = load_record("sqlite:///results/y/study.db", "y").trials.sort_values("trial").state.tolist()
    assert states == ["complete", "complete", "interrupted", *["complete"] * 3]


def test_what_had_ended_at_ctrl_c_is_kept(clo: Clo, trainings: Trainings, small_search: tuple[str, ...]) -> None:
    trainings.then, trainings.all_had_ended = {3: KeyboardInterrupt()}, True
    assert clo(*small_search, "--quiet").code == 130
    assert list(load_record("sqlite:///results/y/study.db", "y").trials.state) == ["complete"] * 3


def test_what_lacks_memory_beside_others_is_run_again_alone(
    clo: Clo, trainings: Trainings, small_search: tuple[str, ...]
) -> None:
    lacking = Failure(state=State.OUT_OF_MEMORY, reason="killed")
    first = iter([lacking])

    def outcome(job: Job) -> Measured | Failure:
        return next(first, measured(job)) if trainings.beside[-1] > 1 else measured(job)

    trainings.outcome = outcome
    said = clo(*small_search, "--trials", "3", "--finalists", "0", "--workers", "3")
    assert said.code == 0
    assert "one after the other from here on" in said.err + said.out
    rows = load_record("sqlite:///results/y/study.db", "y").trials
    assert rows[rows.state == "interrupted"].reason.str.contains("run again alone").all()
    assert set(rows[rows.state != "complete"].architecture) <= set(rows[rows.state == "complete"].architecture)
    assert (rows.state == "complete").sum() == 4
    assert trainings.beside == [1, 1, 2, 3, 1]


def test_time_that_is_over_before_the_baseline_leaves_an_empty_study(
    clo: Clo, trainings: Trainings, small_search: tuple[str, ...]
) -> None:
    said = clo(*small_search, "--timeout", "0.001s")
    assert said.code == 0
    assert "time was over before the baseline" in said.err + said.out
    assert not trainings.asked


def test_several_workers_train_each_architecture_and_seed_once(
    clo: Clo, trainings: Trainings, small_search: tuple[str, ...]
) -> None:
    command = (*small_search, "--trials", "4", "--seeds", "3", "--finalists", "2", "--workers", "3", "--quiet")
    trainings.then = {4: KeyboardInterrupt()}  # the baseline and three candidates have begun
    assert clo(*command).code == 130
    assert trainings.beside == [1, 1, 2, 3]  # nothing beside the first baseline
    states = load_record("sqlite:///results/y/study.db", "y").trials.sort_values("trial")[["state", "reason"]]
    assert states.to_numpy().tolist() == [["complete", ""], *[["interrupted", "stopped by Ctrl-C"]] * 3]
    assert clo(*command).code == 0
    assert set(trainings.trained[4:7]) == set(trainings.trained[1:4])  # what was cut short goes first
    whole = trainings.trained[:1] + trainings.trained[4:]
    assert len(set(whole)) == len(whole) == 1 + 3 + 2 * 3  # the space has no fourth candidate
    assert max(trainings.beside) == 3
    base = whole[0][0]
    later = [(config, seed) for config, seed in whole if seed > 0]
    assert later[:2] == [(base, 1), (base, 2)]  # candidates wait for the control that they are compared with
    rows = load_record("sqlite:///results/y/study.db", "y").trials
    assert rows[rows.state == "complete"].gain_map50_95.notna().all()
    study = optuna.load_study(study_name="y", storage="sqlite:///results/y/study.db")
    assert all(study.trials[n].state.name == "COMPLETE" for n in rows[rows.state == "complete"].trial)


def test_what_is_over_a_bound_on_cost_is_never_trained(
    clo: Clo, trainings: Trainings, small_search: tuple[str, ...]
) -> None:
    """Three candidates: of kernels 3, 5 and 7, at one site."""
    command = (*small_search, "--trials", "3", "--finalists", "0")
    said = clo(*command, "--quiet", "--max-params", "1000")
    assert said.code == 2
    least = re.search(r"at most [\d,.k]+ parameters; the least is ([\d,]+)", said.err)
    assert least and not trainings.asked and not Path("results/y").exists()
    bound = least[1].replace(",", "")
    said = clo(*command, "--json", "--max-params", bound)
    assert said.code == 0
    assert "3 candidates, 1 within the bounds" in said.err
    assert "all candidates within the bounds are done" in said.err
    assert len(trainings.asked) == 2  # with the baseline
    assert clo(*command, "--quiet").code == 0
    assert len(trainings.asked) == 4  # bounds may change: without one the others are candidates again
    record = load_record("sqlite:///results/y/study.db", "y")
    assert record.constraints == Constraints()
    dear = record.trials.architecture.iloc[-1]
    said = clo(*command, "--quiet", "--study", "z", "--include", f"y/{dear}", "--max-params", bound)
    assert said.code == 2
    assert f"--include y/{dear}: over --max-params or --max-macs" in said.err


def test_who_is_beyond_a_bound_on_latency_or_accuracy_is_no_finalist(
    clo: Clo, trainings: Trainings, small_search: tuple[str, ...]
) -> None:
    """All read 1.1 times the baseline's latency and an mAP50-95 of 0.5."""
    assert clo(*small_search, "--quiet", "--max-latency-ratio", "1.05").code == 0
    assert [seed for _, seed in trainings.trained] == [0, 0, 0]
    assert clo(*small_search, "--quiet", "--max-latency-ratio", "1.1", "--min-map50-95", "0.5").code == 0
    assert [seed for _, seed in trainings.trained] == [0, 0, 0, 1, 1]


def test_the_smallest_gain_that_matters_may_be_another_one_in_every_run_and_report(
    clo: Clo, trainings: Trainings, small_search: tuple[str, ...]
) -> None:
    def reported(*options: str) -> object:
        assert clo("report", "y", *options).code == 0
        return json.loads(Path("results/y/environment.json").read_text(encoding="utf-8"))["settings"]["min_gain"]

    assert clo(*small_search, "--quiet").code == 0
    assert reported() == 0.005
    trained = len(trainings.trained)
    assert clo(*small_search, "--quiet", "--min-gain", "0.02").code == 0
    assert len(trainings.trained) == trained  # it bears on no training
    assert reported("--min-gain", "0.001") == 0.001
    assert "clo report y --min-gain 0.001" in Path("results/y/report.md").read_text(encoding="utf-8")
    assert reported() == 0.02  # the last run's
    refused = clo("report", "y", "--min-gain", "40")
    assert (refused.code, "--min-gain 40.0: " in refused.err) == (2, True)


def test_sites_that_are_required_or_forbidden_hold_for_the_whole_study(
    clo: Clo, trainings: Trainings, small_search: tuple[str, ...]
) -> None:
    space = small_search[small_search.index("--space") + 1]
    command = [option if option != space else "small" for option in small_search]
    command += ["--without", "neck.P3", "--with", "neck.P5"]
    assert clo(*command, "--quiet").code == 0
    architectures = load_record("sqlite:///results/y/study.db", "y").architectures
    sites = {name: [placement.site for placement in each.placements] for name, each in architectures.items()}
    assert sites.pop("baseline") == []
    assert len(sites) == 2 and all(each == ["neck.P5"] for each in sites.values())
    refused = clo(*command, "--quiet", "--without", "neck.P4")
    assert refused.code == 2
    assert "another forbidden_sites (['neck.P3'], now ['neck.P3', 'neck.P4'])" in refused.err
