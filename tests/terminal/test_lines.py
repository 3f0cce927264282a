"""Logs get a line an event; `--quiet` gets nothing."""

from __future__ import annotations

from harness.jobs.progress import Observer, Step
from harness.terminal.lines import Lines, Quiet
from tests.report.example import baseline, candidate, failed, frame, record, row, winning
from tests.terminal.consoles import SPACE, plain, step, work, written


def tell_everything(watch: Observer) -> None:
    watch.phase("baseline")
    for done in range(100):
        watch.progress(step(done, 100))
    watch.space(SPACE)
    watch.note("pretrained baseline: yolov5n")
    watch.finished(winning(), 0)


def test_logs_get_one_line_an_event(clock: list[float]) -> None:
    console = plain(width=40)  # lines are not broken, however narrow
    tell_everything(Lines(console))
    lines = written(console).splitlines()
    assert len(lines) == 4
    assert all(line.startswith("[0:00] ") for line in lines)


def test_a_training_without_a_control_has_no_gain_to_tell() -> None:
    console = plain()
    Lines(console).finished(record(frame([row("aaaaaaaa", 0, map50_95=0.5)])), 0)
    assert "aaaaaaaa seed 0: mAP50-95 0.5000, 30 s" in written(console)


def test_a_finished_training_is_told_with_its_figures() -> None:
    console = plain()
    Lines(console).finished(record(frame(baseline(0), candidate("aaaaaaaa", [0.02], ratio=1.25))), 1)
    assert "aaaaaaaa seed 0: mAP50-95 0.5150, gain +0.0200, 30 s, latency ×1.25" in written(console)


def test_the_lines_of_a_training_begin_alike_so_that_those_of_others_may_stand_between() -> None:
    console = plain()
    lines = Lines(console)
    lines.begin(1, "candidate 1 of 2: a")
    lines.begin(2, "candidate 2 of 2: b")
    lines.finished(record(frame(baseline(0), candidate("aaaaaaaa", [0.02]), [failed("b", 0)])), 1)
    assert [line.split("] ")[1][:3] for line in written(console).splitlines()] == ["#1 ", "#2 ", "#1 "]


def test_a_later_seed_has_no_latency_to_tell() -> None:
    console = plain()
    later = row("aaaaaaaa", 1, 0.02, latency_ratio=float("nan"))
    Lines(console).finished(record(frame(baseline(0, 1), [later])), 2)
    assert "aaaaaaaa seed 1: mAP50-95 0.5210, gain +0.0200, 30 s\n" in written(console)


def test_the_training_that_ended_is_told_whichever_came_last() -> None:
    console = plain()
    shown = record(frame(candidate("aaaaaaaa", [0.02]), baseline(0)))
    Lines(console).finished(shown, 1)
    assert written(console).splitlines()[0].startswith("[") and "#1 baseline seed 0" in written(console)


def test_a_failed_training_is_told_with_its_reason() -> None:
    console = plain()
    Lines(console).finished(record(frame(baseline(0), [failed("aaaaaaaa", 0, reason="loss is nan [x]")])), 1)
    assert "aaaaaaaa seed 0: failed: loss is nan [x]" in written(console)


def test_quiet_says_nothing() -> None:
    console = plain()
    with Quiet(console) as watch:
        tell_everything(watch)
    assert written(console) == ""


def test_the_expected_end_is_told_with_a_training(clock: list[float]) -> None:
    console = plain()
    lines = Lines(console)
    lines.begin(0, "baseline")
    lines.progress(step(40, 40, epochs=3), 0)
    clock[0] += 30
    lines.plan(work(trainings=4, epochs=12))
    lines.finished(winning(), 0)
    assert written(console).splitlines()[-1].endswith(", 30 s, latency ×1.00; about 2 min left, ends 14:02")


def test_the_last_training_leaves_nothing_to_expect(clock: list[float]) -> None:
    console = plain()
    lines = Lines(console)
    lines.begin(0, "baseline")
    lines.progress(step(40, 40, epochs=3), 0)
    lines.plan(work(trainings=0, epochs=0))
    lines.finished(winning(), 0)
    assert written(console).splitlines()[-1].endswith(", 30 s, latency ×1.00")


def test_what_a_phase_consists_of_and_what_is_waited_for_is_a_line_each_time_it_begins() -> None:
    console = plain()
    lines = Lines(console)
    for done, doing in enumerate(
        ["timing blocks", "timing blocks", "waiting for another measurement", "timing blocks"]
    ):
        lines.progress(Step(doing, done, 4))
    lines.progress(Step("waiting for trainings to pause", 0, 1), 3)
    lines.progress(Step("latency", 0, 1), 3)
    lines.progress(step(1, 10), 3)
    said = [line.split("] ")[1] for line in written(console).splitlines()]
    assert said == [
        "timing blocks",
        "waiting for another measurement",
        "timing blocks",
        "#3 waiting for trainings to pause",
    ]
