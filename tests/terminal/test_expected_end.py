"""The end is reckoned from the pace of finished trainings; the examples can be done in the head."""

from __future__ import annotations

import pytest

from harness.jobs.progress import Work
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


def after(clock: list[float], seconds: list[float], left: Work) -> ExpectedEnd:
    """Trainings of 3 epochs have ended one after the other, which took so long."""
    end = ExpectedEnd()
    end.plan(left)
    for trial, took in enumerate(seconds):
        end.begin(trial)
        end.progress(step(1, 1, 3), trial)
        clock[0] += took
        rows = frame(baseline(0)).assign(train_seconds=took, latency_ms_p50=NAN, trial=trial)
        end.finished(record(rows), trial)
    return end


@pytest.mark.parametrize(("before", "since"), [(30.0, 120.0), (120.0, 30.0)])
def test_a_machine_that_became_slower_or_faster_is_followed_within_three_trainings(
    clock: list[float], before: float, since: float
) -> None:
    end = after(clock, [before] * 20 + [since] * 3, work(10, 30))
    assert end.left == pytest.approx(10 * since, rel=0.4)
    end = after(clock, [before] * 20 + [since] * 6, work(10, 30))
    assert end.left == pytest.approx(10 * since, rel=0.06)


def test_one_long_training_among_many_moves_the_end_for_a_while_only(clock: list[float]) -> None:
    assert after(clock, [30.0] * 5 + [60.0] + [30.0] * 4, work(10, 30)).left == pytest.approx(300, rel=0.07)


def test_trainings_side_by_side_count_alike(clock: list[float]) -> None:
    """Of four at once, a slow one that ends last is no news of the machine."""
    left = after(clock, [30.0] * 7 + [60.0], work(8, 24, workers=4)).left
    assert left == pytest.approx(8 * 30 / 4, rel=0.25)


def test_a_training_that_is_late_saves_no_more_than_one_takes(clock: list[float]) -> None:
    """It has run for ten times as long as one takes; the nine after it still take as long as they do."""
    end = ExpectedEnd()
    end.begin(1)
    clock[0] += 270
    end.begin(0)
    end.progress(step(1, 1, 3), 0)
    clock[0] += 30
    end.plan(work(10, 30))
    end.finished(record(frame(baseline(0)).assign(latency_ms_p50=NAN)), 0)
    assert end.left == pytest.approx(9 * 30)
