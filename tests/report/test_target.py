"""A report says whether it speaks of new images or of these, and what the choice of images alone moves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.analysis.analysis import analyse
from harness.analysis.statistics import gain_noise, summarise
from harness.record.study import StudyRecord
from harness.report.answer import answer
from harness.report.notes import unknown_images, unknowns
from harness.report.phrases import image_sentence, on, seeds_to_decide
from tests.report import example


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
    assert any("The choice of the validation images moves a gain" in remark for remark in said.remarks)


def test_the_sentence_on_images_has_their_number_and_their_deviation() -> None:
    record = with_influence(example.winning(), 0.01)
    said = image_sentence(summarise(record.trials), 3, 800)
    assert said.startswith("The choice of the 800 validation images moves a gain by a standard deviation of 0.0")
    assert "too short" in image_sentence(summarise(record.trials), 3, 59) and "too short" not in said
    assert image_sentence(summarise(example.winning().trials), 3) == ""


def test_no_number_of_seeds_is_named_for_a_gain_that_the_images_hide() -> None:
    record = example.none_gains()
    summary = summarise(record.trials)
    assert "would tell it from zero" in seeds_to_decide(summary, gain_noise(record.trials))
    hidden = with_influence(record, 0.1)
    assert seeds_to_decide(summarise(hidden.trials), gain_noise(hidden.trials)) == ""


def test_what_a_study_did_not_keep_is_what_it_cannot_say() -> None:
    record = example.winning()
    assert unknown_images(record) in unknowns(record)
    assert unknown_images(with_influence(record, 0.01)) == ""
    half = with_influence(record, 0.01)
    half.trials.loc[half.trials.index[half.trials["state"] == "complete"][-1], "image_influence"] = ""
    assert "did not keep" in unknown_images(half)
