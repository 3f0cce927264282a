"""A search whose trainings are pretended: the whole loop, against a real storage.

A training writes a checkpoint and yields an accuracy that its model, seed and epochs decide.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.cost.space_cost import AdditiveCost
from harness.jobs.base import CommonBase
from harness.jobs.progress import Work
from harness.jobs.trial import Job, Measured
from harness.record.settings import search_settings
from harness.search import loop as search_loop
from harness.search.region import Region
from harness.search.setting import Setting
from harness.storage.opening import open_study
from harness.training.accuracy import Accuracy
from harness.training.curve import curve_of_steps
from harness.training.image_matches import ImageMatches
from tests.cli.pretended import Trainings

SHORT = {"rungs": "2x1, 6x2", "trials": 2}
"""Two candidates and the baseline, then one and the baseline: nine trainings, the last rung's from the fourth on."""

MATCHES = ImageMatches(
    matched=[np.ones((1, 10), bool)], confidence=[np.array([0.5])], predicted=[np.zeros(1)], target=[np.zeros(1)],
    names=["1.jpg"],
)  # fmt: skip


class Killed(BaseException):
    """The search dies without a chance to tidy up."""


class Notes:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.left: list[Work] = []

    def plan(self, work: Work) -> None:
        self.left.append(work)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def __getattr__(self, _name: str) -> Any:
        return lambda *_: None


def draw(*parts: object) -> float:
    """A number from 0 to 1 that the parts decide, but for how blocks start: bounds in tests rest on these numbers."""
    return zlib.crc32(json.dumps(parts).replace(', "residual"', "").encode()) / 2**32


def trained(job: Job) -> Measured:
    """Weights, if they are wanted, and an accuracy."""
    for each in (*job.before, job.training):
        assert each.start is None or each.start.is_file()
        if each.save_to:
            each.save_to.parent.mkdir(exist_ok=True)
            each.save_to.write_text(json.dumps([each.config, each.seed, each.trained_epochs]))
    training = job.training
    epochs = training.trained_epochs + training.schedule.epochs
    accuracy = 0.5 + epochs / 100 + draw(training.config) / 100 + draw(training.config, training.seed, epochs) / 500
    ratio = 1.0 + draw(training.config, "latency")
    timing: Any = SimpleNamespace(p50=9.0, p90=10.0)
    latency: Any = SimpleNamespace(candidate=timing, baseline=timing, ratio=ratio, ratio_ci95=(ratio, ratio))
    return Measured(
        accuracy=Accuracy(
            map50_95=accuracy,
            map50=0.7,
            evaluator="E",
            train_seconds=6.0,
            transferred="",
            image_influence=tuple(draw(training.config, training.seed, image) - 0.5 for image in range(3)),
            matches=MATCHES if training.keep_matches else None,
            curve=curve_of_steps([{"box_loss": 1.5}], earlier=0, steps_an_epoch=1, map50_95=accuracy),
        ),
        latency=latency if job.measure_latency else None,
        cpu_seconds=1.0,
    )


class Search:
    """Searches of one study, with trainings that are pretended."""

    def __init__(self, folder: Path, setting: Setting, patch: pytest.MonkeyPatch) -> None:
        self.trainings = Trainings(trained)
        self.weights = folder / "x" / "weights"
        self.region: Region | None = None
        self._folder, self._setting = folder, setting
        self._cost = AdditiveCost.of_base(setting.base, setting.sites, classes=setting.classes, imgsz=64)
        cost = SimpleNamespace(macs=1e6, flops=2e6, params=1e3)
        patch.setattr("harness.jobs.place.Children", self.trainings)
        for name, value in {
            "build": lambda *_: None, "model_cost": lambda *_: cost,
            "to_yaml": lambda *_: "nc: 10\n", "write_parquet": lambda *_, **__: None,
        }.items():  # fmt: skip
            patch.setattr(search_loop, name, value)

    def __call__(self, workers: int = 1, **options: Any) -> list[str]:
        """Run, or go on; what the search has said."""
        data = self._setting.settings.data
        settings = search_settings(study="x", results=self._folder, data=data, **SHORT | options)
        setting = replace(self._setting, settings=settings, workers=workers)
        observer = Notes()
        self.notes, self.left = observer.notes, observer.left
        with open_study(settings, {}) as study:
            study.optuna.set_user_attr("environment", {})
            study.optuna.set_user_attr("space", self.region.summary() if self.region else {})
            common = CommonBase(weights=None, origin="")
            try:
                search_loop.Loop(study, setting, common, self._cost, self.region, observer, float("inf")).run([])
            finally:
                self.rows = study.record().trials
                self.optuna = study.optuna
        return observer.notes

    @property
    def complete(self) -> pd.DataFrame:
        """What is to be compared between searches: all but times and numbers of trials."""
        rows = self.rows[self.rows.state == "complete"]
        columns = ["architecture", "epochs", "seed", "map50_95", "gain_map50_95", "selected_on", "latency_ratio"]
        return rows[columns].sort_values(columns[:3]).reset_index(drop=True)
