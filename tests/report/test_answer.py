from __future__ import annotations

import dataclasses
import math
import re

import pandas as pd
import pytest

from harness.analysis.analysis import analyse
from harness.analysis.chosen import corrected_for_choice
from harness.analysis.noise import Noise
from harness.analysis.power import df_of_a_seed, growing_df, seeds_needed
from harness.analysis.statistics import best_by_chance, gain_noise, summarise
from harness.record.study import StudyRecord
from harness.record.surroundings import EFFECT_WAS_PLANTED, Environment, SpaceSummary
from harness.report import phrases
from harness.report.answer import Answer, Outcome, answer, failure_counts
from harness.report.tables import failures
from tests.report import example


def with_holm(noise: Noise, gain: float) -> int:
    """Fresh seeds for a verdict on one of three judged candidates, whose noise each further seed makes better known."""
    fresh, a_seed = 3, df_of_a_seed(3)
    seeds = seeds_needed(noise.sd, gain, growing_df(noise.df, fresh, a_seed), 0.05 / 3)
    assert isinstance(seeds, int)
    return seeds


def answered(record: StudyRecord) -> Answer:
    return answer(analyse(record))


def test_a_gain_opens_with_how_many_beat_the_baseline_and_what_the_best_costs() -> None:
    said = answered(example.winning())
    assert said.outcome is Outcome.GAIN
    assert said.headline == (
        "2 of 3 judged architectures beat the baseline on these images at 95 % confidence "
        "(8 more were only screened, under one seed)."
    )
    assert said.lead.startswith("The baseline reaches mAP50-95 0.497 [")
    shown = phrases.gain_of(corrected_for_choice(summarise(example.winning().trials)).loc["3fa9c1d2"], 3)
    expected = f"The largest gain is {shown} mAP50-95 (interval adjusted for 3 comparisons) for 1.21× [1.19, 1.23] the"
    assert expected in said.lead
    assert "+8.0 % MACs and +8.0 % parameters: that of 3fa9c1d2 (neck.P3 attention: " in said.lead
    assert said.best == "3fa9c1d2"


def test_the_remarks_say_what_was_screened_lost_and_failed() -> None:
    remarks = " ".join(answered(example.winning()).remarks)
    assert "3 candidates tested at 5 % under seeds that did not pick, with Holm's correction for 3 tests" in remarks
    assert "1 is worse than the baseline" in remarks
    assert "1 training did not finish (1 out of memory)" in remarks


def test_no_gain_says_what_it_would_take_to_see_one() -> None:
    record = example.none_gains()
    said = answered(record)
    noise = gain_noise(record.trials)
    seeds = with_holm(noise, 0.01)
    assert said.outcome is Outcome.NO_GAIN
    assert said.headline == "None of 3 judged architectures is shown to beat the baseline on these images."
    shown = phrases.gain_of(corrected_for_choice(summarise(record.trials)).loc["aaaaaaaa"], 3)
    assert (
        f"The largest judged gain is {shown} mAP50-95 (interval adjusted for 3 comparisons), of aaaaaaaa" in said.lead
    )
    assert f"to see a true gain of 0.01 takes {seeds} seeds" in said.lead


@pytest.mark.parametrize(
    ("groups", "outcome", "headline"),
    [
        ([], Outcome.NOTHING, "No training has finished."),
        ([[example.failed("aaaa", 0)]], Outcome.NOTHING, "No training has finished."),
        ([example.baseline(0, 1)], Outcome.BASELINE_ONLY, "Only the baseline has been measured."),
        (
            [[example.row("aaaa", 0, map50_95=0.5)]],
            Outcome.NO_BASELINE,
            "The baseline is missing, so nothing can be compared.",
        ),
        (
            [example.baseline(0), example.candidate("aaaa", [0.05])],
            Outcome.UNJUDGED,
            "No gain can be claimed yet.",
        ),
        (
            [example.baseline(0, 1, 2), example.candidate("aaaa", [0.05, 0.05, 0.05])],
            Outcome.UNJUDGED,
            "No gain can be claimed yet.",
        ),
        (
            [example.baseline(0, 1, 2), example.candidate("aaaa", [0.05, -0.01, 0.01])],
            Outcome.NO_GAIN,
            "The one architecture that was judged is not shown to beat the baseline on these images.",
        ),
        (
            [example.baseline(0, 1, 2, 3), example.candidate("aaaa", [0.05, 0.052, 0.049, 0.051])],
            Outcome.GAIN,
            "1 of 1 judged architecture beats the baseline on these images at 95 % confidence.",
        ),
    ],
)
def test_every_state_of_a_study_has_its_answer(
    groups: list[list[dict[str, object]]], outcome: Outcome, headline: str
) -> None:
    said = answered(example.record(example.frame(*groups)))
    assert (said.outcome, said.headline) == (outcome, headline)
    assert said.lead
    assert "nan" not in said.lead.lower()


@pytest.mark.parametrize("gains", [[0.0], [0.0, 0.0, 0.0, 0.0], [0.01, -0.01, 0.01, 0.0]])
def test_a_baseline_that_detects_nothing_is_not_recommended(gains: list[float]) -> None:
    base = [row | {"map50_95": 0.0, "map50": 0.0} for row in example.baseline(0, 1, 2, 3)]
    said = answered(example.record(example.frame(base, example.candidate("aaaa", gains))))
    assert said.headline == "The baseline detects nothing, so no difference to it says anything."
    assert "under all of its 4 seeds. Look at the labels" in said.lead
    assert said.pick is None


def test_what_beats_a_baseline_that_detects_nothing_is_taken_all_the_same() -> None:
    base = [row | {"map50_95": 0.0, "map50": 0.0} for row in example.baseline(0, 1, 2, 3)]
    said = answered(example.record(example.frame(base, example.candidate("aaaa", [0.05, 0.051, 0.049, 0.05]))))
    assert said.pick is not None and said.pick.architecture == "aaaa"
    assert "The baseline reaches mAP50-95 0.000" in said.lead


def test_one_that_every_seed_picked_was_not_screened_under_one_seed() -> None:
    picked = [row | {"selected_on": True} for row in example.candidate("bbbb", [0.01, 0.02, 0.01])]
    judged = example.candidate("aaaa", [0.05, -0.01, 0.01])
    said = answered(example.record(example.frame(example.baseline(0, 1, 2), judged, picked)))
    assert said.headline.endswith(
        "beat the baseline on these images (1 more was only screened, under seeds that picked)."
    )


def test_a_running_search_says_how_far_it_is() -> None:
    record = example.record(example.frame(example.baseline(0), example.candidate("aaaa", [0.01])))
    running = dataclasses.replace(record, settings=record.settings | {"trials": 12})
    assert "The search is not done: 1 of 12 candidates tried so far." in answered(running).remarks


def test_unvarying_seeds_are_not_taken_for_precision() -> None:
    trials = example.frame(example.baseline(0, 1), example.candidate("aaaa", [0.05, 0.05]))
    assert "no evidence of precision" in answered(example.record(trials)).lead


def test_failures_are_counted_by_state_the_most_frequent_first() -> None:
    rows = [example.failed("a", 0), example.failed("b", 0, "illegal"), example.failed("c", 0, "illegal")]
    assert list(failure_counts(example.frame(rows)).items()) == [("illegal", 2), ("failed", 1)]


def test_many_candidates_say_what_chance_alone_would_show() -> None:
    # E max of three normals is 1.5/√π = 0.846 sd, times √½ for the baseline that they share
    record = example.none_gains()
    shown = 0.846 * math.sqrt(0.5) * gain_noise(record.trials).sd
    (said,) = [text for text in answered(record).remarks if "do nothing" in text]
    assert said.startswith(f"The best of 3 candidates that do nothing would read +{shown:.3f} on the screening seed")


@pytest.mark.parametrize("gains", [[0.01], [0.05, -0.01, -0.01]])
def test_one_candidate_is_not_the_best_of_many_by_chance(gains: list[float]) -> None:
    record = example.record(example.frame(example.baseline(0, 1, 2), example.candidate("aaaa", gains)))
    assert not [text for text in answered(record).remarks if "do nothing" in text]


NUMBER = re.compile(r"[+−]?\d+\.\d+")


def known_numbers(record: StudyRecord, summary: pd.DataFrame, noise: Noise) -> list[float]:
    """Everything that the analysis computed, and changes in percent."""
    columns = summary.select_dtypes("number").to_numpy().ravel().tolist()
    columns += corrected_for_choice(summary)[["gain_low", "gain_high"]].to_numpy().ravel().tolist()
    percents = (100 * (summary[["macs_ratio", "params_ratio"]] - 1)).to_numpy().ravel().tolist()
    others = [noise.sd, noise.low, noise.high, best_by_chance(record.trials)[1], 0.01]
    return [value for value in [*columns, *percents, *others] if math.isfinite(value)]


@pytest.mark.parametrize("record", [example.winning(), example.none_gains()], ids=["winning", "none"])
def test_every_number_of_the_answer_is_one_of_the_analysis(record: StudyRecord) -> None:
    summary, noise = summarise(record.trials), gain_noise(record.trials)
    said = answer(analyse(record))
    assert said.pick is not None
    found = NUMBER.findall(" ".join([said.headline, said.lead, said.pick.why, *said.remarks]))
    known = known_numbers(record, summary, noise)
    assert len(found) > 10
    for text in found:
        value, digits = float(text.replace("−", "-")), len(text.split(".")[1])
        assert any(abs(value - other) <= 0.5 * 10**-digits + 1e-12 for other in known), text


# --- A ladder of epochs ---------------------------------------------------------------------------


def ladder() -> StudyRecord:
    """One candidate has climbed to 12 epochs and gains; another gains more after 3, where it stayed."""
    long = [example.baseline(0, 1, 2, 3), example.candidate("aaaaaaaa", [0.020, 0.021, 0.019, 0.020])]
    climbed = [[each | {"epochs": 12} for each in rows] for rows in long]
    return example.record(
        example.frame(
            *climbed,
            example.baseline(0, 1, 2, 3),
            example.candidate("aaaaaaaa", [0.060, 0.061, 0.059, 0.060]),
            example.candidate("bbbbbbbb", [0.050, 0.051, 0.049, 0.050]),
        )
    )


def test_the_best_is_one_that_was_trained_longest_and_says_so() -> None:
    said = answered(ladder())
    assert said.outcome is Outcome.GAIN
    assert said.best == "aaaaaaaa"
    assert "The baseline reaches mAP50-95 0.497 [0.490, 0.504] after 12 epochs." in said.lead
    assert re.search(r"gain is \+0\.020.*: that of aaaaaaaa \(.*\) after 12 epochs\.$", said.lead)


def test_a_baseline_that_has_climbed_alone_says_after_how_many_epochs() -> None:
    climbed = [each | {"epochs": 12} for each in example.baseline(0)]
    record = example.record(example.frame(climbed, example.baseline(0), example.candidate("aaaa", [0.01])))
    assert "after 12 epochs. Of 1 architecture" in answered(record).lead
    assert "aaaa (neck.P3 attention: 2×k3 local + 2 global (KV pool 2)) after 3 epochs reads" in answered(record).lead


def test_of_one_number_of_epochs_nothing_is_said() -> None:
    assert "epochs" not in " ".join([answered(example.winning()).lead, *answered(example.winning()).remarks])


# --- Bounds ---------------------------------------------------------------------------------------


def bounded(record: StudyRecord, **bounds: float) -> StudyRecord:
    return dataclasses.replace(record, settings=record.settings | {"constraints": bounds})


def test_the_answer_is_about_what_is_within_the_bounds() -> None:
    said = answered(bounded(example.winning(), max_latency_ratio=1.1))
    assert said.headline == (
        "1 of 2 judged architectures within the bounds beats the baseline on these images at 95 % confidence "
        "(2 more were only screened, under one seed)."
    )
    assert said.best == "77e0b1aa"  # 3fa9c1d2 gains more, at 1.21×
    assert said.remarks[-1].startswith("7 of 11 measured candidates lie beyond a bound (7 latency above 1.1×).")


def test_it_says_how_many_each_bound_excludes() -> None:
    said = answered(bounded(example.winning(), max_latency_ratio=1.1, max_macs=110e6, min_map50_95=0.48))
    # beyond 110 M: 1b2c3d4e, 9b8c7d6e, a0a1a2a3, b0b1b2b3, d0d1d2d3; a0a1a2a3 alone reads 0.495 − 0.021
    assert "(5 MACs above 110 M, 7 latency above 1.1×, 1 mAP50-95 below 0.48)" in said.remarks[-1]
    assert "on no front" in said.remarks[-1]


def test_nothing_within_the_bounds_is_an_answer_of_its_own() -> None:
    said = answered(bounded(example.winning(), max_macs=101e6))
    assert (said.outcome, said.headline) == (Outcome.OUTSIDE, "No candidate is within the bounds.")
    assert said.lead.startswith("The baseline reaches mAP50-95 0.497")
    assert said.best is None
    assert answered(bounded(example.record(example.frame()), max_macs=1.0)).outcome is Outcome.NOTHING
    alone = example.record(example.frame([example.row("aaaa", 0, map50_95=0.5)]))
    assert answered(bounded(alone, max_macs=1.0)).outcome is Outcome.NO_BASELINE


def test_bounds_that_nobody_breaks_are_not_spoken_of() -> None:
    said = answered(bounded(example.winning(), max_macs=1e9))
    assert said.headline == (
        "2 of 3 judged architectures within the bounds beat the baseline on these images at 95 % confidence "
        "(8 more were only screened, under one seed)."
    )
    assert not [text for text in said.remarks if "beyond a bound" in text]


def test_a_region_that_is_tried_out_is_done() -> None:
    record = example.record(example.frame(example.baseline(0), example.candidate("aaaa", [0.01])))
    settings = record.settings | {"trials": 12, "constraints": {"max_macs": 2e8}}
    for feasible, not_done in ((1, 0), (2, 1), (None, 1)):
        wanted = dataclasses.replace(record, settings=settings, space=SpaceSummary(size=50, feasible=feasible))
        assert len([text for text in answered(wanted).remarks if "not done" in text]) == not_done


def test_more_of_what_lies_within_the_noise_is_not_advised() -> None:
    said = phrases.going_on([0.3, 0.1], within_noise=True)
    assert said.startswith("2 more candidates are expected by the sampler to enlarge ")
    assert said.endswith("more seeds or longer trainings say more than more candidates.")
    assert phrases.going_on([0.0001], within_noise=True).endswith("little is left to find.")


def test_whether_going_on_pays_is_said_where_the_sampler_can_tell() -> None:
    assert phrases.going_on(()) == ""
    assert phrases.going_on([0.02, 0.01]) == (
        "2 more candidates are expected by the sampler to enlarge what the front dominates (its hypervolume) by 3.0 %: "
        "going on may pay."
    )
    assert phrases.going_on([0.004] + [0.0005] * 9).endswith("by 0.9 %: little is left to find.")


def test_a_training_that_still_runs_has_not_failed() -> None:
    running = example.row("aaaaaaaa", 1, state="interrupted", finished="")
    record = example.record(example.frame(example.baseline(0, 1), example.candidate("aaaaaaaa", [0.01]), [running]))
    assert failure_counts(record.trials) == {}
    assert failures(record.trials).rows == ()
    assert summarise(record.trials).loc["aaaaaaaa", "failed"] == 0
    remarks = answered(record).remarks
    assert "1 training had not ended when this was written." in remarks
    assert not [said for said in remarks if "did not finish" in said]


def test_who_learnt_under_some_seeds_only_is_said_in_words() -> None:
    said = answered(
        example.record(example.frame(example.baseline(0, 1, 2, 3), example.candidate("aaaa", [0.4, 0.0, 0.41])))
    )
    (remark,) = [each for each in said.remarks if "learnt" in each]
    assert remark.startswith("aaaa learnt under 2 of 3 seeds (gains +0.40, +0.41) and not under the other (0.00)")
    assert "--epochs 6" in remark
    assert not any("learnt" in each for each in answered(example.winning()).remarks)


def test_a_report_of_a_planted_effect_says_so_first() -> None:
    kept = example.winning()
    environment = Environment.of({**kept.environment.to_dict(), "data_cautions": [EFFECT_WAS_PLANTED]})
    assert EFFECT_WAS_PLANTED in answered(dataclasses.replace(kept, environment=environment)).remarks
    assert EFFECT_WAS_PLANTED not in answered(kept).remarks
