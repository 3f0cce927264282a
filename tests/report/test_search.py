"""The first screen says what a gain costs, what to type next, and nothing where there is nothing to say."""

from __future__ import annotations

import dataclasses
import re

import pandas as pd

from harness.record.surroundings import EFFECT_WAS_PLANTED, Control
from harness.report.page import Page
from harness.report.search import search_content
from tests.report import example


def test_the_price_stands_in_one_line_beside_the_gain() -> None:
    record = example.winning()
    slower = record.trials["train_seconds"].where(record.trials["architecture"] != "77e0b1aa", 45.0)
    larger = slower.where(record.trials["architecture"] != "77e0b1aa", 36.0) * 1e7
    trials = record.trials.assign(train_seconds=slower, memory_bytes=larger)
    page = search_content(dataclasses.replace(record, trials=trials)).page
    price = answers(page)["What does it cost?"]
    assert price.startswith("1.06× [1.04, 1.08] the latency, +3.0 % MACs (103 M), +3.0 % parameters (1.85 M, ")
    assert price.endswith("7.42 MB in float32), about 1.5× the time to train, about 1.2× the memory to train.")


def answers(page: Page) -> dict[str, str]:
    """What the first screen says to each question."""
    return {question: said for question, said, _ in page.asked}


def test_the_first_screen_answers_what_one_asks_next_and_says_where_there_is_more() -> None:
    page = search_content(example.winning()).page
    assert list(answers(page)) == [
        "What does it cost?", "On other seeds?", "Can the instrument be trusted?", "What is not known?",
    ]  # fmt: skip
    assert {key for _, _, key in page.asked} <= {section.key for section in page.sections}
    assert not set(answers(page).values()) & set(page.remarks)  # each is said once
    assert answers(page)["Can the instrument be trusted?"].endswith("not run on this machine.")
    limits = page["unknown"].sentences
    assert answers(page)["What is not known?"] == f"{limits[0]} {len(limits) - 1} further limits below."
    nothing = answers(search_content(example.none_gains()).page)
    assert "What does it cost?" not in nothing
    assert re.match(r"[0-9a-f]{8}: .*× .* the latency", nothing["What would the largest gain cost?"])


def test_the_first_screen_names_the_last_control() -> None:
    record = example.winning()
    control = Control(passed=False, when="2026-11-29T22:00:00+00:00")
    known = dataclasses.replace(record, environment=record.environment.model_copy(update={"control": control}))
    said = answers(search_content(known).page)["Can the instrument be trusted?"]
    assert said.endswith("(clo control): FAILED on 2026-11-29.")


def test_other_seeds_are_answered_by_yes_or_no() -> None:
    assert answers(search_content(example.winning()).page)["On other seeds?"].startswith("Yes: a gain on 3 seeds")
    assert answers(search_content(example.none_gains()).page)["On other seeds?"].startswith("No")


def test_a_control_says_that_it_is_one() -> None:
    record = example.winning()
    planted = record.environment.model_copy(update={"data_cautions": (EFFECT_WAS_PLANTED,)})
    page = search_content(dataclasses.replace(record, environment=planted)).page
    assert page.kind == "clo-nas control study" and page.following == ()
    assert answers(page)["Can the instrument be trusted?"].startswith("This study is its test")


def test_one_sentence_on_what_matters_has_no_heading_of_its_own() -> None:
    content = search_content(example.winning())
    assert content.page["all"].sentences == content.matters.said
    assert "matters" not in {section.key for section in content.page.sections}


def test_a_pick_is_followed_by_its_long_training_and_that_by_its_export() -> None:
    record = example.winning()
    ((what, command),) = search_content(record).page.following
    assert what == "Train on a full schedule, beside the baseline" and command.endswith("train demo 77e0b1aa")
    rows = [*example.baseline(0, 1), *example.candidate("77e0b1aa", [0.011, 0.012], 1.06)]
    longer = pd.concat([record.trials, example.frame([row | {"epochs": 24} for row in rows])], ignore_index=True)
    following = dict(search_content(dataclasses.replace(record, trials=longer)).page.following)
    assert list(following) == ["Export"]


def test_without_a_pick_the_next_command_is_what_is_missing() -> None:
    record = example.none_gains()
    assert dict(search_content(record).page.following) == {
        "See whether this instrument finds an effect here": f"{record.environment.program} control"
    }
    begun = dataclasses.replace(record, settings=record.settings | {"trials": 50})
    assert list(dict(search_content(begun).page.following)) == ["Finish this search"]
    checked = record.environment.model_copy(update={"control": Control(passed=True)})
    assert search_content(dataclasses.replace(record, environment=checked)).page.following == ()
