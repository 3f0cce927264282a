from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from harness.analysis.contrasts import Pair, advantage, contrasts
from harness.analysis.noise import pooled_noise
from harness.architecture import BASELINE

# mAP50-95 by arm; columns are seeds 0, 1, 2
SMALL = {BASELINE: [0.50, 0.52, 0.51], "a": [0.51, 0.54, 0.52], "b": [0.50, 0.51, 0.53]}


def trials(values: dict[str, list[float]], *, bases: int = 1) -> pd.DataFrame:
    """Seeds run fastest, then bases."""
    rows = []
    for arm, readings in values.items():
        for place, reading in enumerate(readings):
            base, seed = divmod(place, len(readings) // bases)
            rows.append((arm, base, seed, "complete", reading))
    return pd.DataFrame(rows, columns=["architecture", "base_seed", "seed", "state", "map50_95"])


def against_baseline(*arms: str, kind: str = "one") -> list[Pair]:
    return [Pair(name=arm, minuend=arm, subtrahend=BASELINE, kind=kind) for arm in arms]


def test_one_pair_is_the_paired_t_test() -> None:
    found = contrasts(trials(SMALL), against_baseline("a")).iloc[0]
    a, base = np.array(SMALL["a"]), np.array(SMALL[BASELINE])
    oracle = stats.ttest_rel(a, base)
    interval = oracle.confidence_interval(0.95)
    assert found["mean"] == pytest.approx((a - base).mean())
    assert found["p_value"] == pytest.approx(oracle.pvalue)
    assert (found["low"], found["high"]) == pytest.approx((interval.low, interval.high))
    assert (found["low_corrected"], found["high_corrected"]) == pytest.approx((interval.low, interval.high)), (
        "a family of one needs no correction"
    )


def with_sds(*sds: float, seeds: int = 5) -> dict[str, list[float]]:
    """Arms 0, 1, … whose differences from the baseline have these standard deviations, in thousandths."""
    rng = np.random.default_rng(0)
    drawn = rng.standard_normal((len(sds), seeds))
    drawn = (drawn - drawn.mean(axis=1, keepdims=True)) / drawn.std(axis=1, ddof=1, keepdims=True)
    return {BASELINE: [0.5] * seeds} | {
        str(place): list(0.5 + 0.001 * sd * each) for place, (sd, each) in enumerate(zip(sds, drawn, strict=True))
    }


SIX = tuple(map(str, range(6)))


def test_the_corrected_interval_is_about_bonferronis_where_all_scatter_alike() -> None:
    found = contrasts(trials(with_sds(*[1.0] * 6)), against_baseline(*SIX))
    half = found["high_corrected"] - found["mean"]
    bonferroni = stats.t.isf(0.05 / 2 / 6, 24 / (1 + 5 / 4)) * 0.001 / math.sqrt(5)  # Satterthwaite, correlation 1/2
    assert half.between(0.9 * bonferroni, 1.3 * bonferroni).all()
    assert (half > found["high"] - found["mean"]).all()


def test_an_arm_that_scatters_more_has_its_own_interval_and_leaves_the_others_theirs() -> None:
    equal, wild = (contrasts(trials(with_sds(first, *[1.0] * 5)), against_baseline(*SIX)) for first in (1.0, 10.0))
    width = wild["high"] - wild["low"]
    assert width[0] > 8 * width[1]
    assert width[1] < 1.4 * (equal["high"] - equal["low"])[1]


def test_kinds_do_not_share_their_scatter() -> None:
    values = with_sds(1.0, 1.0, 1.0, 2.0, 2.0, 2.0)
    mixed = contrasts(trials(values), against_baseline(*SIX))
    apart = contrasts(trials(values), [*against_baseline(*SIX[:3]), *against_baseline(*SIX[3:], kind="other")])
    assert apart["sd"][0] < mixed["sd"][0] < mixed["sd"][3] < apart["sd"][3]


def test_with_several_bases_a_base_is_one_reading() -> None:
    # two seeds from each of three bases; the base decides the gain, the seeds of one agree
    values = {BASELINE: [0.5] * 6, "a": [0.51, 0.51, 0.53, 0.53, 0.49, 0.49]}
    found = contrasts(trials(values, bases=3), against_baseline("a")).iloc[0]
    oracle = stats.ttest_1samp([0.01, 0.03, -0.01], 0).confidence_interval(0.95)
    assert found["readings"] == 3
    assert (found["low"], found["high"]) == pytest.approx((oracle.low, oracle.high))


def test_verdicts_need_the_whole_corrected_interval_on_one_side() -> None:
    quiet = {
        BASELINE: [0.5, 0.5, 0.5],
        "up": [0.520, 0.521, 0.522],
        "down": [0.48, 0.481, 0.482],
        "same": [0.5, 0.501, 0.499],
    }
    found = contrasts(trials(quiet), against_baseline("up", "down", "same"))
    assert list(found["verdict"]) == ["better", "worse", "undecided"]


def test_what_no_seed_has_both_of_is_unmeasured_and_no_member_of_the_family() -> None:
    lone = trials({BASELINE: [0.5, 0.51, 0.52], "a": [0.51, 0.52, 0.54]})
    alone, beside = contrasts(lone, against_baseline("a")), contrasts(lone, against_baseline("a", "never"))
    assert beside["verdict"].iloc[1] == "unmeasured"
    assert math.isnan(beside["mean"].iloc[1])
    assert beside["high_corrected"].iloc[0] == alone["high_corrected"].iloc[0]


def test_failed_and_unpaired_rows_do_not_count() -> None:
    rows = trials(SMALL)
    rows.loc[(rows.architecture == "a") & (rows.seed == 2), "state"] = "failed"
    assert contrasts(rows, against_baseline("a")).iloc[0]["readings"] == 2


def test_one_seed_has_a_difference_and_no_interval() -> None:
    found = contrasts(trials({BASELINE: [0.5], "a": [0.6]}), against_baseline("a")).iloc[0]
    assert found["mean"] == pytest.approx(0.1)
    assert math.isnan(found["low_corrected"])
    assert found["verdict"] == "undecided"


def test_readings_needed_reach_the_power_they_promise() -> None:
    found = contrasts(trials(SMALL), against_baseline("b")).iloc[0]
    needed, effect = int(found["readings_needed"]), abs(found["mean"])

    def power(n: int) -> float:
        """One difference of n seeds: n − 1 degrees of freedom, and nothing to correct for."""
        return float(stats.nct.sf(stats.t.ppf(1 - 0.05 / 2, n - 1), n - 1, effect / found["sd"] * math.sqrt(n)))

    assert power(needed) >= 0.8 > power(needed - 1)
    assert (found["df_per_reading"], found["comparisons"]) == (pytest.approx(1), 1)


def test_readings_needed_pass_the_corrected_test_with_the_noise_in_common() -> None:
    found = contrasts(trials(SMALL), against_baseline("b", "a")).iloc[0]
    needed, seeds = int(found["readings_needed"]), len(SMALL["a"])
    differences = [(arm, seed, SMALL[arm][seed] - SMALL[BASELINE][seed]) for arm in ("b", "a") for seed in range(seeds)]
    noise = pooled_noise(pd.DataFrame(differences, columns=["architecture", "seed", "gain"]), "gain", 0.5)
    df = noise.df + (needed - seeds) * 2 / 1.25  # differences of one seed correlate by one half
    shift = abs(found["mean"]) / noise.sd * math.sqrt(needed)
    assert float(stats.nct.sf(stats.t.ppf(1 - 0.025 / 2, df), df, shift)) >= 0.8
    assert found["comparisons"] == 2


def test_too_many_readings_are_not_mistaken_for_an_unknown_noise() -> None:
    alike = {BASELINE: [0.5, 0.5], "a": [0.6, 0.6]}
    hidden = {BASELINE: [0.50, 0.52, 0.51], "a": [0.52, 0.51, 0.50]}
    readings = {
        name: contrasts(trials(values), against_baseline("a")).iloc[0]["readings_needed"]
        for name, values in {"one seed": {BASELINE: [0.5], "a": [0.6]}, "alike": alike, "hidden": hidden}.items()
    }
    assert math.isnan(readings["one seed"]) and math.isnan(readings["alike"])
    assert readings["hidden"] == math.inf


def test_of_null_effects_the_corrected_intervals_of_a_family_miss_in_one_of_twenty_families() -> None:
    rng = np.random.default_rng(0)
    families, arms = 60, 6
    wrong = 0
    for _ in range(families):
        level = rng.normal(0.5, 0.02, 3)
        values = {name: list(level + rng.normal(0, 0.003, 3)) for name in (BASELINE, *map(str, range(arms)))}
        found = contrasts(trials(values), against_baseline(*map(str, range(arms))))
        wrong += bool((found["verdict"] != "undecided").any())
    assert wrong <= stats.binom.ppf(0.999, families, 0.05)


def test_no_pairs_make_no_rows() -> None:
    assert contrasts(trials(SMALL), []).empty


def test_the_advantage_over_random_members_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        base = rng.normal(0, 0.003, 4)  # shared by all of a seed
        members = [rng.normal(0.010, 0.010) + (rng.normal(0, 0.003, 2) - base[:2]).mean() for _ in range(6)]
        own = 0.030 + rng.normal(0, 0.003, 4) - base
        found = advantage(own.tolist(), members, 1)
        assert found is not None
        held += found.low <= 0.020 <= found.high
    assert 0.93 <= held / 400 <= 1.0
    assert found is not None and found.members == pytest.approx(np.mean(members))
    assert found.spread == pytest.approx(np.std(members, ddof=1))


def test_one_seed_or_one_member_has_no_advantage() -> None:
    assert advantage([0.1], [0.1, 0.2], 1) is None and advantage([0.1, 0.2], [0.1], 1) is None


def test_the_best_of_several_finalists_has_no_advantage_that_it_owes_to_being_chosen() -> None:
    rng = np.random.default_rng(1)
    held = plain = 0
    for _ in range(300):
        members = rng.normal(0.010, 0.004, 6)
        finalists = 0.010 + rng.normal(0, 0.004, (8, 4))  # no better than the mean of the space
        best = finalists[finalists.mean(axis=1).argmax()].tolist()
        adjusted, unadjusted = advantage(best, members.tolist(), 8), advantage(best, members.tolist(), 1)
        assert adjusted is not None and unadjusted is not None
        held += adjusted.low <= 0
        plain += unadjusted.low <= 0
    assert held / 300 >= 0.95 > plain / 300


def test_no_interval_leaves_what_a_difference_of_two_maps_can_be() -> None:
    found = contrasts(trials({BASELINE: [0.3, 0.3, 0.3], "a": [0.99, 0.3, 0.9]}), against_baseline("a")).iloc[0]
    interval = stats.ttest_1samp([0.69, 0.0, 0.6], 0).confidence_interval(0.95)
    assert (found["low"], found["high"]) == (pytest.approx(interval.low), 1.0) and interval.high > 1.0
    assert found["high_corrected"] == 1.0 and found["verdict"] == "undecided"
