"""Whom some seeds taught and others did not is trained longer, the baseline as long, under seeds that chose nobody."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.analysis.statistics import Verdict, summarise
from harness.architecture import BASELINE
from harness.jobs.trial import Job, Measured
from harness.record.settings import SearchSettings
from harness.record.state import State
from harness.record.study import trials_of
from harness.search.promotion import LONGER, extension
from tests.cli.pretended import Trainings
from tests.search.pretended_search import Killed, Search, draw, trained

PLAIN: dict[str, Any] = {"rungs": None, "trials": 2, "epochs": 2, "seeds": 5, "finalists": 1}


def learns(job: Job) -> Measured:
    """A block breaks through under two short seeds of five, and always in a long training; the baseline never."""
    found, training = trained(job), job.training
    epochs = training.trained_epochs + training.schedule.epochs
    is_baseline = len(training.config["head"]) == len(training.base_config["head"])
    learnt = not is_baseline and (training.seed in {0, 3} or epochs >= 8)
    value = 0.25 + 0.6 * learnt + draw(training.seed, epochs, is_baseline) / 500
    return replace(found, accuracy=replace(found.accuracy, map50_95=value, image_influence=()))


@pytest.fixture
def blinking(search: Search, monkeypatch: pytest.MonkeyPatch) -> Search:
    search.trainings = Trainings(learns)
    monkeypatch.setattr("harness.jobs.place.Children", search.trainings)
    return search


def test_it_is_judged_on_fresh_seeds_and_then_called_a_gain(blinking: Search) -> None:
    said = blinking(**PLAIN)
    assert any(
        "learnt under some seeds and not under others; trained for 8 epochs under fresh seeds" in s for s in said
    )
    long = blinking.rows[blinking.rows.epochs == LONGER * 2]
    (name,) = set(long.architecture) - {BASELINE}
    assert set(long.seed) == {5, 6, 7, 8} and not long.selected_on.any()
    assert long.groupby("architecture").size().to_dict() == {BASELINE: 4, name: 4}
    summary = summarise(blinking.rows, 1)
    assert summary.loc[name, "verdict"] == Verdict.GAIN and summary.loc[name, "epochs"] == 8
    before = blinking.complete
    assert blinking(**PLAIN) and blinking.complete.equals(before)  # nothing is trained twice


def test_a_search_that_is_killed_while_it_extends_goes_on(blinking: Search) -> None:
    blinking.trainings.then[14] = Killed()
    with pytest.raises(Killed):
        blinking(**PLAIN)
    blinking(**PLAIN)
    longer = blinking.rows[(blinking.rows.epochs == 8) & (blinking.rows.state == State.COMPLETE)]
    assert len(longer) == 8 and not longer.duplicated(["architecture", "seed"]).any()


def test_where_every_seed_agrees_nothing_is_trained_longer(search: Search) -> None:
    search(**PLAIN)
    assert set(search.rows.epochs) == {2}


def rows(gains: np.ndarray, baseline: np.ndarray) -> pd.DataFrame:
    """Five seeds of a baseline and of finalists, gains (finalists, seeds)."""
    listed = [(BASELINE, seed, value, 0.0) for seed, value in enumerate(baseline)]
    listed += [
        (f"c{at}", seed, baseline[seed] + gain, gain) for at, own in enumerate(gains) for seed, gain in enumerate(own)
    ]
    table = pd.DataFrame(listed, columns=["architecture", "seed", "map50_95", "gain_map50_95"])
    return table.assign(epochs=3, state="complete")


@pytest.mark.parametrize("sd", [0.001, 0.01])
def test_on_null_studies_hardly_any_is_extended(sd: float) -> None:
    """Planted truth: three finalists that do nothing; the search as it comes, by the function that decides."""
    rng, settings = np.random.default_rng(0), SearchSettings()
    extended = sum(
        bool(extension(settings, rows(rng.normal(0, sd, (3, 5)), rng.normal(0.45, sd, 5)))) for _ in range(500)
    )
    assert extended <= 3


def test_the_baseline_is_extended_equally_under_seeds_beyond_the_search_s() -> None:
    gains = np.array([[0.6, 0.0, 0.61, 0.0, 0.6], [0.0, 0.001, 0.0, 0.001, 0.0]])
    keys = extension(SearchSettings(seeds=5), rows(gains, np.full(5, 0.25) + np.arange(5) / 1000))
    assert [key.identity for key in keys[:2]] == [BASELINE, "c0"]
    assert {key.seed for key in keys} == {5, 6, 7, 8} and {key.epochs for key in keys} == {12}


def test_a_study_whose_total_was_said_is_not_extended(blinking: Search) -> None:
    said = blinking(**PLAIN | {"trials": None, "budget": "20 trainings"})
    assert set(blinking.rows.epochs) == {2} and not any("learnt under some" in each for each in said)


@pytest.mark.parametrize(("effect", "least", "most"), [(0.0, 0, 0.05), (0.3, 0.95, 1)])
def test_who_was_extended_is_called_a_gain_as_often_as_it_is_one(effect: float, least: float, most: float) -> None:
    """Planted truth: seeds part after the short training, by accident or not; the long ones have one effect, and noise.

    Whom the search extends is decided by `extension`, what is called a gain by `summarise`, as in a search.
    """
    rng, settings, called, extended = np.random.default_rng(2), SearchSettings(seeds=5), 0, 0
    for _ in range(200):
        short = np.vstack(
            [rng.normal(0, 0.003, (2, 5)), rng.permutation([0.6, 0.6, 0.0, 0.0, 0.0]) + rng.normal(0, 0.003, 5)]
        )
        table = rows(short, rng.normal(0.25, 0.003, 5)).assign(selected_on=lambda found: found.seed == 0)
        keys = extension(settings, table)
        extended += bool(keys)
        base = {key.seed: rng.normal(0.25, 0.003) for key in keys}
        gains = {key: 0.0 if key.identity == BASELINE else effect + rng.normal(0, 0.004) for key in keys}
        long = [(key.identity, key.seed, base[key.seed] + gain, gain, key.epochs) for key, gain in gains.items()]
        names = ["architecture", "seed", "map50_95", "gain_map50_95", "epochs"]
        later = pd.DataFrame(long, columns=names).assign(state="complete", selected_on=False)
        kept: Any = pd.concat([table, later]).assign(trial=0, evaluator="E").to_dict("records")
        summary = summarise(trials_of(kept))
        called += int(summary["verdict"].to_dict()["c2"] == Verdict.GAIN)
        assert summary.loc["c2", "epochs"] == LONGER * 3
    assert extended == 200
    assert least <= called / extended <= most
