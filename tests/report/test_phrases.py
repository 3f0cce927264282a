from __future__ import annotations

import dataclasses
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.analysis.analysis import analyse
from harness.analysis.power import df_of_a_seed, growing_df, seeds_needed
from harness.analysis.statistics import gain_noise, summarise
from harness.record.study import StudyRecord
from harness.report.answer import answer
from harness.report.notes import unknown_images, unknowns
from harness.report.phrases import image_sentence, noise_sentence, not_drawn, on
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
        assert (f"in four of five studies with {judged} judged candidates" in said) is (judged > 1)


def test_how_many_seeds_the_upper_end_of_the_deviation_takes_is_said() -> None:
    record = noisy(3)
    said = noise_sentence(gain_noise(record.trials), summarise(record.trials))
    cautious = re.search(r"([\d,]+) seeds if the noise is as large as its interval allows", said)
    assert cautious and int(cautious[1].replace(",", "")) > seeds_said(record)


def test_too_many_seeds_are_said_to_be_too_many_and_unknown_noise_to_be_unknown() -> None:
    wide = noisy(2, scatter=3.0)
    assert "takes more than 10,000 seeds" in noise_sentence(gain_noise(wide.trials), summarise(wide.trials))
    one = example.record(example.frame(example.baseline(0), example.candidate("aaaa", [0.05])))
    said = noise_sentence(gain_noise(one.trials), summarise(one.trials))
    assert "is not known here" in said and "seeds if" not in said


def with_influence(record: StudyRecord, sd: float) -> StudyRecord:
    """A study that kept what 100 images contribute, the same under each seed, and by which a gain scatters so much."""
    rng = np.random.default_rng(0)
    names = record.trials["architecture"]
    texts = {name: " ".join(f"{each:.5g}" for each in rng.normal(0, sd / 2**0.5 / 10, 100)) for name in names.unique()}
    return replace(record, trials=record.trials.assign(image_influence=names.map(texts)))


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ([], ""),
        (["new images"], " on new images like these"),
        (["new images", "these images"], " on these images"),
        (["these images"], " on these images"),
    ],
)
def test_several_speak_of_no_more_than_the_least_of_them(targets: list[str], said: str) -> None:
    assert on(targets) == said


def answered(record: StudyRecord) -> Any:
    return answer(analyse(record))


def test_the_headline_names_the_target() -> None:
    record = example.winning()
    assert "beat the baseline on these images at 95 % confidence" in answered(record).headline
    kept = with_influence(record, 0.0001)
    assert "beat the baseline on new images like these at 95 % confidence" in answered(kept).headline


def test_images_that_drown_a_gain_take_the_verdict_and_are_said() -> None:
    said = answered(with_influence(example.winning(), 0.1))
    assert "is shown to beat the baseline on new images like these" in said.headline and said.headline.startswith(
        "None"
    )
    assert said.images in said.remarks and said.images


def test_the_sentence_on_images_has_their_number_and_their_deviation() -> None:
    record = with_influence(example.winning(), 0.01)
    said = image_sentence(summarise(record.trials), 3, 800)
    assert said.startswith("800 other images like these would move a gain by a standard deviation of 0.0")
    assert "too short" in image_sentence(summarise(record.trials), 3, 59) and "too short" not in said
    assert image_sentence(summarise(example.winning().trials), 3) == ""


def test_what_a_study_did_not_keep_is_what_it_cannot_say() -> None:
    record = example.winning()
    assert unknown_images(record) in unknowns(record)
    assert unknown_images(with_influence(record, 0.01)) == ""
    half = with_influence(record, 0.01)
    half.trials.loc[half.trials.index[half.trials["state"] == "complete"][-1], "image_influence"] = ""
    assert "did not keep" in unknown_images(half)
