"""An ablation's record: a model, two arms made of it and a placebo, under three seeds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.architecture import BASELINE
from harness.record.study import StudyRecord
from tests.report.example import NAN, frame, record, row

GAINS = {
    "aaaaaaaa": [0.020, 0.021, 0.022],  # the model
    "bbbbbbbb": [0.018, 0.022, 0.021],  # without its first block
    "cccccccc": [-0.010, -0.009, -0.012],  # with a linear gate
    "wide-params-01234567": [0.001, 0.000, -0.001],
}
BASELINE_MAP = [0.495, 0.501, 0.492]
ARMS: list[dict[str, Any]] = [
    {"identity": BASELINE, "name": BASELINE, "role": "baseline", "model": "", "params": 2_000_000, "macs": 1e8},
    {"identity": "aaaaaaaa", "name": "yolov5n-clo-head", "role": "model", "params": 2_400_000, "macs": 1.2e8},
    {"identity": "bbbbbbbb", "name": "yolov5n-clo-head: without neck.P3", "role": "without a block"},
    {"identity": "cccccccc", "name": "yolov5n-clo-head: gate none", "role": "one factor changed"},
    {
        "identity": "wide-params-01234567", "name": "yolov5n-clo-head: base widened to its params",
        "role": "the base, widened",
    },
]  # fmt: skip
SHARED = {"model": "yolov5n-clo-head", "starts_as_base": True, "params": 2_300_000, "macs": 1.15e8}


def ablation(gains: dict[str, list[float]] | None = None, **values: Any) -> StudyRecord:
    """The study; `gains` replaces those above."""
    gains = GAINS if gains is None else gains
    rows = [[row(BASELINE, seed, map50_95=BASELINE_MAP[seed], base_seed=0) for seed in range(3)]]
    rows += [
        [row(name, seed, gain, map50_95=BASELINE_MAP[seed] + gain, base_seed=0) for seed, gain in enumerate(three)]
        for name, three in gains.items()
    ]
    described = {
        "file": {"from_scratch": False, "bases": [0], "name": "ablation"},
        "arms": [{**SHARED, **arm} for arm in ARMS],
        "left_out": ["'yolov5n-clo-head: kv_pool 4' is left out: it computes what 'yolov5n-clo-head' does"],
    }
    return record(frame(*rows), **{"name": "ablation", "ablation": described, **values})


def of_search(architecture: str, **values: Any) -> StudyRecord:
    """The same ablation, of a search's architecture; its name is what a person called it."""
    found = ablation(**values)
    trials = found.trials.assign(architecture=found.trials["architecture"].replace("aaaaaaaa", architecture))
    arms = [{**arm, "identity": architecture if arm["identity"] == "aaaaaaaa" else arm["identity"]} for arm in ARMS]
    assert found.ablation is not None
    described = found.ablation | {"arms": [{**SHARED, **arm} for arm in arms]}
    return replace(found, trials=trials, ablation=described)


__all__ = ["ARMS", "BASELINE_MAP", "GAINS", "NAN", "ablation", "of_search"]
