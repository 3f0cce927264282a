"""The end is reckoned from the pace of finished trainings; the examples can be done in the head."""

from __future__ import annotations

import pytest

from harness.search.work import Work
from harness.terminal.expected_end import ExpectedEnd
from tests.report.example import NAN, baseline, candidate, failed, frame, record
from tests.terminal.consoles import step, work


def after_one(
    clock: list[float], left: Work, *, epochs: int = 3, took: float = 30.0, timed: bool = False
) -> ExpectedEnd:
    """A training of 30 s and 3 epochs has finished, `took` seconds after it began."""
    end = ExpectedEnd()
    end.begin(0)
    end.progress(step(1, 1, 3), 0)
    clock[0] += took
    end.plan(left)
    rows = frame(baseline(0)).assign(latency_ms_p50=10.0 if timed else NAN)
    end.finished(record(rows), 0)
    return end


def test_nothing_is_expected_before_a_training_has_finished(clock: list[float]) -> None:
    end = ExpectedEnd()
    end.plan(work(10, 30))
    end.begin(0)
    assert end.left is None and str(end) == "" and end.trainings == 10


def test_every_epoch_takes_as_long_as_those_before(clock: list[float]) -> None:
    assert after_one(clock, work(10, 30)).left == pytest.approx(300)  # 10 s an epoch


def test_longer_trainings_take_longer(clock: list[float]) -> None:
    assert after_one(clock, work(10, 90)).left == pytest.approx(900)


def test_trainings_side_by_side_share_the_time(clock: list[float]) -> None:
    assert after_one(clock, work(10, 30, workers=2)).left == pytest.approx(150)
    assert after_one(clock, work(1, 3, workers=2)).left == pytest.approx(30)  # one is not shared


def test_measuring_latency_counts_for_those_that_are_measured(clock: list[float]) -> None:
    end = after_one(clock, work(10, 30, timed=4), took=75, timed=True)  # 45 s beside the training
    assert end.left == pytest.approx(300 + 4 * 45)


def test_loading_counts_for_every_training(clock: list[float]) -> None:
    assert after_one(clock, work(10, 30), took=35).left == pytest.approx(10 * (30 + 5))


def test_what_runs_already_has_so_much_less_to_go(clock: list[float]) -> None:
    end = ExpectedEnd()
    end.begin(1)
    clock[0] += 10
    end.begin(0)
    end.progress(step(1, 1, 3), 0)
    clock[0] += 30
    end.plan(work(1, 3))
    end.finished(record(frame(baseline(0), candidate("aaaaaaaa", [NAN]))), 0)
    assert end.left == 0  # it has run for 40 s


def test_the_time_passes_between_trainings(clock: list[float]) -> None:
    end = after_one(clock, work(10, 30))
    clock[0] += 100
    assert end.left == pytest.approx(200)
    clock[0] += 1000
    assert end.left == 0


def test_no_training_starts_after_the_deadline(clock: list[float]) -> None:
    deadline = clock[0] + 30 + 50
    assert after_one(clock, work(10, 30, deadline=deadline)).left == pytest.approx(50 + 30)  # the last one is finished


def test_failures_say_nothing_of_the_pace(clock: list[float]) -> None:
    end = ExpectedEnd()
    end.begin(0)
    end.progress(step(1, 1, 3), 0)
    end.plan(work(10, 30))
    end.finished(record(frame([failed("aaaaaaaa", 0)])), 0)
    assert end.left is None
