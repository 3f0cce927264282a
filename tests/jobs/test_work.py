"""What a study lacks of its plan: the closed form of a ladder of two rungs."""

from __future__ import annotations

from typing import Any

from harness.architecture import BASELINE
from harness.jobs.progress import Work, work_left
from harness.record.settings import search_settings
from harness.search.promotion import plan_search
from tests.report.example import failed, frame, row

SETTINGS = search_settings(rungs="2x1, 6x2", trials=2)
"""Three trainings of 2 epochs; then of the baseline and one candidate 4 more, and another seed of 2 and 4 epochs."""


def left(*rows: dict[str, Any]) -> Work:
    planned = plan_search(SETTINGS, None, candidates=2)
    assert planned is not None
    return work_left(SETTINGS, planned, frame(list(rows)), workers=2, deadline=5.0)


def test_at_first_all_is_left() -> None:
    work = left()
    assert (work.trainings, work.epochs, work.timed) == (3 + 2 * 3, 3 * 2 + 2 * (4 + 6), 3)
    assert (work.workers, work.deadline) == (2, 5.0)


def test_a_training_takes_its_epochs_with_it() -> None:
    work = left(row(BASELINE, 0, epochs=2), row("aaaaaaaa", 0, 0.0, epochs=2))
    assert (work.trainings, work.epochs, work.timed) == (7, 22, 1)


def test_a_longer_training_takes_only_what_it_adds() -> None:
    work = left(row(BASELINE, 0, epochs=2), row(BASELINE, 0, epochs=6))
    assert (work.trainings, work.epochs) == (7, 26 - 2 - 4)


def test_failures_are_done_and_interruptions_are_not() -> None:
    assert left(failed("aaaaaaaa", 0) | {"epochs": 2}).trainings == 8
    assert left(failed("aaaaaaaa", 0, "interrupted") | {"epochs": 2}).trainings == 9


def test_trainings_that_the_search_did_not_ask_for_do_not_count() -> None:
    assert left(row("aaaaaaaa", 0, 0.0, epochs=100)).trainings == 9
