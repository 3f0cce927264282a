"""Importance of choices, on studies made of functions whose answer is known."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState

from harness.analysis.effects import marginal_effects
from harness.analysis.importance import COLUMNS, FEWEST, RESAMPLES, Method, importances, resamples_of
from harness.architecture.choices import Mode
from harness.record.study import DUPLICATE, ROLE, ROW, TRAINING
from harness.space import SearchSpace, load_space
from harness.storage.records import choices_of

KINDS, KERNELS = ["none", "attention", "block"], [3, 5, 7, 9]
Params = dict[str, object]


def new_study() -> optuna.Study:
    optuna.logging.set_verbosity(logging.ERROR)
    study = optuna.create_study(directions=["maximize", "minimize"])
    study.set_metric_names(["map50_95", "latency"])
    return study


def add(study: optuna.Study, name: str, params: Params, values: list[float] | None, role: str = TRAINING) -> None:
    study.add_trial(
        optuna.trial.create_trial(
            params=dict(params),
            distributions={key: CategoricalDistribution(KINDS if key.endswith(":kind") else KERNELS) for key in params},
            values=values,
            state=TrialState.COMPLETE if values else TrialState.FAIL,
            user_attrs={ROLE: role, ROW: {"architecture": name}},
        )
    )


def random_params(rng: np.random.Generator, sites: tuple[str, ...] = ("P3", "P4", "P5")) -> Params:
    params: Params = {}
    for site in sites:
        params[f"{site}:kind"] = str(rng.choice(KINDS))
        if params[f"{site}:kind"] != "none":
            params[f"{site}:kernel"] = int(rng.choice(KERNELS))
    return params


def random_study(count: int, accuracy: Callable[[Params], float], latency: Callable[[Params], float]) -> optuna.Study:
    rng, study = np.random.default_rng(0), new_study()
    for number in range(count):
        params = random_params(rng)
        add(study, f"a{number}", params, [accuracy(params), latency(params)])
    return study


def ranked(found: pd.DataFrame, objective: str, method: Method) -> list[str]:
    return list(found[(found["objective"] == objective) & (found["method"] == method)]["parameter"])


@pytest.fixture(scope="module")
def additive() -> pd.DataFrame:
    """Accuracy: P4 before P3 before P5, and P4's kernel. Latency: P5 alone."""
    study = random_study(
        60,
        lambda p: 0.1 * (p["P4:kind"] == "block") + 0.04 * (p["P3:kind"] == "block") + 0.03 * (p.get("P4:kernel") == 9),
        lambda p: 5.0 + (p["P5:kind"] != "none"),
    )
    return importances(choices_of(study), resamples=4)


def test_the_kinds_of_an_additive_function_are_ranked_by_their_effect(additive: pd.DataFrame) -> None:
    assert ranked(additive, "map50_95", Method.FANOVA) == ["P4:kind", "P3:kind", "P5:kind"]
    assert ranked(additive, "latency", Method.FANOVA)[0] == "P5:kind"
    shares = additive[additive["method"] == Method.FANOVA].set_index(["objective", "parameter"])["importance"]
    # The variances of 0.1 and of 0.04 times an indicator are as 25 to 4; P4's kernel adds a little to the first.
    assert 3 < shares["map50_95", "P4:kind"] / shares["map50_95", "P3:kind"] < 25
    assert shares["latency", "P5:kind"] == pytest.approx(1, abs=0.02)


def test_conditional_choices_have_an_importance_too(additive: pd.DataFrame) -> None:
    names = ranked(additive, "map50_95", Method.PED_ANOVA)
    assert set(names) == {f"{site}:{name}" for site in ("P3", "P4", "P5") for name in ("kind", "kernel")}
    assert set(names[:3]) == {"P4:kind", "P3:kind", "P4:kernel"}


def test_shares_add_up_to_one_and_have_a_spread(additive: pd.DataFrame) -> None:
    assert list(additive.columns) == list(COLUMNS)
    sums = additive.groupby(["objective", "method"])["importance"].sum()
    assert len(sums) == 4
    assert list(sums) == pytest.approx([1, 1, 1, 1])
    assert additive["spread"].between(0, 0.5).all()
    assert (additive["spread"] > 0).any()


def test_the_better_side_of_each_objective_is_the_one_of_the_study() -> None:
    # Six architectures are high by P3's kernel, six low by P4's. More accuracy is better, less latency is.
    study = new_study()
    for number in range(40):
        high, low = number < 6, 6 <= number < 12
        params: Params = {"P3:kind": "block", "P3:kernel": 9 if high else (3, 5, 7)[number % 3]}
        params |= {"P4:kind": "block", "P4:kernel": 9 if low else (3, 5, 7)[number // 3 % 3]}
        value = high - low + number / 1000
        add(study, f"a{number}", params, [value, value])
    found = importances(choices_of(study), resamples=1)
    assert ranked(found, "map50_95", Method.PED_ANOVA)[0] == "P3:kernel"
    assert ranked(found, "latency", Method.PED_ANOVA)[0] == "P4:kernel"
    assert ranked(found, "latency", Method.FANOVA) == []  # no kind varies


def test_the_same_seed_gives_the_same_table() -> None:
    study = random_study(FEWEST, lambda p: float(p["P4:kind"] == "block"), lambda p: float(p["P5:kind"] == "none"))
    choices = choices_of(study)
    first = importances(choices, seed=3, resamples=2)
    pd.testing.assert_frame_equal(first, importances(choices, seed=3, resamples=2))
    assert not first.equals(importances(choices, seed=4, resamples=2))


def test_too_few_architectures_are_an_empty_table_with_its_columns() -> None:
    study = random_study(FEWEST - 1, lambda p: float(p["P4:kind"] == "block"), lambda p: 1.0)
    found = importances(choices_of(study))
    assert list(found.columns) == list(COLUMNS)
    assert found.empty
    assert importances(choices_of(new_study())).empty


def test_an_objective_that_does_not_vary_has_no_rows() -> None:
    study = random_study(FEWEST, lambda p: float(p["P4:kind"] == "block"), lambda p: 1.0)
    assert set(importances(choices_of(study), resamples=2)["objective"]) == {"map50_95"}


def test_an_objective_that_varies_by_rounding_alone_is_no_error_and_not_explained_by_kinds() -> None:
    # No tree splits where the variance is below 2e-16; Optuna's fANOVA raises then.
    study = random_study(FEWEST, lambda p: 0.4 + 1e-10 * (p["P4:kind"] == "block"), lambda p: 1.0)
    found = importances(choices_of(study), resamples=2)
    assert ranked(found, "map50_95", Method.FANOVA) == []
    assert ranked(found, "map50_95", Method.PED_ANOVA)[0] == "P4:kind"


def test_an_objective_that_varies_only_among_the_same_kinds_is_no_error() -> None:
    study = new_study()
    for number in range(FEWEST):
        kernel = KERNELS[number % 4]
        add(study, f"a{number}", {"P3:kind": "block", "P3:kernel": kernel}, [0.4 + kernel / 100, 1.0])
    found = importances(choices_of(study), resamples=2)
    assert ranked(found, "map50_95", Method.FANOVA) == []
    assert ranked(found, "map50_95", Method.PED_ANOVA)[0] == "P3:kernel"


def test_large_studies_are_resampled_less_often_and_never_too_little_for_a_spread() -> None:
    counts = [resamples_of(count) for count in (0, FEWEST, 250, 500, 1000, 100_000)]
    assert counts == [RESAMPLES, RESAMPLES, 12, 6, 3, 3]


def test_optuna_is_as_talkative_afterwards_as_before(capfd: pytest.CaptureFixture[str]) -> None:
    study = random_study(FEWEST, lambda p: float(p["P4:kind"] == "block"), lambda p: 1.0)
    optuna.logging.set_verbosity(logging.INFO)
    importances(choices_of(study), resamples=1)
    assert optuna.logging.get_verbosity() == logging.INFO
    optuna.logging.set_verbosity(logging.ERROR)
    assert capfd.readouterr().err == ""


def test_trainings_count_once_and_duplicates_and_failures_do_not() -> None:
    study = new_study()
    params: Params = {"P3:kind": "block", "P3:kernel": 3}
    add(study, "a", params, [0.4, 5.0])
    add(study, "a", params, [0.6, 5.0])
    add(study, "a", params, [9.0, 9.0], role=DUPLICATE)
    add(study, "b", {"P3:kind": "none"}, None)
    add(study, "c", {"P3:kind": "none"}, [0.3, 4.0])
    choices = choices_of(study)
    assert list(choices.outcomes.index) == list(choices.chosen.index) == ["a", "c"]
    assert list(choices.outcomes["map50_95"]) == pytest.approx([0.5, 0.3])
    assert choices.minimized == {"map50_95": False, "latency": True}


def test_a_site_that_was_not_asked_about_is_empty_and_its_kernel_unknown() -> None:
    study = new_study()
    add(study, "a", {"P3:kind": "block", "P3:kernel": 3}, [0.4, 5.0])
    add(study, "b", {"P3:kind": "none", "P4:kind": "block", "P4:kernel": 9}, [0.4, 5.0])
    chosen = choices_of(study).chosen
    assert list(chosen["P4:kind"]) == ["none", "block"]
    assert list(chosen["P4:kernel"].isna()) == [True, False]


def test_a_space_of_ours_yields_kinds_for_every_architecture(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(
        "name: tiny\nsites: [neck.P3, neck.P4, neck.P5]\nmax_blocks: 1\nplacement:\n  kind: [attention, block]\n"
        "  kernel: [3, 5]\n  kv_pool: [1]\n  heads: [4]\n  local_share: [0, 1]\n"
    )
    space = SearchSpace(
        load_space(str(path)),
        base="yolov5n",
        channels={site: {Mode.AFTER: 64} for site in ("neck.P3", "neck.P4", "neck.P5")},
        maps=dict.fromkeys(("neck.P3", "neck.P4", "neck.P5"), (16, 16)),
    )
    study = new_study()
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    for number in range(40):
        trial = study.ask()
        architecture = space.suggest(trial)
        trial.set_user_attr(ROLE, TRAINING)
        trial.set_user_attr(ROW, {"architecture": f"{number}"})
        at_p4 = any(placement.site == "neck.P4" for placement in architecture.placements)
        study.tell(trial, [0.4 + 0.01 * at_p4, 5.0 + number % 3])
    choices = choices_of(study)
    kinds = [f"neck.{level}:kind" for level in ("P3", "P4", "P5")]
    assert ((choices.chosen[kinds] != "none").sum(axis=1) <= 1).all()
    found = importances(choices, resamples=2)
    assert ranked(found, "map50_95", Method.FANOVA)[0] == "neck.P4:kind"
    effects = marginal_effects(choices.chosen, choices.outcomes)
    empty = effects[(effects["parameter"] == "neck.P4:kind") & (effects["level"] == "none")]
    assert empty.set_index("objective")["effect"]["map50_95"] == pytest.approx(-0.01)
