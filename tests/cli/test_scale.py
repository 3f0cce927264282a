"""What a pick is held against, beside a search, their trainings pretended: random members and the next size."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.ablation import run as ablation_run
from harness.cli import studies as cli_studies
from harness.storage.records import load_record
from tests.cli.command_line import Clo
from tests.cli.pretended import Trainings

WRITE = cli_studies.write


@pytest.fixture(autouse=True)
def _as_shipped(trainings: Trainings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports are written; no server is started."""
    monkeypatch.setattr(cli_studies, "write", WRITE)
    monkeypatch.setattr(ablation_run, "start_server", lambda: None)


def test_random_members_are_trained_once_under_evaluation_seeds_and_shown(
    clo: Clo, trainings: Trainings, small_search: tuple[str, ...]
) -> None:
    asked = (*small_search, "--quiet", "--random", "2", "--seeds", "3")
    assert clo(*asked).code == 0
    record = load_record("sqlite:///results/y-random/study.db", "y-random")
    rows = record.trials[record.trials.state == "complete"]
    assert sorted(rows.seed.unique()) == [1, 2]  # seed 0 picked the finalists
    assert rows.architecture.nunique() == 3 and "baseline" in set(rows.architecture)
    assert record.ablation is not None and record.ablation.file.drawn_from == "y"
    text = Path("results/y/report.md").read_text(encoding="utf-8")
    assert "## Against random members of the space" in text and "2 random members" in text
    count = len(trainings.asked)
    assert clo(*asked).code == 0
    assert len(trainings.asked) == count  # nothing is trained twice
    assert clo(*small_search, "--quiet", "--random", "3", "--seeds", "3").code == 0
    assert len(trainings.asked) == count + 2  # the third member under two seeds; the first two are the same
    assert "3 random members" in Path("results/y/report.md").read_text(encoding="utf-8")


def test_ctrl_c_among_the_members_leaves_the_searchs_report(
    clo: Clo, trainings: Trainings, small_search: tuple[str, ...]
) -> None:
    trainings.then = {8: KeyboardInterrupt()}  # the search has 7 of 3 seeds
    asked = (*small_search, "--quiet", "--random", "3", "--seeds", "3")
    assert clo(*asked).code == 130
    assert Path("results/y/report.html").is_file()
    trainings.then = {}
    assert clo(*asked).code == 0
    assert "3 random members" in Path("results/y/report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--random", "1"), "--random 1: one member tells nothing of the others; give 2 or more"),
        (("--random", "3", "--seeds", "1", "--finalists", "0"), "--seeds 1 leaves no seed that picked nobody"),
        (("--random", "3", "--rungs", "1x1,2x2"), "--random: not with --rungs"),
    ],
)
def test_what_cannot_be_drawn_is_said_before_anything_is_trained(
    clo: Clo, trainings: Trainings, small_search: tuple[str, ...], options: tuple[str, ...], message: str
) -> None:
    said = clo(*small_search, *options)
    assert said.code == 2 and message in said.err
    assert trainings.asked == []


def test_more_members_than_the_space_has_leave_the_search_whole(
    clo: Clo, trainings: Trainings, small_search: tuple[str, ...]
) -> None:
    said = clo(*small_search, "--quiet", "--random", "9", "--seeds", "3")
    assert said.code == 2 and "--random 9: the space has no 9 different members" in said.err
    assert Path("results/y/report.html").is_file()


def test_the_next_size_is_trained_once_and_shown_beside_the_pick(
    clo: Clo, trainings: Trainings, small_search: tuple[str, ...]
) -> None:
    asked = (*small_search, "--quiet", "--ruler", "--seeds", "3")
    assert clo(*asked).code == 0
    record = load_record("sqlite:///results/y-ruler/study.db", "y-ruler")
    rows = record.trials[record.trials.state == "complete"]
    assert sorted(rows.seed) == [1, 2] and record.settings.base == "yolov5s"
    own = load_record("sqlite:///results/y/study.db", "y").trials
    assert rows.params.iloc[0] > 3 * own[own.architecture == "baseline"].params.iloc[0]
    assert rows.latency_ratio.notna().any() and (rows.latency_ratio.dropna() != 1).all()  # beside the search's base
    text = Path("results/y/report.md").read_text(encoding="utf-8")
    assert "## Against the next size of the family" in text and "yolov5s gains" in text
    assert Path("results/y-ruler/report.html").is_file()
    count = len(trainings.asked)
    assert clo(*asked).code == 0
    assert len(trainings.asked) == count


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--base", "yolov5x", "--seeds", "3"), "base yolov5x: no larger size of its family is known"),
        (("--seeds", "2"), "--ruler: --seeds 2 leaves one seed that picked nobody; give 3 or more"),
        (("--rungs", "1x1,2x2"), "--ruler: not with --rungs"),
    ],
)
def test_what_has_no_next_size_is_said_before_anything_is_trained(
    clo: Clo, trainings: Trainings, small_search: tuple[str, ...], options: tuple[str, ...], message: str
) -> None:
    said = clo(*small_search, "--ruler", *options)
    assert said.code == 2 and message in said.err
    assert trainings.asked == []
