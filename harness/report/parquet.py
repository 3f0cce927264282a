"""The table of trainings for programs: typed, versioned, every column described inside the file."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.data_dictionary import TRIALS, TRIALS_SCHEMA_VERSION
from harness.study_tables import VERSION_KEY

_METADATA = {VERSION_KEY: str(TRIALS_SCHEMA_VERSION), "made_by": "clo-nas", "described_in": "docs/data-dictionary.md"}
_WHOLE = {"macs", "flops", "params"}
"""Counts that are floats in memory, where some are missing."""
_TIMES = {"started", "finished"}


def trials_parquet(table: pd.DataFrame) -> bytes:
    """A Parquet file of the rows and columns of trials.csv.

    Args:
        table: The trainings, typed as `StudyRecord.trials`; its columns' order is the file's.
    """
    schema = pa.schema([_field(str(name), table[name]) for name in table], metadata=_METADATA)
    arrays = [_array(table[field.name], field.type) for field in schema]
    out = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), out)
    return out.getvalue()


def _field(name: str, values: pd.Series[Any]) -> pa.Field:
    about = TRIALS[name]
    return pa.field(name, _kind(name, values), metadata={"description": about.about, "unit": about.unit})


def _kind(name: str, values: pd.Series[Any]) -> pa.DataType:
    if name in _TIMES:
        return pa.timestamp("us", tz="UTC")
    if name in _WHOLE:
        return pa.int64()
    return {"i": pa.int64(), "f": pa.float64(), "b": pa.bool_()}.get(values.dtype.kind, pa.string())


def _array(values: pd.Series[Any], kind: pa.DataType) -> pa.Array:
    """The values; what was not measured is null."""
    if pa.types.is_timestamp(kind):
        values = pd.to_datetime(values, format="ISO8601", utc=True, errors="coerce")
    elif pa.types.is_integer(kind):
        values = values.astype("float64").round().astype("Int64")
    return pa.Array.from_pandas(values, type=kind)
