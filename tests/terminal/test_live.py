"""People see what runs, how far it is, when it ends and what was found, in the lines that there are."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from harness.jobs.progress import Step
from harness.record.study import StudyRecord
from harness.terminal.live import LiveView
from tests.report import example
from tests.report.ablated import ablation
from tests.report.example import winning
from tests.terminal.consoles import SPACE, plain, step, text, work, written


def test_the_view_shows_something_before_anything_has_happened(clock: list[float]) -> None:
    said = text(LiveView(plain(), "clo search · x").render())
    assert "clo search · x" in said
    assert "starting" in said


def test_phase_progress_and_time_left_are_in_view(clock: list[float]) -> None:
    view = LiveView(plain(), "clo search · x")
    clock[0] += 60
    view.phase("candidate 2 of 10: neck.P4 block")
    view.progress(step(0, 40))
    clock[0] += 30
    view.progress(step(10, 40))
    said = text(view.render())
    assert "1:30" in said
    assert "▶ candidate 2 of 10: neck.P4 block" in said
    assert "10/40" in said
    assert "about 1:30 left" in said  # 30 s for 10 of 40


def test_every_training_has_a_line_and_a_bar_of_its_own_until_it_ends(clock: list[float]) -> None:
    view = LiveView(plain(), "x")
    view.phase("counting")
    view.begin(3, "candidate 3: a")
    view.begin(4, "candidate 4: b")
    view.progress(step(10, 40), 3)
    view.progress(step(7, 8), 4)
    said = text(view.render())
    assert [said.index(part) for part in ("candidate 3: a", "10/40", "candidate 4: b", "7/8")] == sorted(
        said.index(part) for part in ("candidate 3: a", "10/40", "candidate 4: b", "7/8")
    )
    assert "counting" not in said
    view.finished(winning(), 3)
    said = text(view.render())
    assert "candidate 3: a" not in said and "candidate 4: b" in said
    view.finished(winning(), 4)
    view.phase("writing the report")
    assert "candidate 4: b" not in text(view.render())


def test_a_phase_beside_a_training_leaves_it_in_view_and_takes_its_next_step(clock: list[float]) -> None:
    view = LiveView(plain(), "x")
    view.begin(1, "candidate 1: a")
    view.phase("estimating the latency of all architectures")
    view.progress(step(10, 40), 1)
    view.progress(step(3, 9))
    said = text(view.render())
    assert "candidate 1: a" in said and "10/40" in said
    assert "estimating the latency" in said and "3/9" in said


def test_a_word_that_comes_after_the_end_of_its_training_is_let_pass(clock: list[float]) -> None:
    view = LiveView(plain(), "x")
    view.begin(1, "candidate 1: a")
    view.finished(winning(), 1)
    view.progress(step(40, 40), 1)
    assert "candidate 1: a" not in text(view.render())


def test_what_a_phase_consists_of_and_what_is_waited_for_is_in_view(clock: list[float]) -> None:
    view = LiveView(plain(), "search")
    view.phase("estimating the latency")
    view.progress(Step("timing blocks", 128, 620))
    assert "128/620 timing blocks" in text(view.render())
    view.progress(Step("waiting for another search", 0, 0))
    assert "waiting for another search" in text(view.render())
    for trial in range(4):
        view.begin(trial, "candidate")
        view.progress(Step("waiting for trainings to pause", 0, 1), trial)
    assert "waiting for trainings to pause · candidate" in text(view.render())


def test_a_new_phase_begins_without_progress(clock: list[float]) -> None:
    view = LiveView(plain(), "x")
    view.progress(step(10, 40))
    view.phase("writing the report")
    said = text(view.render())
    assert "10/40" not in said
    assert "left" not in said


def test_the_time_left_counts_from_the_first_step_of_the_same_kind(clock: list[float]) -> None:
    view = LiveView(plain(), "x")
    view.progress(step(0, 1))  # measuring latency
    clock[0] += 500
    view.progress(step(0, 4))  # training
    clock[0] += 10
    view.progress(step(2, 4))
    assert "about 0:10 left" in text(view.render())


def test_a_training_that_goes_on_from_the_middle_is_not_taken_for_a_fast_one(clock: list[float]) -> None:
    view = LiveView(plain(), "x")
    view.progress(step(60, 100))
    clock[0] += 10
    view.progress(step(70, 100))
    assert "about 0:30 left" in text(view.render())


def test_no_time_is_promised_before_the_first_step(clock: list[float]) -> None:
    view = LiveView(plain(), "x")
    view.progress(step(0, 40))
    assert "0/40" in text(view.render())
    assert "left" not in text(view.render())


def test_space_notes_and_table_stay_in_view(clock: list[float]) -> None:
    view = LiveView(plain(), "x")
    view.space(SPACE)
    view.note("pretrained baseline: yolov5n, mAP50-95 0.512")
    view.finished(winning(), 0)
    said = text(view.render())
    assert "space tiny: 1,234 candidates" in said
    assert "pretrained baseline: yolov5n, mAP50-95 0.512" in said
    assert "3fa9c1d2" in said


def test_old_notes_make_room_for_new_ones(clock: list[float]) -> None:
    view = LiveView(plain(), "x")
    for number in range(20):
        view.note(f"note {number}.")
    said = text(view.render())
    assert "note 19." in said
    assert "note 0." not in said


def test_brackets_in_a_text_are_not_taken_for_markup(clock: list[float]) -> None:
    view = LiveView(plain(), "[bold]x[/nonsense]")
    view.phase("[red]p")
    view.note("[/]n")
    said = text(view.render())
    assert all(each in said for each in ("[bold]x[/nonsense]", "[red]p", "[/]n"))


def test_the_view_draws_itself_and_ends(clock: list[float]) -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    with LiveView(console, "clo search · x") as view:
        view.phase("baseline")
    assert "baseline" in written(console)


def test_a_trainings_epoch_is_in_view(clock: list[float]) -> None:
    view = LiveView(plain(), "x")
    view.begin(3, "a")
    view.progress(Step("latency", 0, 1), 3)
    assert "measuring latency" in text(view.render())
    view.progress(step(15, 40, epochs=3), 3)
    assert "epoch 2 of 3" in text(view.render())


def test_the_end_of_it_all_is_in_view_once_a_training_tells_the_pace(clock: list[float]) -> None:
    view = LiveView(plain(), "x")
    view.begin(0, "baseline")
    view.progress(step(40, 40, epochs=3), 0)
    clock[0] += 30  # as long as the example's row has trained
    view.plan(work(trainings=4, epochs=12))
    assert "4 trainings to finish\n" in text(view.render()).replace(" \n", "\n")
    view.finished(winning(), 0)
    assert "4 trainings to finish, about 2 min left, ends 14:02" in text(view.render())  # 14:00:30 and 120 s
    clock[0] += 60
    assert "about 1 min left, ends 14:02" in text(view.render())


def crowded(record: StudyRecord) -> LiveView:
    view = LiveView(plain(), "clo search · a name that is much longer than any terminal is wide " * 3)
    view.space(SPACE)
    for number in range(20):
        view.note(f"note {number}: " + "words " * 30)
    for trial in range(5):
        view.begin(100 + trial, "candidate 4 of 10: neck.P4 block and much more " * 5)
        view.progress(step(15, 40, epochs=3), 100 + trial)
    view.begin(0, "x")
    view.progress(step(40, 40, epochs=3), 0)
    view.plan(work(trainings=18, epochs=54))
    view.finished(record, 0)
    return view


def many() -> StudyRecord:
    """A front of thirty, and as many failures with a reason each."""
    rising = [
        example.candidate(f"{n:08x}", [0.001 * n], ratio=1 + 0.01 * n, macs=(100 + n) * 1e6) for n in range(1, 31)
    ]
    broken = [example.failed(f"f{n:07x}", 0, reason=f"reason {n}") for n in range(30)]
    return example.record(example.frame(example.baseline(0), *rising, broken))


def test_no_view_is_wider_or_higher_than_the_terminal(clock: list[float]) -> None:
    for record in (many(), ablation(), winning(), example.record(example.frame(example.baseline(0)))):
        view = crowded(record)
        for width, height in ((80, 24), (60, 16), (40, 10), (200, 12)):
            lines = text(view.render(), width, height).splitlines()
            assert max(map(len, lines)) <= width
            assert len([line for line in lines if line.strip()]) <= height


def test_what_matters_least_goes_first(clock: list[float]) -> None:
    said = text(crowded(many()).render(), 80, 24)
    assert "note 19" not in said and "space tiny" not in said
    kept = ("clo search", "18 trainings", "epoch 2 of 3", "front", "0000001e", "reason 0", "29 more")
    assert all(each in said for each in kept), said
    assert "note 19" in text(crowded(many()).render(), 80, 120)


def test_an_ablation_shows_its_arms_in_place_of_a_front(clock: list[float]) -> None:
    view = LiveView(plain(), "clo ablate")
    view.finished(ablation(), 0)
    said = text(view.render(), 80, 24)
    assert "without neck.P3" in said and "better" in said and "base widened to its params" in said


def test_nothing_is_reckoned_while_drawing(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    view = crowded(winning())
    for name in ("analyse",):
        monkeypatch.delattr(f"harness.terminal.front.{name}")
    assert "3fa9c1d2" in text(view.render())


def test_a_hostile_name_gives_the_terminal_no_orders(clock: list[float]) -> None:
    view = LiveView(plain(), "x\x1b[2J")
    view.phase("p\x1b]0;title\x07")
    view.note("n\x1b[1A")
    view.finished(example.record(example.frame([example.failed("aaaaaaaa", 0, reason="r\x1b[31m")])), 0)
    assert "\x1b" not in text(view.render()) and "\x07" not in text(view.render())
