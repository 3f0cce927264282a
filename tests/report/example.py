"""Builds study records for the report's tests, row by row, with the columns of the documented schema."""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.architecture import BASELINE, Architecture, Kind, LocalGroup, Placement
from harness.record.form import AblationRecord, StudySettings
from harness.record.study import COLUMNS, Choices, StudyRecord
from harness.record.surroundings import Environment, SpaceSummary

NAN = float("nan")
BASELINE_MAP = {0: 0.495, 1: 0.501, 2: 0.492, 3: 0.500}
"""mAP50-95 of the baseline by seed; its mean is 0.497."""


def row(architecture: str, seed: int, gain: float = NAN, **values: Any) -> dict[str, Any]:
    """One row of trials; a row without a gain is a baseline row or has failed."""
    defaults = {
        "trial": 0,
        "architecture": architecture,
        "seed": seed,
        "base_seed": 0,
        "epochs": 3,
        "state": "complete",
        "reason": "",
        "map50_95": BASELINE_MAP[seed] + (0.0 if architecture == BASELINE else gain),
        "map50": BASELINE_MAP[seed] + 0.2 + (0.0 if architecture == BASELINE else gain),
        "evaluator": "Ultralytics 8.4.190's validator",
        "image_influence": "",
        "ultralytics_map50_95": NAN,
        "coco_map50_95": NAN,
        "coco_map50": NAN,
        "coco_map_small": NAN,
        "coco_map_medium": NAN,
        "coco_map_large": NAN,
        "gain_map50_95": 0.0 if architecture == BASELINE else gain,
        "latency_ms_p50": 10.0,
        "latency_ms_p90": 11.0,
        "latency_ratio": 1.0,
        "latency_ratio_low": 1.0,
        "latency_ratio_high": 1.0,
        "macs": 100e6,
        "flops": 200e6,
        "params": 1.8e6,
        "train_seconds": 30.0,
        "started": "2026-01-01T00:00:00Z",
        "finished": "2026-01-01T00:00:30Z",
        "selected_on": seed == 0,
        "transferred": "",
    }
    return defaults | values


def failed(architecture: str, seed: int, state: str = "failed", reason: str = "loss is NaN") -> dict[str, Any]:
    """A row without an accuracy."""
    nothing: dict[str, Any] = {"map50_95": NAN, "map50": NAN, "evaluator": "", "gain_map50_95": NAN}
    return row(architecture, seed, state=state, reason=reason, **nothing)


def baseline(*seeds: int) -> list[dict[str, Any]]:
    """The baseline's rows."""
    return [row(BASELINE, seed) for seed in seeds]


def candidate(architecture: str, gains: list[float], ratio: float = 1.1, macs: float = 108e6) -> list[dict[str, Any]]:
    """A candidate's rows, the first gain being that of the seed that picks."""
    costs = {
        "latency_ratio": ratio,
        "latency_ratio_low": ratio - 0.02,
        "latency_ratio_high": ratio + 0.02,
        "latency_ms_p50": 10 * ratio,
        "macs": macs,
        "params": 1.8e6 * macs / 100e6,
    }
    return [row(architecture, seed, gain, **costs) for seed, gain in enumerate(gains)]


def frame(*groups: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows as `StudyRecord.trials`, numbered in order."""
    rows = [each | {"trial": number} for number, each in enumerate(each for group in groups for each in group)]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def record(trials: pd.DataFrame, **values: Any) -> StudyRecord:
    """A study of these trials; `values` replace fields."""
    sites = ["neck.P3", "neck.P4", "neck.P5", "backbone.P4"]
    names = [name for name in trials["architecture"].unique() if name != BASELINE]
    architectures = {BASELINE: Architecture(base="yolov5n")} | {
        name: Architecture(
            base="yolov5n",
            placements=(
                Placement(
                    site=sites[number % 4],
                    kind=list(Kind)[number % 2],
                    groups=(LocalGroup(3 + 2 * (number % 3), 2),),
                    global_heads=2,
                    kv_pool=2,
                    ffn_ratio=2,
                ),
            ),
        )
        for number, name in enumerate(names)
    }
    defaults: dict[str, Any] = {
        "name": "demo",
        "trials": trials,
        "architectures": architectures,
        "settings": {
            "base": "yolov5n", "data": "digits", "imgsz": 128, "epochs": 3, "batch": 32,
            "learning_rate": 1e-3, "device": "cpu", "seed": 0, "seeds": 4,
            "trials": len(names), "space": "default", "from_scratch": False,
            "objectives": ["map50_95", "latency"],
        },
        "environment": {
            "command": "clo search --trials 12 --study demo",
            "versions": {"torch": "2.13.0", "ultralytics": "8.4.190"},
            "device": "Example CPU, 2 cores", "threads": 2, "commit": "0123abc", "data_hash": "feed5eed",
        },
        "space": {
            "name": "default", "sites": sites, "max_blocks": 3, "size": 123456,
            "macs_min": 101e6, "macs_max": 190e6, "params_min": 1.81e6, "params_max": 2.6e6,
        },
        "proposals": {"duplicate": 3, "illegal": 1},
        "model_yamls": {name: f"# {name}\nnc: 10\n" for name in [BASELINE, *names]},
    }  # fmt: skip
    given = defaults | values
    if isinstance(given.get("ablation"), dict):
        given["ablation"] = AblationRecord.of(given["ablation"])
    for name, kind in (("settings", StudySettings), ("environment", Environment), ("space", SpaceSummary)):
        if isinstance(given[name], dict):
            given[name] = kind.of(given[name])
    return StudyRecord(**given)


def winning() -> StudyRecord:
    """Eleven candidates: two gain, one is judged in vain, six are screened, one loses, one fails too."""
    return record(
        frame(
            baseline(0, 1, 2, 3),
            candidate("3fa9c1d2", [0.021, 0.014, 0.011, 0.017], ratio=1.21, macs=108e6),
            candidate("77e0b1aa", [0.018, 0.012, 0.010, 0.011], ratio=1.06, macs=103e6),
            candidate("c41d9e02", [0.016, 0.001, -0.003, 0.004], ratio=1.09, macs=105e6),
            candidate("09ab33f1", [0.008], ratio=1.03, macs=102e6),
            candidate("1b2c3d4e", [0.004], ratio=1.15, macs=112e6),
            candidate("5f60718a", [-0.002], ratio=1.12, macs=109e6),
            candidate("9b8c7d6e", [0.010], ratio=1.31, macs=127e6),
            candidate("a0a1a2a3", [-0.021], ratio=1.18, macs=111e6),
            candidate("b0b1b2b3", [0.001], ratio=1.42, macs=133e6),
            candidate("d0d1d2d3", [0.006], ratio=1.25, macs=119e6),
            candidate("e0e1e2e3", [-0.004], ratio=1.07, macs=104e6),
            [failed("f0f1f2f3", 0, "out_of_memory", "9.1 GB asked for, 4 GB free")],
        )
    )


def none_gains() -> StudyRecord:
    """Three candidates judged, none of which beats the baseline."""
    return record(
        frame(
            baseline(0, 1, 2, 3),
            candidate("aaaaaaaa", [0.012, 0.004, -0.003, 0.005], ratio=1.2),
            candidate("bbbbbbbb", [0.009, -0.006, 0.002, 0.001], ratio=1.1),
            candidate("cccccccc", [0.007, 0.003, -0.004, 0.000], ratio=1.05),
        )
    )


def choices(count: int, objectives: tuple[str, ...] = ("map50_95", "latency")) -> Choices:
    """Architectures of which every other has a block at neck.P4, with two kernels in turns.

    The block adds 0.02 to accuracy and 2 to every cost; the kernel does nothing; a little scatter is on both.
    """
    block = [number % 2 == 1 for number in range(count)]
    chosen = {
        "neck.P4:kind": ["block" if has else "none" for has in block],
        "neck.P4:kernel": [(3 + 2 * (number // 2 % 2)) if has else NAN for number, has in enumerate(block)],
    }
    scatter = [(number * 7 % 11 - 5) / 5000 for number in range(count)]
    told = {
        name: [
            (0.4 + 0.02 * has if name == "map50_95" else 10.0 + 2 * has) + each
            for has, each in zip(block, scatter, strict=True)
        ]
        for name in objectives
    }
    return Choices(
        chosen=pd.DataFrame(chosen, dtype=object),
        outcomes=pd.DataFrame(told),
        minimized={name: name != "map50_95" for name in objectives},
        levels={"neck.P4:kind": ("none", "block"), "neck.P4:kernel": (3, 5)},
    )
