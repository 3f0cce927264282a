"""Effects of choices, against additive functions whose effects are known and against chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from harness.analysis.effects import COLUMNS, FEWEST, marginal_effects


def effects(chosen: Mapping[str, Sequence[object]], outcome: list[float]) -> pd.DataFrame:
    return marginal_effects(pd.DataFrame(chosen, dtype=object), pd.DataFrame({"map": outcome}))


def of(found: pd.DataFrame, parameter: str, level: object) -> dict[str, float]:
    """The row of one choice."""
    (row,) = found[(found["parameter"] == parameter) & (found["level"] == level)].to_dict("records")
    return {str(name): value for name, value in row.items()}


def test_the_effect_of_an_additive_choice_is_what_it_adds() -> None:
    # A balanced table: every combination five times, so that the means differ by the choice alone.
    kinds = ["none", "attention", "block"] * 15
    kernels = [3] * 15 + [5] * 15 + [7] * 15
    worth = {"none": 0.0, "attention": 0.02, "block": 0.05}
    outcome = [worth[kind] + 0.01 * (kernel == 5) for kind, kernel in zip(kinds, kernels, strict=True)]
    found = effects({"P3:kind": kinds, "P4:kernel": kernels}, outcome)
    assert of(found, "P3:kind", "block")["effect"] == pytest.approx(0.05 - (0.0 + 0.02) / 2)
    assert of(found, "P3:kind", "none")["effect"] == pytest.approx(-(0.02 + 0.05) / 2)
    assert of(found, "P4:kernel", 5)["effect"] == pytest.approx(0.01)
    assert list(found["n_with"]) == [15] * 6
    assert list(found["n_without"]) == [30] * 6
    assert bool(of(found, "P3:kind", "block")["significant"])


def test_the_interval_and_the_test_are_welchs() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, 6), rng.normal(1, 3, 20)
    found = effects({"P3:kind": ["none"] * 6 + ["block"] * 20}, [*first, *second])
    row = of(found, "P3:kind", "block")
    share = np.array([second.var(ddof=1) / 20, first.var(ddof=1) / 6])
    df = share.sum() ** 2 / (share**2 / [19, 5]).sum()
    half = stats.t.ppf(0.975, df) * math.sqrt(share.sum())
    assert row["effect"] == pytest.approx(second.mean() - first.mean())
    assert [row["low"], row["high"]] == pytest.approx([row["effect"] - half, row["effect"] + half])
    assert row["p_value"] == pytest.approx(2 * stats.t.sf(abs(row["effect"]) / math.sqrt(share.sum()), df))
    mirror = of(found, "P3:kind", "none")
    assert [mirror["low"], mirror["high"]] == pytest.approx([-row["high"], -row["low"]])


def test_a_kernel_is_compared_with_other_kernels_and_not_with_no_block() -> None:
    kernels = [3] * 6 + [5] * 6 + [math.nan] * 20
    found = effects({"P3:kernel": kernels}, [*[0.01, 0.02] * 3, *[0.03, 0.04] * 3, *[9.0] * 20])
    assert of(found, "P3:kernel", 5)["effect"] == pytest.approx(0.02)
    assert of(found, "P3:kernel", 5)["n_without"] == 6


def test_levels_that_hardly_anybody_has_or_lacks_are_left_out() -> None:
    few, many = FEWEST - 1, 3 * FEWEST
    chosen: Mapping[str, Sequence[object]] = {
        "P3:kind": ["block"] * few + ["none"] * many,
        "P4:kind": ["block"] * (few + 1) + ["none"] * (many - 1),
        "P5:kind": ["none"] * (few + many),
    }
    found = effects(chosen, list(np.random.default_rng(0).normal(size=few + many)))
    assert list(found["parameter"] + " " + found["level"]) == ["P4:kind block", "P4:kind none"]


def test_too_few_architectures_are_an_empty_table_with_its_columns() -> None:
    found = marginal_effects(pd.DataFrame({"P3:kind": ["none", "block"]}), pd.DataFrame({"map": [0.1, 0.2]}))
    assert list(found.columns) == list(COLUMNS)
    assert found.empty


def test_what_was_not_measured_is_left_out() -> None:
    outcome = [*[0.1, 0.2] * 3, *[0.3, 0.4] * 3, math.nan]
    found = effects({"P3:kind": ["none"] * 6 + ["block"] * 7}, outcome)
    assert of(found, "P3:kind", "block")["n_with"] == 6
    assert of(found, "P3:kind", "block")["effect"] == pytest.approx(0.2)


def test_without_any_scatter_there_is_an_effect_and_no_interval() -> None:
    row = of(effects({"P3:kind": ["none"] * 6 + ["block"] * 6}, [0.1] * 6 + [0.3] * 6), "P3:kind", "block")
    assert row["effect"] == pytest.approx(0.2)
    assert np.isnan([row["low"], row["high"], row["p_value"], row["p_holm"]]).all()
    assert not row["significant"]


def test_one_side_without_scatter_still_has_an_interval() -> None:
    found = effects({"P3:kind": ["none"] * 6 + ["block"] * 6}, [0.1] * 6 + [0.3, 0.4] * 3)
    row = of(found, "P3:kind", "block")
    assert 0 < row["low"] < row["effect"] < row["high"]


def test_a_choice_without_effect_has_an_interval_that_holds_zero_as_often_as_it_says() -> None:
    # Two independent parameters with three levels each, 40 architectures, 80 tables: intervals at 95 %,
    # and after Holm's correction a false alarm in no more than 5 % of the tables.
    rng, tables = np.random.default_rng(0), 80
    held, alarms = [], 0
    for _ in range(tables):
        chosen = pd.DataFrame({name: rng.choice(["none", "attention", "block"], 40) for name in ("P3", "P4")})
        found = marginal_effects(chosen, pd.DataFrame({"map": rng.normal(0.4, 0.01, 40)}))
        held += list((found["low"] <= 0) & (found["high"] >= 0))
        alarms += bool(found["significant"].any())
    assert np.mean(held) == pytest.approx(0.95, abs=0.03)
    assert alarms <= stats.binom.ppf(0.999, tables, 0.05)


def test_each_objective_is_corrected_for_its_own_rows() -> None:
    rng = np.random.default_rng(1)
    chosen = pd.DataFrame({name: rng.choice(["none", "block"], 30) for name in ("P3", "P4", "P5")})
    ratio = 1 + 0.2 * (chosen["P3"] == "block") + rng.normal(0, 0.01, 30)
    outcomes = pd.DataFrame({"map": rng.normal(0.4, 0.01, 30), "latency": ratio})
    found = marginal_effects(chosen, outcomes)
    assert list(found["objective"].unique()) == ["map", "latency"]
    assert found.groupby("objective").size().eq(6).all()
    sure = found[found["significant"]]
    assert set(zip(sure["objective"], sure["parameter"], strict=True)) == {("latency", "P3")}
    smallest = found[found["objective"] == "latency"]["p_value"].min()
    assert found["p_holm"][found["objective"] == "latency"].min() == pytest.approx(6 * smallest)
