"""What a search knows of latency where the machine was too busy to tell."""

from __future__ import annotations

import numpy as np
import pytest

from harness.cost.space_cost import AdditiveCost
from harness.latency.survey import Measurements, Survey
from harness.record.settings import Objective
from harness.search import informed as module
from harness.search.informed import known_cost
from harness.search.setting import Setting
from tests.search.pretended_search import Notes


def test_a_table_that_cannot_tell_its_error_within_its_limit_gives_way_to_macs(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    cost = AdditiveCost.of_base(setting.base, setting.sites, classes=setting.classes, imgsz=64)
    limits: list[float] = []

    def measured(survey: Survey, *_: object) -> Measurements:
        limits.append(survey.limit_s)
        return Measurements()

    monkeypatch.setattr(module, "_measured", measured)
    monkeypatch.setattr(module, "_FEWEST", 1)
    observer = Notes()
    known = known_cost(Objective.LATENCY, setting, cost, control_ms=10.0, observer=observer)
    assert limits == [24 * setting.settings.latency_seconds]
    assert known.of(np.zeros((1, len(setting.space.sites)), dtype=np.int64)) == pytest.approx(10.0)
    assert known.relative_error == 0.3
    [note] = observer.notes
    assert note.startswith("latency is estimated from MACs alone, to 30%: within ")
