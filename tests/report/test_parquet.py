"""trials.parquet is trials.csv with types, and says itself what its columns are."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.record.data_dictionary import TRIALS
from harness.record.study import COLUMNS
from harness.report.write import trials_parquet
from tests.report import example

TYPES = {"int64": pa.int64(), "float64": pa.float64(), "str": pa.string(), "bool": pa.bool_()}
OTHERS = {
    "macs": pa.int64(), "flops": pa.int64(), "params": pa.int64(),
    "started": pa.timestamp("us", tz="UTC"), "finished": pa.timestamp("us", tz="UTC"),
}  # fmt: skip


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return pq.read_table(io.BytesIO(trials_parquet(example.winning().trials)))


def test_columns_have_the_types_of_the_record(table: pa.Table) -> None:
    assert {field.name: field.type for field in table.schema} == {
        name: OTHERS.get(name, TYPES[kind]) for name, kind in COLUMNS.items()
    }


def test_the_schema_has_a_version(table: pa.Table) -> None:
    assert table.schema.metadata[b"schema_version"] == b"1"


def test_every_column_says_what_it_is_and_in_which_unit(table: pa.Table) -> None:
    for field in table.schema:
        assert field.metadata == {
            b"description": TRIALS[field.name].about.encode(),
            b"unit": TRIALS[field.name].unit.encode(),
        }


def test_what_was_not_measured_is_null() -> None:
    running = example.failed("aaaaaaaa", 0) | {"finished": ""}
    [row] = pq.read_table(io.BytesIO(trials_parquet(example.frame([running | {"macs": example.NAN}])))).to_pylist()
    assert row["map50_95"] is None and row["finished"] is None and row["macs"] is None
    assert row["started"].isoformat() == "2026-01-01T00:00:00+00:00"
    assert row["evaluator"] == ""


def test_a_study_without_trainings_has_the_same_schema(table: pa.Table) -> None:
    empty = pq.read_table(io.BytesIO(trials_parquet(example.frame([]))))
    assert empty.num_rows == 0
    assert empty.schema.equals(table.schema, check_metadata=True)


def test_the_same_rows_are_the_same_bytes() -> None:
    assert trials_parquet(example.winning().trials) == trials_parquet(example.winning().trials)
