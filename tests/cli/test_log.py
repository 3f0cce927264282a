"""`--log` sends a study on when all else is done: what cannot be sent is said first, and costs nothing."""

from __future__ import annotations

import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from harness.common.resources import reference_folder
from tests.cli.command_line import Clo, sentence
from tests.cli.pretended import Trainings

MISSING = 'error: --log mlflow needs mlflow, which is not installed: pip install "clo-nas[mlflow]"\n'


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, Path, Path]]:
    """What was sent: tracker, study, folder of the report, the study's own; and which files were there then."""
    found: list[tuple[str, str, Path, Path]] = []

    def send(tracker: str, record: object, folder: Path, source: Path | None) -> str:
        found.append((tracker, record.name, folder, source or folder))  # type: ignore[attr-defined]
        return f"{tracker}: sent"

    monkeypatch.setattr("harness.cli.studies.require", list)
    monkeypatch.setattr("harness.cli.studies.send", send)
    return found


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """An MLflow that is installed and cannot be imported."""
    module = ModuleType("mlflow")
    module.__spec__ = ModuleSpec("mlflow", None, origin="here")
    monkeypatch.setitem(sys.modules, "mlflow", module)


def test_a_tracker_that_is_not_there_ends_a_search_before_it_begins(
    clo: Clo, monkeypatch: pytest.MonkeyPatch, small_search: tuple[str, ...]
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert sentence(clo(*small_search, "--log", "mlflow")) == MISSING
    assert not Path("results").exists()


def test_a_tracker_that_is_not_there_ends_a_report_before_it_is_written(
    clo: Clo, monkeypatch: pytest.MonkeyPatch, begun: Path
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert sentence(clo("report", "x", "--log", "mlflow")) == MISSING
    assert not (begun.parent / "report.html").exists()
    assert "--log neptune: choose one of mlflow, tensorboard, wandb, fiftyone" in sentence(
        clo("report", "x", "--log", "neptune")
    )


def test_a_search_is_sent_when_it_is_done(
    clo: Clo, trainings: Trainings, small_search: tuple[str, ...], sent: list[tuple[str, str, Path, Path]]
) -> None:
    said = clo(*small_search, "--quiet", "--log", "tensorboard", "--log", "mlflow", "--log", "mlflow")
    folder = Path("results/y")
    assert said.code == 0 and said.out.endswith("mlflow: sent\ntensorboard: sent\n")
    assert sent == [(name, "y", folder, folder) for name in ("mlflow", "tensorboard")]


def test_a_report_is_sent_from_where_it_was_written(
    clo: Clo, begun: Path, sent: list[tuple[str, str, Path, Path]], tmp_path: Path
) -> None:
    said = clo("report", "x", "--log", "wandb", "--json")
    assert json.loads(said.out)["study"] == "x" and said.err == "wandb: sent\n"
    assert clo("report", "x", "--log", "wandb", "--out", "there").out.endswith("wandb: sent\n")
    assert [(folder, own) for _, _, folder, own in sent] == [
        (Path("results/x"), Path("results/x")), (Path("there"), Path("results/x")),
    ]  # fmt: skip


def test_what_does_not_reach_its_tracker_is_kept(clo: Clo, begun: Path, broken: None) -> None:
    said = clo("report", "x", "--log", "mlflow")
    assert said.code == 2 and said.err.count("\n") == 1
    assert said.err.startswith("error: --log mlflow: cannot import name 'MlflowClient' from 'mlflow'")
    assert "the study is whole in results/x, and `clo report` with --log mlflow sends it again" in said.err
    assert "Only the baseline has been measured." in said.out
    assert (begun.parent / "report.html").is_file()


def test_what_is_no_study_with_a_report_is_not_sent(clo: Clo, begun: Path, sent: list[object]) -> None:
    only = "--log sends one study, whose report is written"
    assert only in sentence(clo("report", "x", "--terminal", "--log", "wandb"))
    assert only in sentence(clo("report", "x", "x", "--log", "wandb"))
    ledger = str(reference_folder() / "reproduce")
    assert "--log sends a study alone" in sentence(clo("report", ledger, "--log", "wandb", "--out", "there"))
    assert sent == [] and not Path("there").exists()
