from __future__ import annotations

import dataclasses
import re

from harness.analysis.power import df_of_a_seed, growing_df, seeds_needed
from harness.analysis.statistics import gain_noise, summarise
from harness.record.study import StudyRecord
from harness.report.phrases import noise_sentence, not_drawn
from tests.report import example


def said(record: StudyRecord) -> str:
    return not_drawn(record, summarise(record.trials))


def test_what_is_not_in_the_picture_is_counted() -> None:
    record = example.winning()
    assert said(record) == "Not drawn: 1 failed."
    proposals = dataclasses.replace(record, proposals={"infeasible": 7})
    assert said(proposals) == "Not drawn: 1 failed, 7 proposed beyond a bound on cost and never trained."
    assert said(example.none_gains()) == ""


def test_one_without_the_baselines_training_is_counted_apart() -> None:
    alone = example.record(example.frame(example.baseline(0), [example.row("aaaa", 1, map50_95=0.5)]))
    assert said(alone) == "Not drawn: 1 without a control to compare with."


def test_what_is_beyond_a_bound_is_drawn_as_a_cross() -> None:
    record = example.winning()
    bounded = dataclasses.replace(record, settings=record.settings | {"constraints": {"max_latency_ratio": 1.4}})
    assert said(bounded).endswith("1 beyond a bound of the search is drawn as a cross and is on no front.")


# --- How many seeds it takes ------------------------------------------------------------------------


def noisy(judged: int, scatter: float = 0.01) -> StudyRecord:
    """Candidates with a picking seed and two fresh ones each; the first is the best by a little."""
    gains = [[0.02, 0.002 + scatter * (-1) ** number, 0.001 - scatter * (-1) ** number] for number in range(judged)]
    candidates = [example.candidate(f"{number:08}", three) for number, three in enumerate(gains)]
    return example.record(example.frame(example.baseline(0, 1, 2), *candidates))


def seeds_said(record: StudyRecord) -> int:
    said = noise_sentence(gain_noise(record.trials), summarise(record.trials))
    found = re.search(r"to see a true gain of 0\.01 takes (\d+) seeds", said)
    assert found, said
    return int(found[1])


def test_the_seeds_are_those_of_the_test_that_gives_the_verdict_and_it_is_named() -> None:
    for judged in (1, 3, 6):
        record = noisy(judged)
        noise = gain_noise(record.trials)
        freedom = growing_df(noise.df, 2, df_of_a_seed(judged))
        assert seeds_said(record) == seeds_needed(noise.sd, 0.01, freedom, 0.05 / judged)
        said = noise_sentence(noise, summarise(record.trials))
        assert (f"t-test at 5 %, Holm-corrected over {judged} judged candidates; power 80 %" in said) is (judged > 1)


def test_the_power_that_an_estimated_deviation_leaves_of_the_promise_is_said() -> None:
    record = noisy(3)
    said = noise_sentence(gain_noise(record.trials), summarise(record.trials))
    share = re.search(r"if that standard deviation is the true one, (\d+) % on average over what it may be", said)
    assert share and 50 < int(share[1]) < 80
    assert re.search(r"and [\d,]+ seeds where it is at the upper end", said)


def test_too_many_seeds_are_said_to_be_too_many_and_unknown_noise_to_be_unknown() -> None:
    wide = noisy(2, scatter=3.0)
    assert "takes more than 10,000 seeds" in noise_sentence(gain_noise(wide.trials), summarise(wide.trials))
    one = example.record(example.frame(example.baseline(0), example.candidate("aaaa", [0.05])))
    said = noise_sentence(gain_noise(one.trials), summarise(one.trials))
    assert "is not known here" in said and "seeds where" not in said
