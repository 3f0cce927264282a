"""What a report rests on is kept in the folder of whoever trains: influences in each row, matches, curves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.analysis.new_images import Target
from harness.analysis.statistics import summarise
from harness.jobs.trial import CURVES, MATCHES
from harness.record.data_dictionary import TRIALS
from harness.training.curve import curve_path
from harness.training.image_matches import matches_path, read_matches
from tests.search.pretended_search import Killed, Search


def kept(search: Search) -> set[str]:
    return {path.name for path in (search.weights.parent / MATCHES).glob("*")}


def judging(search: Search) -> set[str]:
    rows = search.rows[(search.rows.state == "complete") & ~search.rows.selected_on]
    keys = zip(rows.architecture, rows.epochs, rows.base_seed, rows.seed, strict=True)
    return {matches_path(Path(), *key).name for key in keys}


def test_the_trainings_that_judge_leave_their_matches_wherever_the_search_ends(search: Search) -> None:
    search.trainings.then = {4: Killed(), 7: KeyboardInterrupt()}
    for end in (Killed, KeyboardInterrupt):
        with pytest.raises(end):
            search()
        assert kept(search) == judging(search)
    search()
    assert kept(search) == judging(search) != set()
    complete = search.rows[search.rows.state == "complete"]
    for _, row in complete.iterrows():
        path = curve_path(search.weights.parent / CURVES, row.architecture, row.epochs, row.base_seed, row.seed)
        assert pd.read_parquet(path).ultralytics_map50_95.tolist() == [row.map50_95]
    assert len([*(search.weights.parent / CURVES).iterdir()]) == len(complete)
    assert {*complete} <= {*TRIALS}  # nothing of a curve travels into the rows
    for name in kept(search):
        assert read_matches(search.weights.parent / MATCHES / name).names == ["1.jpg"]


def test_a_kill_between_the_file_and_the_row_costs_the_running_training_alone(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("harness.storage.study.SearchStudy.end", _dies_after(6))
        with pytest.raises(Killed):
            search()
    asked = len(search.trainings.asked)
    search()
    assert len(search.trainings.asked) == 9 + 1 and asked == 6
    assert kept(search) == judging(search)


def _dies_after(ends: int) -> object:
    from harness.storage.study import SearchStudy

    original, seen = SearchStudy.end, [0]

    def end(*arguments: object, **options: object) -> None:
        seen[0] += 1
        if seen[0] == ends:
            raise Killed
        original(*arguments, **options)  # type: ignore[arg-type]

    return end


def test_every_row_has_its_influences_and_the_summary_speaks_of_new_images(search: Search) -> None:
    search()
    complete = search.rows[search.rows.state == "complete"]
    values = [np.array(text.split(), dtype=float) for text in complete.image_influence]
    assert {len(each) for each in values} == {3}
    summary = summarise(search.rows)
    has_interval = summary.gain_high_these_images.notna() & (summary.index != "baseline")
    assert has_interval.any()
    assert set(summary[has_interval].gain_target) == {Target.NEW_IMAGES}
