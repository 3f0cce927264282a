from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest
from scipy import stats

from harness.analysis.statistics import (
    Standing,
    Verdict,
    best_by_chance,
    front,
    gain_noise,
    gain_scatter,
    summarise,
)

NAN = math.nan


def rows(architecture: str, gains: dict[int, float], **values: Any) -> list[dict[str, Any]]:
    """Complete rows by seed; seed 0 picks the finalists."""
    return [
        {
            "architecture": architecture, "seed": seed, "state": "complete", "reason": "",
            "selected_on": seed == 0,
            "map50_95": 0.5 + (gain if math.isfinite(gain) else 0.0), "map50": 0.7, "gain_map50_95": gain,
            "latency_ms_p50": 10.0, "latency_ms_p90": 11.0, "latency_ratio": 1.0, "latency_ratio_low": 0.99,
            "latency_ratio_high": 1.01, "macs": 100.0, "params": 10.0,
        } | values
        for seed, gain in gains.items()
    ]  # fmt: skip


def table(*groups: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame([row for group in groups for row in group])


def at(summary: pd.DataFrame, architecture: str, column: str) -> Any:
    return summary.loc[architecture, column]


def gains(*values: float) -> dict[int, float]:
    return dict(enumerate(values))


BASE = rows("baseline", gains(0.0, 0.0, 0.0))
UP = rows("up", gains(0.050, 0.021, 0.019), latency_ratio=1.2, macs=120.0)
FLAT = rows("flat", gains(0.012, 0.000, 0.004), latency_ratio=1.1, macs=110.0)


def test_the_gain_leaves_out_the_seed_that_picked_the_candidate() -> None:
    summary = summarise(table(BASE, UP))
    assert at(summary, "up", "gain_map50_95") == pytest.approx(0.020)
    assert at(summary, "up", "gain_seeds") == 2
    assert at(summary, "up", "gain_basis") == "2 seeds that did not pick it (1, 2); on these images"
    assert at(summary, "up", "seeds") == 3


def test_the_noise_is_pooled_over_the_seeds_that_picked_nobody() -> None:
    # up: 0.021, 0.019, squares 1 + 1; flat: 0.000, 0.004, squares 4 + 4
    noise = gain_noise(table(BASE, UP, FLAT))
    assert noise.df == pytest.approx(2**2 / (1 + 1 + 2 / 4))  # the two share the baseline
    assert noise.sd == pytest.approx(1e-3 * math.sqrt((2 + 8) / 2))


def test_where_no_candidate_has_two_seeds_that_picked_nobody_all_count() -> None:
    noise = gain_noise(table(BASE[:2], UP[:2], FLAT[:2]))
    assert noise.sd == pytest.approx(1e-3 * math.sqrt((29**2 / 2 + 12**2 / 2) / 2))


def test_the_interval_is_the_mean_and_t_standard_errors_of_the_moderated_noise() -> None:
    trials = table(BASE, UP, FLAT)
    summary, own = summarise(trials), gain_scatter(trials).of("flat")
    half = stats.t.ppf(0.975, own.df) * own.sd / math.sqrt(2)  # two seeds judge
    assert at(summary, "flat", "gain_low") == pytest.approx(0.002 - half)
    assert at(summary, "flat", "gain_high") == pytest.approx(0.002 + half)
    assert at(summary, "flat", "gain_se") == pytest.approx(own.sd / math.sqrt(2))
    assert at(summary, "flat", "gain_df") == pytest.approx(own.df)


def test_the_corrected_test_is_over_the_judged_candidates_alone() -> None:
    screened = rows("screened", gains(0.03))
    alone, beside = (summarise(table(BASE, UP, FLAT, *more)) for more in ([], [screened]))
    assert at(beside, "up", "p_holm") == at(alone, "up", "p_holm") > at(alone, "up", "p_value")
    assert math.isnan(at(beside, "screened", "p_holm"))


def test_a_plain_interval_above_zero_is_no_gain_when_the_correction_for_many_looks_withholds_it() -> None:
    steady = {1: -0.004, 2: 0.0, 3: 0.004}
    others = [rows(f"c{n}", steady) for n in range(3)]
    near = rows("near", {seed: 0.0165 + value for seed, value in steady.items()})
    trials = table(rows("baseline", gains(0, 0, 0, 0)), *others, near)
    summary, again = summarise(trials), summarise(trials, look=6)
    assert at(again, "near", "gain_low") == at(summary, "near", "gain_low") > 0
    assert at(summary, "near", "verdict") == Verdict.GAIN
    assert at(again, "near", "p_value") < 0.05 < at(again, "near", "p_holm")
    assert at(again, "near", "verdict") == Verdict.UNDECIDED


def test_verdicts() -> None:
    quiet = [rows(f"q{n}", gains(0.001, 0.0, -0.001, 0.0)) for n in range(4)]
    summary = summarise(
        table(
            rows("baseline", gains(0, 0, 0, 0)),
            *quiet,
            rows("winner", gains(0.03, 0.02, 0.02, 0.02)),
            rows("loser", gains(0.001, -0.02, -0.021, -0.019)),
            rows("lucky", gains(0.03)),
            rows("hopeless", gains(-0.03)),
            rows("failed", gains(NAN), state="failed", map50_95=NAN, reason="out of memory"),
        )
    )
    assert summary["verdict"].to_dict() == {
        "baseline": Verdict.REFERENCE,
        **{f"q{n}": Verdict.UNDECIDED for n in range(4)},
        "winner": Verdict.GAIN,
        "loser": Verdict.LOSS,
        "lucky": Verdict.UNDECIDED,  # one seed is never called a gain
        "hopeless": Verdict.LOSS,
        "failed": Verdict.UNMEASURED,
    }
    assert at(summary, "lucky", "gain_low") > 0
    assert at(summary, "lucky", "gain_basis") == "one seed: only a screening reading; on these images"
    assert at(summary, "lucky", "standing") == Standing.SCREENING


def test_without_repeated_seeds_there_is_no_interval_and_no_verdict() -> None:
    summary = summarise(table(rows("baseline", gains(0)), rows("a", gains(-0.4)), rows("b", gains(0.4))))
    assert summary.loc[["a", "b"], ["gain_low", "gain_high"]].isna().all(axis=None)
    assert set(summary.loc[["a", "b"], "verdict"]) == {Verdict.UNDECIDED}
    assert "no candidate has two seeds" in at(summary, "a", "gain_basis")


def test_seeds_that_do_not_differ_make_no_infinite_t() -> None:
    summary = summarise(table(BASE, rows("copy", gains(0.01, 0.01, 0.01))))
    assert math.isnan(at(summary, "copy", "p_value"))
    assert math.isnan(at(summary, "copy", "gain_low"))
    assert at(summary, "copy", "verdict") == Verdict.UNDECIDED
    assert "do not differ at all" in at(summary, "copy", "gain_basis")


def test_a_candidate_without_the_baselines_row_of_its_seed_is_unmeasured() -> None:
    summary = summarise(table(rows("baseline", gains(0)), rows("a", {7: NAN})))
    assert at(summary, "a", "verdict") == Verdict.UNMEASURED
    assert at(summary, "a", "gain_basis") == "the baseline has no complete row of the same seed"
    assert at(summary, "a", "map50_95") == 0.5


def test_a_study_without_the_baseline_still_has_its_row_first() -> None:
    summary = summarise(table(rows("a", gains(NAN))))
    assert list(summary.index) == ["baseline", "a"]
    assert at(summary, "baseline", "verdict") == Verdict.UNMEASURED
    assert math.isnan(at(summary, "a", "macs_ratio"))


def test_an_empty_table_gives_the_baseline_alone() -> None:
    summary = summarise(table(BASE)[:0])
    assert list(summary.index) == ["baseline"]
    assert at(summary, "baseline", "seeds") == 0


def test_when_every_seed_took_part_in_the_selection_none_can_judge() -> None:
    summary = summarise(table(BASE, FLAT, rows("a", gains(0.1, 0.1, 0.1), selected_on=True)))
    assert at(summary, "a", "standing") == Standing.SCREENING
    assert at(summary, "a", "verdict") != Verdict.GAIN


def test_a_seed_trained_twice_counts_once() -> None:
    again = rows("up", {1: 0.023})
    summary = summarise(table(BASE, UP, again))
    assert at(summary, "up", "seeds") == 3
    assert at(summary, "up", "gain_map50_95") == pytest.approx((0.023 + 0.019) / 2)


@pytest.mark.parametrize("nonsense", [0.0, -1.0, math.inf, NAN])
def test_a_latency_that_is_no_time_was_not_measured(nonsense: float) -> None:
    summary = summarise(table(BASE, rows("a", gains(0.01), latency_ratio=nonsense)))
    assert math.isnan(at(summary, "a", "latency_ratio"))
    assert not front(summary)["a"]


def test_costs_are_medians_and_ratios_to_the_baseline() -> None:
    summary = summarise(
        table(
            BASE,
            *(rows("a", {seed: 0.0}, latency_ratio=ratio, macs=150.0) for seed, ratio in enumerate((1.1, 1.2, 1.9))),
        )
    )
    assert at(summary, "a", "latency_ratio") == 1.2
    assert at(summary, "a", "macs_ratio") == 1.5


def test_states_are_counted_and_the_last_reason_is_kept() -> None:
    lost = [row | {"map50_95": NAN, "gain_map50_95": NAN, "state": "failed"} for row in rows("up", {3: 0, 4: 0})]
    lost[0]["reason"], lost[1]["reason"] = "first", "second"
    summary = summarise(table(BASE, UP, lost))
    assert [at(summary, "up", name) for name in ("complete", "failed", "reason")] == [3, 2, "second"]
    assert [at(summary, "baseline", name) for name in ("complete", "failed", "reason")] == [3, 0, ""]


def test_an_accuracy_has_students_interval_from_its_own_seeds() -> None:
    summary = summarise(table(BASE, UP))
    readings = [0.550, 0.521, 0.519]
    oracle = stats.ttest_1samp(readings, 0).confidence_interval(0.95)
    assert at(summary, "up", "map50_95_low") == pytest.approx(oracle.low)
    assert at(summary, "up", "map50_95_high") == pytest.approx(oracle.high)


def test_an_accuracy_of_one_seed_has_the_interval_of_the_seeds_of_the_others() -> None:
    # Student's with 2 degrees of freedom, not 4: a seed moves the two alike
    wavy = [row | {"map50_95": 0.5 + step} for row, step in zip(BASE, (0.0, 0.01, 0.02), strict=True)]
    other = [row | {"map50_95": 0.6 + step} for row, step in zip(UP, (0.0, 0.01, 0.02), strict=True)]
    summary = summarise(table(wavy, other, rows("once", gains(0.1))))
    assert at(summary, "once", "map50_95_high") - 0.6 == pytest.approx(stats.t.ppf(0.975, 2) * 0.01)


def test_an_accuracy_ends_at_0_and_1() -> None:
    high = [row | {"map50_95": value, "map50": 1 - value} for row, value in zip(BASE, (0.99, 0.9, 0.999), strict=True)]
    summary = summarise(table(high))
    assert at(summary, "baseline", "map50_95_high") == 1
    assert at(summary, "baseline", "map50_low") == 0


def test_the_front_holds_the_baseline_and_the_judged_that_nothing_beats() -> None:
    worse = rows("worse", gains(0.0, -0.01, -0.012), latency_ratio=1.3)
    summary = summarise(table(BASE, UP, FLAT, worse))
    assert front(summary).to_dict() == {"baseline": True, "up": True, "flat": True, "worse": False}
    assert front(summary, ("gain_map50_95", "macs")).to_dict() == {
        "baseline": True, "up": True, "flat": True, "worse": False,
    }  # fmt: skip


def test_a_lucky_single_reading_pushes_nobody_off_the_front() -> None:
    lucky = rows("lucky", gains(0.9), latency_ratio=0.5)
    dull = rows("dull", gains(0.001), latency_ratio=1.5)
    summary = summarise(table(BASE, UP, lucky, dull))
    assert front(summary).to_dict() == {"baseline": True, "up": True, "lucky": True, "dull": False}
    assert at(summary, "lucky", "standing") == "screening only"


def test_the_best_by_chance_counts_what_was_screened() -> None:
    lost = rows("lost", gains(NAN))
    trials = table(BASE, UP, FLAT, rows("late", {1: 0.1}), lost)
    candidates, gain = best_by_chance(trials)
    assert candidates == 2  # late has no reading on the screening seed, lost has no gain
    assert gain == pytest.approx(gain_noise(trials).sd / math.sqrt(math.pi) / math.sqrt(2))
    assert best_by_chance(table(BASE))[0] == 0
    assert math.isnan(best_by_chance(table(BASE, rows("once", gains(0.1))))[1])


# --- A ladder of epochs ---------------------------------------------------------------------------

LONG = {"epochs": 12}
SHORT = {"epochs": 3}
LADDER = table(
    rows("baseline", gains(0.0, 0.0, 0.0), **SHORT),
    rows("baseline", gains(0.0, 0.0, 0.0, 0.0), **LONG),
    rows("climber", gains(0.050, 0.040, 0.060), **SHORT),
    rows("climber", gains(0.010, 0.012, 0.011, 0.013), **LONG, selected_on=True),
    rows("stayed", gains(0.010, 0.001, -0.001), **SHORT),
    rows("screened", gains(0.002), **SHORT),
)
LADDER.loc[(LADDER.epochs == 12) & (LADDER.seed == 3), "selected_on"] = False


def test_each_architecture_is_judged_by_its_longest_trainings() -> None:
    summary = summarise(LADDER)
    assert summary["epochs"].to_dict() == {"baseline": 12, "climber": 12, "stayed": 3, "screened": 3}
    assert at(summary, "climber", "gain_map50_95") == pytest.approx(0.013)  # the seed that picked on no rung
    assert at(summary, "climber", "seeds") == 4
    assert at(summary, "climber", "map50_95") == pytest.approx(0.5 + 0.0115)
    assert at(summary, "stayed", "gain_map50_95") == pytest.approx(0.0)
    assert at(summary, "stayed", "standing") == Standing.JUDGED


def test_each_number_of_epochs_has_its_own_noise() -> None:
    short, long = LADDER[LADDER.epochs == 3], LADDER[LADDER.epochs == 12]
    assert gain_noise(LADDER, 3) == gain_noise(short)
    assert gain_noise(LADDER) == gain_noise(LADDER, 12) == gain_noise(long)
    summary = summarise(LADDER)
    assert at(summary, "stayed", "gain_high") == pytest.approx(gain_scatter(short).of("stayed").half_width(2))
    assert at(summary, "climber", "gain_high") - 0.013 == pytest.approx(gain_scatter(long).of("climber").half_width(1))


def test_the_noise_is_that_of_the_longest_trainings_for_which_it_is_known() -> None:
    one_seed = LADDER[(LADDER.epochs == 3) | (LADDER.seed == 0)]
    assert gain_noise(one_seed) == gain_noise(LADDER, 3)
    summary = summarise(one_seed)
    assert (at(summary, "climber", "epochs"), at(summary, "climber", "standing")) == (12, Standing.SCREENING)
    assert math.isnan(at(summary, "climber", "gain_high"))  # the short trainings' noise is not theirs


def test_what_has_no_control_yet_does_not_replace_what_has() -> None:
    begun = LADDER.copy()
    begun.loc[begun.epochs == 12, "gain_map50_95"] = NAN
    summary = summarise(begun[(begun.epochs == 3) | (begun.architecture == "climber")])
    assert at(summary, "climber", "epochs") == 3
    assert at(summary, "climber", "gain_map50_95") == pytest.approx(0.050)  # (0.040 + 0.060) / 2
