"""Intervals of chosen gains: widths by Student's t, and their coverage where the truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.coverage_of_the_chosen import coverage
from harness.analysis.chosen import corrected_for_choice
from harness.analysis.statistics import Standing, Verdict
from harness.architecture import BASELINE


def summary(gains: list[float], se: float, df: float) -> pd.DataFrame:
    """Judged candidates of equal noise beside a baseline, as `summarise` would have them if none beat it."""
    half = stats.t.isf(0.025, df) * se
    rows = pd.DataFrame({"gain_map50_95": [0.0, *gains]}, index=[BASELINE, *(f"c{at}" for at in range(len(gains)))])
    halves = np.array([0.0] + [half] * len(gains))
    return rows.assign(
        gain_low=rows["gain_map50_95"] - halves,
        gain_high=rows["gain_map50_95"] + halves,
        map50_95=0.5 + rows["gain_map50_95"],
        gain_df=df,
        p_value=[np.nan] + [0.5] * len(gains),
        p_holm=[np.nan] + [1.0] * len(gains),
        standing=[str(Standing.BASELINE)] + [str(Standing.JUDGED)] * len(gains),
        verdict=[str(Verdict.REFERENCE)] + [str(Verdict.UNDECIDED)] * len(gains),
    )


def low_of(rows: pd.DataFrame, name: str) -> float:
    return float(rows["gain_low"][name])


def test_the_interval_of_one_of_three_is_that_at_a_third_of_the_error() -> None:
    found = corrected_for_choice(summary([0.01, 0.0, -0.02], se=0.002, df=4))
    half = stats.t.ppf(1 - 0.05 / 3 / 2, 4) * 0.002
    assert found.loc["c0", "gain_low"] == pytest.approx(0.01 - half)
    assert found.loc["c2", "gain_high"] == pytest.approx(-0.02 + half)
    assert tuple(found.loc[BASELINE, ["gain_low", "gain_high"]]) == (0.0, 0.0)


def test_one_candidate_is_no_choice() -> None:
    alone = summary([0.01], se=0.002, df=4)
    pd.testing.assert_frame_equal(corrected_for_choice(alone), alone)


@pytest.mark.parametrize("p_holm", [0.0499, 0.0501])
def test_the_interval_of_a_winner_leaves_out_zero_where_its_corrected_test_does(p_holm: float) -> None:
    rows = summary([0.01, 0.0, 0.0], se=1.0, df=4)
    p_value = p_holm / 2  # second in Holm's order of three
    se = 0.01 / stats.t.isf(p_value / 2, 4)
    half = stats.t.isf(0.025, 4) * se
    rows.loc["c0", ["gain_low", "gain_high", "p_value", "p_holm"]] = [0.01 - half, 0.01 + half, p_value, p_holm]
    rows.loc["c0", "verdict"] = str(Verdict.GAIN)
    assert (low_of(corrected_for_choice(rows), "c0") > 0) == (p_holm < 0.05)


def test_an_unknown_interval_stays_unknown() -> None:
    rows = summary([0.01, 0.02], se=np.nan, df=0)
    assert corrected_for_choice(rows).loc["c0", ["gain_low", "gain_high"]].isna().all()


def test_the_highest_of_ten_that_do_nothing_reads_above_zero_as_seldom_as_one_would() -> None:
    rng = np.random.default_rng(20)
    plain = corrected = 0
    studies = 200
    for _ in range(studies):
        gains = list((rng.normal(size=10) + rng.normal()) / np.sqrt(2))  # the baseline is in all of them
        se, df = float(np.sqrt(rng.chisquare(20) / 20)), 20.0
        rows = summary(gains, se, df)
        best = str(rows["gain_map50_95"].drop(BASELINE).idxmax())
        plain += low_of(rows, best) > 0
        corrected += low_of(corrected_for_choice(rows), best) > 0
    assert plain > 0.06 * studies  # 8 to 11 %: what was printed
    assert corrected < 0.04 * studies  # at most 2.5 %


# --- Through `summarise` --------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("truth", [np.zeros(10), np.repeat([0.0, 2.0], 5)], ids=["null", "true effects"])
def test_the_interval_of_the_highest_holds_the_truth_in_93_of_100_studies(truth: np.ndarray) -> None:
    found = coverage(truth, 3, 200, np.random.default_rng(7))
    assert found["highest, corrected"] >= 0.93
    assert found["highest, plain"] < found["highest, corrected"]


def test_no_interval_says_that_an_map_may_leave_its_range() -> None:
    judged = corrected_for_choice(summary([0.4, 0.1], se=0.3, df=1)).drop(BASELINE)
    assert (judged["gain_high"] == 0.5).all() and (judged["gain_low"] == -0.5).all()
