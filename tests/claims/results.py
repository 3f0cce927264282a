"""Results of `clo reproduce --preset` that were never measured: what each of several machines might send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.claims.pooled import RULE, Preset, Result, TrainedSeed, shipped
from harness.record.state import State

MODELS = ("yolov5n-clo-head", "yolov5n-clo-backbone-last")
ARMS = {
    "baseline": "baseline",
    **dict(zip(("head", "last"), MODELS, strict=True)),
    **{
        f"{short}-{size}": f"{model}: base widened to its {size}"
        for short, model in zip(("head", "last"), MODELS, strict=True)
        for size in ("params", "macs")
    },
}
"""Identity to name."""


def arm(identity: str, name: str) -> dict[str, Any]:
    role = "baseline" if identity == name else "the base, widened" if ":" in name else "model"
    model = "" if identity == name else name.partition(":")[0]
    return {"identity": identity, "name": name, "role": role, "model": model, "params": 2_500_000, "macs": 4e9}


def result(maps: Mapping[str, Sequence[float | None]], *, first_seed: int = 0, **changes: Any) -> Result:
    """What a machine measured.

    Args:
        maps: Identity of an arm to its mAP50-95 under each seed; None ended without one.
        first_seed: The others follow.
        changes: Of the fields.
    """
    trainings = [
        TrainedSeed(
            architecture=name,
            seed=first_seed + number,
            state=State.FAILED if value is None else State.COMPLETE,
            map50_95=value,
        )
        for name, values in maps.items()
        for number, value in enumerate(values)
    ]
    return Result.model_validate(
        {
            "schema_version": 1,
            "clo_nas": "0.1.0",
            "preset": Preset.VOC,
            "rule": RULE,
            "protocol": shipped(Preset.VOC).model_dump(),
            "data": {"fingerprint": "0" * 64, "train_objects": 40_058, "val_objects": 12_032},
            "machine": {"device": {"name": "NVIDIA X"}, "cpu": {}, "packages": {"torch": "2", "ultralytics": "8"}},
            "arms": [arm(*each) for each in ARMS.items()],
            "trainings": [each.model_dump() for each in trainings],
            **changes,
        }
    )


SD = 0.004
"""Standard deviation of a gain between seeds."""
BOUNDARY = {"head": 0.01, "last": 0.01, **dict.fromkeys(("head-params", "head-macs", "last-params", "last-macs"), -0.2)}
"""Exactly what is claimed over the baseline, far more over the placebos: where a false verdict is likeliest."""


def machine(
    rng: np.random.Generator, gains: Mapping[str, float], *, seeds: int = 3, between: float = 0.0, sd: float = SD
) -> Result:
    """A machine whose true gains differ from those planted with the standard deviation `between`."""
    level = 0.45 + rng.normal(0, 0.01) + rng.normal(0, 0.003, seeds)
    half = np.sqrt(0.5)  # a difference of two arms has twice the variance of one
    maps = {
        arm: level + gains.get(arm, 0.0) + rng.normal(0, between * half) + rng.normal(0, sd * half, seeds)
        for arm in ARMS
    }
    return result({arm: values.tolist() for arm, values in maps.items()})


def sent(path: Path, result: Result) -> Path:
    """A result as a file."""
    path.write_text(result.model_dump_json(), encoding="utf-8")
    return path
