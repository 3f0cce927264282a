from __future__ import annotations

import pytest

from harness.record.study import StudyRecord
from harness.report import closing
from harness.report.search import search_content
from tests.report import example


@pytest.mark.parametrize(
    "record",
    [example.winning(), example.none_gains(), example.record(example.frame())],
    ids=["winners", "no winner", "nothing"],
)
def test_the_last_words_are_the_same_from_the_record_and_from_what_its_report_says(record: StudyRecord) -> None:
    assert closing(record, search_content(record)) == closing(record)


def test_scripts_read_how_many_finished_and_who_is_on_a_front() -> None:
    found = closing(example.winning())
    assert (found["study"], found["finished"], found["failed"]) == ("demo", 11, 1)
    assert found["picked"] == {
        "gain": pytest.approx(0.011), "ci95": found["picked"]["ci95"], "verdict": "gain", "seeds": 3
    }  # fmt: skip
    low, high = found["picked"]["ci95"]
    assert 0 < low < 0.011 < high and closing(example.none_gains())["picked"] is None
    assert set(found["front"]) == {"baseline", "3fa9c1d2", "77e0b1aa", "09ab33f1"}
