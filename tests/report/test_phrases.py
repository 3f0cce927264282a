from __future__ import annotations

import dataclasses

from harness.analysis.statistics import summarise
from harness.records import StudyRecord
from harness.report.phrases import not_drawn
from tests.report import example


def said(record: StudyRecord) -> str:
    return not_drawn(record, summarise(record.trials))


def test_what_is_not_in_the_picture_is_counted() -> None:
    record = example.winning()
    assert said(record) == "Not drawn: 1 failed."
    proposals = dataclasses.replace(record, proposals={"infeasible": 7})
    assert said(proposals) == "Not drawn: 1 failed, 7 proposed beyond a bound on cost and never trained."
    assert said(example.none_gains()) == ""


def test_one_without_the_baselines_training_is_counted_apart() -> None:
    alone = example.record(example.frame(example.baseline(0), [example.row("aaaa", 1, map50_95=0.5)]))
    assert said(alone) == "Not drawn: 1 without a control to compare with."


def test_what_is_beyond_a_bound_is_drawn_as_a_cross() -> None:
    record = example.winning()
    bounded = dataclasses.replace(record, settings=record.settings | {"constraints": {"max_latency_ratio": 1.4}})
    assert said(bounded).endswith("1 beyond a bound of the search is drawn as a cross and is on no front.")
