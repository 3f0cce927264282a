"""People see what runs, how far it is and the table so far; logs get a line an event; `--quiet` gets nothing."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console, RenderableType

from harness.architecture import BASELINE
from harness.search.observer import Observer
from harness.terminal import Lines, LiveView, Quiet, observer, seconds, space_line, trials_table
from tests.report.example import NAN, baseline, candidate, failed, frame, record, row, winning

SPACE = {
    "name": "tiny", "size": 1234, "macs_min": 101e6, "macs_median": 120e6, "macs_max": 190e6, "macs_base": 100e6,
    "params_min": 1.81e6, "params_median": 2e6, "params_max": 2.6e6, "params_base": 1.8e6,
}  # fmt: skip


def plain(width: int = 160) -> Console:
    return Console(file=io.StringIO(), width=width, color_system=None)


def text(renderable: RenderableType, width: int = 160) -> str:
    console = plain(width)
    console.print(renderable)
    return written(console)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time stands at `clock[0]`."""
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


# --- The live view --------------------------------------------------------------------------------


def test_the_view_shows_something_before_anything_has_happened(clock: list[float]) -> None:
    said = text(LiveView(plain(), "clo search · x").render())
    assert "clo search · x" in said
    assert "starting" in said


def test_phase_progress_and_time_left_are_in_view(clock: list[float]) -> None:
    view = LiveView(plain(), "clo search · x")
    clock[0] += 60
    view.phase("candidate 2 of 10: neck.P4 block")
    view.progress(0, 40)
    clock[0] += 30
    view.progress(10, 40)
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
    view.progress(10, 40, 3)
    view.progress(7, 8, 4)
    said = text(view.render())
    assert [said.index(part) for part in ("candidate 3: a", "10/40", "candidate 4: b", "7/8")] == sorted(
        said.index(part) for part in ("candidate 3: a", "10/40", "candidate 4: b", "7/8")
    )
    assert "counting" not in said
    view.finished(winning(), 3)
    said = text(view.render())
    assert "candidate 3: a" not in said and "candidate 4: b" in said
    view.phase("writing the report")
    assert "candidate 4: b" not in text(view.render())


def test_a_new_phase_begins_without_progress(clock: list[float]) -> None:
    view = LiveView(plain(), "x")
    view.progress(10, 40)
    view.phase("writing the report")
    said = text(view.render())
    assert "10/40" not in said
    assert "left" not in said


def test_the_time_left_counts_from_the_first_step_of_the_same_kind(clock: list[float]) -> None:
    view = LiveView(plain(), "x")
    view.progress(0, 1)  # measuring latency
    clock[0] += 500
    view.progress(0, 4)  # training
    clock[0] += 10
    view.progress(2, 4)
    assert "about 0:10 left" in text(view.render())


def test_no_time_is_promised_before_the_first_step(clock: list[float]) -> None:
    view = LiveView(plain(), "x")
    view.progress(0, 40)
    assert "0/40" in text(view.render())
    assert "left" not in text(view.render())


def test_space_notes_and_table_stay_in_view(clock: list[float]) -> None:
    view = LiveView(plain(), "x")
    view.space(SPACE)
    view.note("common base: yolov5n, mAP50-95 0.512")
    view.finished(winning(), 0)
    said = text(view.render())
    assert "space tiny: 1,234 candidates" in said
    assert "common base: yolov5n, mAP50-95 0.512" in said
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


# --- The table ------------------------------------------------------------------------------------


def test_the_baseline_leads_and_candidates_follow_by_gain() -> None:
    lines = text(trials_table(winning())).splitlines()
    names = [line.split()[0] for line in lines[1:]]
    assert names[:4] == [BASELINE, "3fa9c1d2", "77e0b1aa", "9b8c7d6e"]


def test_a_candidate_is_shown_by_its_means() -> None:
    shown = record(frame(baseline(0, 1), candidate("aaaaaaaa", [0.02, 0.01], ratio=1.25, macs=108e6)))
    base, mine = text(trials_table(shown)).splitlines()[1:]
    assert base.split()[:6] == [BASELINE, "3", "2", "0.4980", "×1.00", "100.0"]  # no gain of its own
    assert mine.split()[:7] == ["aaaaaaaa", "3", "2", "0.5130", "+0.0150", "×1.25", "108.0"]
    assert "neck.P3" in mine


def test_a_candidate_is_shown_by_its_longest_trainings() -> None:
    short, long = (candidate("aaaaaaaa", gains, ratio=1.25) for gains in ([0.02], [0.01, 0.03]))
    long = [each | {"epochs": 12, "latency_ratio": NAN} for each in long]
    mine = text(trials_table(record(frame(baseline(0, 1), short, long)))).splitlines()[2]
    assert mine.split()[:6] == ["aaaaaaaa", "12", "2", "0.5180", "+0.0200", "×1.25"]


def test_failures_stand_below_with_their_reason() -> None:
    last = text(trials_table(winning())).splitlines()[-1]
    assert "f0f1f2f3" in last and "out_of_memory" in last and "9.1 GB asked for, 4 GB free" in last


def test_trainings_under_way_are_no_failures() -> None:
    running = row("aaaaaaaa", 0, state="interrupted", finished="")
    assert "interrupted" not in text(trials_table(record(frame(baseline(0), [running]))))


def test_a_study_that_has_only_begun_has_an_empty_table() -> None:
    assert len(text(trials_table(record(frame([])))).splitlines()) == 1


def test_the_table_fits_a_terminal_however_many_candidates_there_are() -> None:
    many = record(frame(baseline(0), *(candidate(f"{n:08x}", [0.001 * n]) for n in range(40))))
    assert len(text(trials_table(many)).splitlines()) < 20


def test_the_table_fits_a_narrow_terminal() -> None:
    lines = text(trials_table(winning()), width=80).splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("3fa9c1d2") for line in lines)


# --- Lines ----------------------------------------------------------------------------------------


def tell_everything(watch: Observer) -> None:
    watch.phase("baseline")
    for step in range(100):
        watch.progress(step, 100)
    watch.space(SPACE)
    watch.note("common base: yolov5n")
    watch.finished(winning(), 0)


def test_logs_get_one_line_an_event(clock: list[float]) -> None:
    console = plain(width=40)  # lines are not broken, however narrow
    tell_everything(Lines(console))
    lines = written(console).splitlines()
    assert len(lines) == 4
    assert all(line.startswith("[0:00] ") for line in lines)


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


# --- Who watches ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quiet", "machine", "terminal_is_there", "expected"),
    [
        (False, False, True, LiveView),
        (False, False, False, Lines),
        (False, True, True, Lines),
        (True, False, True, Quiet),
        (True, True, False, Quiet),
    ],
)
def test_the_watcher_suits_where_the_output_goes(
    quiet: bool, machine: bool, terminal_is_there: bool, expected: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal_is_there, raising=False)
    monkeypatch.setattr(Console, "is_terminal", property(lambda _: terminal_is_there))
    assert type(observer("x", quiet=quiet, machine=machine)) is expected


def test_beside_json_peoples_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    observer("x", quiet=False, machine=True).phase("baseline")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "[0:00] baseline\n"


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0:00"), (59.9, "0:59"), (60, "1:00"), (187, "3:07"), (6000, "100:00")]
)
def test_times_are_minutes_and_seconds(value: float, shown: str) -> None:
    assert seconds(value) == shown


def test_the_space_is_told_in_one_line() -> None:
    assert space_line(SPACE) == (
        "space tiny: 1,234 candidates; MACs 101.0 … 120.0 … 190.0 M (base 100.0); "
        "parameters 1.81 … 2.00 … 2.60 M (base 1.80)  [min … median … max]"
    )


@pytest.mark.parametrize(
    ("feasible", "share", "said"),
    [
        (12, 0.5, "1,234 candidates, 12 within the bounds; MACs"),
        (None, 0.0312, "1,234 candidates, about 3.1 % within the bounds; MACs"),
        (None, 0.0, "1,234 candidates, hardly any within the bounds; MACs"),
    ],
)
def test_the_space_says_how_much_of_it_is_within_the_bounds(feasible: int | None, share: float, said: str) -> None:
    assert said in space_line(SPACE | {"feasible": feasible, "feasible_share": share})
