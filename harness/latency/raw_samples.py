"""The time of every single pass behind a latency, as a table and as a Parquet file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.common.atomic import whole
from harness.latency.latency import Latency
from harness.record.own_files import MADE_BY

# Key of the Parquet schema's metadata under which the figures and conditions lie, as JSON.
METADATA_KEY = b"clo_nas_latency"


def to_frame(latency: Latency) -> pd.DataFrame:
    """Tabulate all passes in the order of measuring, warm-up not included.

    Returns:
        `round` (from 0), `position` within the round (0 to 3), `model` (candidate or baseline: the one at
        positions 0 and 3, the other at 1 and 2) and `latency_ms` of a whole batch.
    """
    rounds = latency.rounds
    candidate, baseline = (each.samples.reshape(rounds, 2) for each in (latency.candidate, latency.baseline))
    first = latency.candidate_first[:, None]
    times = np.empty((rounds, 4))
    times[:, [0, 3]] = np.where(first, candidate, baseline)
    times[:, [1, 2]] = np.where(first, baseline, candidate)
    is_candidate = first == np.array([True, False, False, True])
    return pd.DataFrame(
        {
            "round": np.repeat(np.arange(rounds), 4),
            "position": np.tile(np.arange(4), rounds),
            "model": np.where(is_candidate, "candidate", "baseline").ravel(),
            "latency_ms": times.ravel(),
        }
    )


def write_parquet(latency: Latency, path: Path, **about: Any) -> None:
    """Write `to_frame`, with the figures and conditions in the schema's metadata. A reader never sees half a file.

    Args:
        latency: What was measured.
        path: File to write; its folder is made.
        about: More for the metadata, such as the models' names.
    """
    table = pa.Table.from_pandas(to_frame(latency), preserve_index=False)
    described = json.dumps({"about": MADE_BY, **about, **latency.to_dict()}).encode()
    with whole(path) as part:
        pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), METADATA_KEY: described}), part)
