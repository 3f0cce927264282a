"""The sampler in Optuna: what a search relies on."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

from harness.record.settings import Sampler
from harness.search.candidates import ListedCandidates
from harness.search.sampler import EXPECTED_IMPROVEMENT, CostAwareSampler, make_sampler
from harness.storage.records import open_storage

DEPTHS, WIDTHS, KINDS = range(1, 6), (8, 16, 32), ("a", "b")
DISTRIBUTIONS = {
    "depth": CategoricalDistribution(DEPTHS), "width": CategoricalDistribution(WIDTHS),
    "kind": CategoricalDistribution(KINDS),
}  # fmt: skip
ROWS = [{"depth": depth, "width": width, "kind": kind} for depth, width, kind in product(DEPTHS, WIDTHS, KINDS)]


def cost_of(row: Mapping[str, Any]) -> float:
    return float(row["depth"] * row["width"])


def accuracy_of(row: Mapping[str, Any]) -> float:
    return float(0.3 + 0.1 * np.log(cost_of(row)) + 0.05 * (row["kind"] == "b") - 0.01 * abs(row["depth"] - 3))


def listed(rows: list[dict[str, Any]] | None = None) -> ListedCandidates:
    chosen = ROWS if rows is None else rows
    return ListedCandidates(DISTRIBUTIONS, chosen, np.array([cost_of(row) for row in chosen]))


def study_of(
    sampler: BaseSampler, directions: str = "+-", storage: BaseStorage | None = None, name: str | None = None
) -> optuna.Study:
    signs = {"+": StudyDirection.MAXIMIZE, "-": StudyDirection.MINIMIZE}
    return optuna.create_study(
        directions=[signs[sign] for sign in directions], sampler=sampler, storage=storage, study_name=name,
        load_if_exists=True,
    )  # fmt: skip


def ask(study: optuna.Study) -> tuple[optuna.trial.Trial, dict[str, Any]]:
    trial = study.ask()
    return trial, {name: trial.suggest_categorical(name, each.choices) for name, each in DISTRIBUTIONS.items()}


def run(study: optuna.Study, count: int) -> list[dict[str, Any]]:
    rows = []
    for _ in range(count):
        trial, row = ask(study)
        study.tell(trial, (accuracy_of(row), cost_of(row)))
        rows.append(row)
    return rows


def distinct(rows: list[dict[str, Any]]) -> int:
    return len({tuple(sorted(row.items())) for row in rows})


def test_the_cheapest_is_first_and_nothing_is_proposed_twice() -> None:
    rows = run(study_of(CostAwareSampler(listed(), seed=1)), len(ROWS))
    assert cost_of(rows[0]) == min(map(cost_of, ROWS))
    assert distinct(rows) == len(ROWS)


def test_when_all_were_proposed_it_draws_at_random() -> None:
    study = study_of(CostAwareSampler(listed(ROWS[:4]), seed=1))
    run(study, 4)
    rows = run(study, 12)
    assert distinct(rows) > 4
    assert all(row["depth"] in DEPTHS for row in rows)


@pytest.mark.parametrize("told", [TrialState.FAIL, TrialState.PRUNED])
def test_what_failed_or_was_pruned_is_not_proposed_again(told: TrialState) -> None:
    study = study_of(CostAwareSampler(listed(), seed=1))
    rows = []
    for number in range(len(ROWS)):
        trial, row = ask(study)
        rows.append(row)
        if number % 2:
            study.tell(trial, (accuracy_of(row), cost_of(row)))
        else:
            study.tell(trial, state=told)
    assert distinct(rows) == len(ROWS)


def test_eight_that_are_being_trained_are_eight_candidates_and_the_next_is_another() -> None:
    study = study_of(CostAwareSampler(listed(), seed=1))
    known = run(study, 5)
    running = [ask(study) for _ in range(8)]
    rows = [row for _, row in running]
    assert distinct(known + rows) == 13
    for trial, row in running:
        study.tell(trial, (accuracy_of(row), cost_of(row)))
        rows.append(ask(study)[1])
    assert distinct(known + rows) == 21


def test_eight_at_once_before_there_is_any_result() -> None:
    study = study_of(CostAwareSampler(listed(), seed=1))
    rows = [ask(study)[1] for _ in range(8)]
    assert distinct(rows) == 8
    assert cost_of(rows[0]) == min(map(cost_of, ROWS))


def test_a_killed_search_goes_on_as_it_would_have(tmp_path: Path) -> None:
    def go_on(name: str, *counts: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        for count in counts:  # each with a new sampler on the same storage, as after a kill
            sampler = CostAwareSampler(listed(), seed=7)
            study = study_of(sampler, storage=open_storage(f"sqlite:///{tmp_path / 'study.db'}"), name=name)
            run(study, count)
        return [(trial.params, trial.system_attrs) for trial in study.trials]

    assert go_on("whole", 9) == go_on("killed", 2, 1, 2, 4)


def test_what_was_being_trained_when_the_search_was_killed_stays_pending() -> None:
    def proposals(restart: bool) -> list[dict[str, Any]]:
        study = study_of(CostAwareSampler(listed(), seed=7))
        run(study, 6)
        rows = [ask(study)[1]]
        if restart:
            study.sampler = CostAwareSampler(listed(), seed=7)
        return rows + run(study, 3)

    rows = proposals(restart=True)
    assert rows == proposals(restart=False) and distinct(rows) == 4


def test_parameters_that_are_none_of_the_candidates_follow_from_the_storage_too() -> None:
    def extras(*counts: int) -> list[float]:
        study = optuna.create_study(directions=["maximize", "minimize"])
        for count in counts:
            study.sampler = CostAwareSampler(listed(), seed=7)
            for _ in range(count):
                trial, row = ask(study)
                study.tell(trial, (accuracy_of(row) + trial.suggest_float("extra", 0, 1), cost_of(row)))
        return [trial.params["extra"] for trial in study.trials]

    found = extras(6)
    assert found == extras(2, 4) and len(set(found)) == 6


def test_another_seed_is_another_search() -> None:
    first, second = (run(study_of(CostAwareSampler(listed(), seed=seed)), 6) for seed in (1, 2))
    assert first[0] == second[0] and first != second


def test_a_trial_says_how_much_it_was_expected_to_add() -> None:
    study = study_of(CostAwareSampler(listed(), seed=1))
    run(study, 8)
    expected = [trial.system_attrs.get(EXPECTED_IMPROVEMENT) for trial in study.trials]
    assert expected[:3] == [None] * 3
    assert all(share is not None and 0 < share < 10 for share in expected[3:])


def test_the_order_of_the_objectives_is_no_matter() -> None:
    def rows(directions: str, learnt: int) -> list[dict[str, Any]]:
        study = study_of(CostAwareSampler(listed(), seed=5, learnt=learnt), directions)
        found = []
        for _ in range(10):
            trial, row = ask(study)
            values = [accuracy_of(row), cost_of(row)]
            study.tell(trial, values[::-1] if learnt else values)
            found.append(row)
        return found

    assert rows("+-", 0) == rows("-+", 1)


@pytest.mark.parametrize("name", Sampler)
def test_every_sampler_can_be_asked_for_by_name(name: Sampler) -> None:
    sampler = make_sampler(name, seed=1, candidates=listed(), workers=2)
    study = study_of(sampler)
    assert len(run(study, 2)) == 2
    assert isinstance(sampler, CostAwareSampler) == (name is Sampler.COST_AWARE)
