"""The single rounds behind a latency, where their files lie beside the report: everything else is in storage."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from harness.study_form import SAFE_NAME

METADATA_KEY = b"clo_nas_latency"
"""Where `harness.measure.raw_samples` puts the figures: named again, since that imports torch."""
_PASSES = 2
"""Of each model in a round, in either order."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Rounds:
    """One architecture's measurement beside the baseline; the baseline's own is beside its copy.

    Attributes:
        ratios: Time of the two passes over that of the baseline's two, a round each, in the order of measuring.
        ratio: What was made of them.
        low: Lower end of its 95 % interval.
        high: Upper end.
    """

    ratios: NDArray[np.float64]
    ratio: float
    low: float
    high: float


Reader = Callable[[str], Rounds | None]
"""Architecture to its rounds; None where there are none to be read."""


def read_rounds(folder: Path, architecture: str) -> Rounds | None:
    """The rounds of `<architecture>.parquet`; None where there is no such file, or it is no measurement."""
    if not SAFE_NAME.fullmatch(architecture):
        return None
    try:
        table = pq.read_table(folder / f"{architecture}.parquet", columns=["round", "position", "model", "latency_ms"])
        figures = json.loads(table.schema.metadata[METADATA_KEY])
        passes = table.to_pandas().sort_values(["round", "position"])
        candidate, baseline = (
            passes.loc[passes["model"] == model, "latency_ms"].to_numpy(dtype=float).reshape(-1, _PASSES)
            for model in ("candidate", "baseline")
        )
        ratios = candidate.sum(axis=1) / baseline.sum(axis=1)
        low, high = map(float, figures["ratio_ci95"])
        ratio = float(figures["ratio"])
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        return None
    sound = len(ratios) and np.isfinite([*ratios, ratio, low, high]).all() and passes["latency_ms"].min() > 0
    return Rounds(ratios=ratios, ratio=ratio, low=low, high=high) if sound else None
