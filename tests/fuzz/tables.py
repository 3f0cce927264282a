"""Folders of studies whose tables were written by somebody else."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from harness.record.tables import DESIGN, PER_CLASS, SURROUNDINGS, TRIALS, design, read_study, surroundings
from harness.report import closing
from harness.report.write import trials_parquet
from tests.fuzz.documents import mutated
from tests.fuzz.loaders import Fuzzed
from tests.fuzz.studies import plain_json
from tests.report import example
from tests.report.ablated import ablation

RECORDS = (example.record(example.winning().trials, choices=example.choices(3)), ablation())

PER_CLASSES = ("trial,cat\n0,0.5\n",) * 15 + ("", "trial\n", "cat\n0.5\n", "trial,cat\nx,y\n", "\0")


@cache
def _trials(number: int) -> bytes:
    return trials_parquet(RECORDS[number].trials)


CASES = st.integers(0, len(RECORDS) - 1).flatmap(
    lambda number: st.fixed_dictionaries({
        "record": st.just(number),
        "surroundings": mutated(surroundings(RECORDS[number]), ("../x", "neck.P4")).map(plain_json),
        "design": mutated(design(RECORDS[number]), ("../x", "neck.P4")).map(plain_json),
        "per_class": st.sampled_from(PER_CLASSES),
    })
)  # fmt: skip


def _run(case: dict[str, Any], folder: Path) -> object:
    (folder / TRIALS).write_bytes(_trials(case["record"]))
    (folder / SURROUNDINGS).write_text(json.dumps(case["surroundings"]))
    (folder / DESIGN).write_text(json.dumps(case["design"]))
    (folder / PER_CLASS).write_text(case["per_class"])
    return closing(read_study(folder))


TABLES = Fuzzed(CASES, _run, 20)
