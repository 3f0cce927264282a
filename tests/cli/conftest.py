"""A command line in an empty folder, with data, a study that has begun, and trainings that are pretended."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NoReturn

import cv2
import numpy as np
import pytest

from harness.architecture import BASELINE, Architecture
from harness.cli import studies as cli_studies
from harness.cost.counts import model_cost
from harness.detectors import load_model
from harness.jobs import executors
from harness.record.settings import SearchSettings
from harness.record.state import State
from harness.search import loop as search_loop
from harness.search import run as search_run
from harness.storage.opening import open_study
from tests.cli.command_line import Clo, run_here, space_with, write
from tests.cli.pretended import Trainings, measured


@pytest.fixture
def clo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Clo:
    """Run a command in this process, in an empty folder; whatever would train fails the test."""

    def no_training(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a training was started")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(search_run, "start_server", lambda: None)
    monkeypatch.setattr(executors.Children, "start", no_training)

    return partial(run_here, monkeypatch, capsys)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two images to train on and two to validate on."""
    for split in ("train", "val"):
        images, labels = tmp_path / "data" / "images" / split, tmp_path / "data" / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for number in range(2):
            cv2.imwrite(str(images / f"{number}.png"), np.full((32, 32, 3), 90 * number + (split == "val"), np.uint8))
            (labels / f"{number}.txt").write_text("0 0.5 0.5 0.25 0.25\n")
    content = {"path": str(tmp_path / "data"), "train": "images/train", "val": "images/val", "names": ["spot"]}
    return write(tmp_path / "data" / "data.yaml", content)


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """The database of study `x`, whose baseline is trained, in the folder where commands run."""
    settings = SearchSettings(study="x", results=tmp_path / "results")
    with open_study(settings, {}) as study:
        trial = study.optuna.ask()
        row = {"seed": 0, "epochs": 3, "selected_on": True}
        study.begin(trial, Architecture(base="yolov5n"), BASELINE, "nc: 10\n", row)
        costs = {"latency_ms_p50": 9.0, "latency_ratio": 1.0, "macs": 100, "flops": 200, "params": 30}
        study.end(trial, State.COMPLETE, {"map50_95": 0.5, "map50": 0.7, **costs})
        return settings.folder / "study.db"


@pytest.fixture
def trainings(clo: Clo, monkeypatch: pytest.MonkeyPatch) -> Trainings:
    pretended = Trainings(measured)
    monkeypatch.setattr("harness.jobs.place.Children", pretended)
    write = cli_studies.write  # a search's report has tests of its own; `clo report` says where it goes, if only None
    monkeypatch.setattr(cli_studies, "write", lambda *given, **how: write(*given, **how) if len(given) > 2 else None)
    monkeypatch.setattr(search_loop, "write_parquet", lambda *_, **__: None)  # and so have the samples
    cost = model_cost(load_model("yolov5n"), 64)
    monkeypatch.setattr(search_loop, "model_cost", lambda *_: cost)  # so has the cost, and counting takes a while
    return pretended


@pytest.fixture
def small_search(tmp_path: Path, data: Path) -> tuple[str, ...]:
    """Two candidates, the better one and the baseline with two seeds."""
    space = space_with(tmp_path, kernel=[3, 5, 7])
    budget = ("--trials", "2", "--seeds", "2", "--finalists", "1", "--imgsz", "64", "--workers", "1")
    return ("search", "--study", "y", "--data", str(data), "--space", space, "--from-scratch", *budget)
