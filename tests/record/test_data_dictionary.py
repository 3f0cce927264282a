"""Every file that a study's folder has is described, and every column of it; the docs' page is what the code says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.latency.raw_samples import to_frame
from harness.record.data_dictionary import CONTRASTS, CURVE, FILES, FRONT, LATENCY_SAMPLES, TRIALS, Kind, page
from harness.report import write_report
from tests.report import example
from tests.report.ablated import ablation

PAGE = Path(__file__).parents[2] / "docs" / "data-dictionary.md"
BY_NAME = {file.name: file for file in FILES}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A search's and an ablation's, as reports leave them."""
    search, arms = tmp_path_factory.mktemp("search"), tmp_path_factory.mktemp("ablation")
    per_class = pd.DataFrame({"cat": [0.5]}, index=pd.Index([0], name="trial"))
    write_report(replace(example.winning(), choices=example.choices(40), per_class=per_class), search)
    write_report(ablation(), arms)
    return [search, arms]


def test_every_file_that_a_report_writes_is_described(folders: list[Path]) -> None:
    written = {path.name for folder in folders for path in folder.iterdir() if path.is_file()}
    assert written <= set(BY_NAME)
    assert {"trials.parquet", "pareto.svg", "front.csv", "contrasts.csv"} <= written


@pytest.mark.parametrize("name", ["front.csv", "importance.csv", "effects.csv", "contrasts.csv"])
def test_every_table_has_the_columns_that_are_described(name: str, folders: list[Path]) -> None:
    [path] = [folder / name for folder in folders if (folder / name).is_file()]
    table, columns = pd.read_csv(path), BY_NAME[name].columns
    assert list(table) == list(columns)
    kinds = {Kind.WHOLE: "i", Kind.COUNT: "i", Kind.NUMBER: "if", Kind.FLAG: "b", Kind.TEXT: "O"}
    measured = table.dropna(axis="columns", how="all")
    assert {each for each in measured if measured[each].dtype.kind not in kinds[columns[str(each)].kind]} == set()


def test_the_samples_of_a_latency_have_the_columns_that_are_described() -> None:
    class Timing:
        samples = np.ones(2)

    class Latency:
        rounds, candidate, baseline, candidate_first = 1, Timing, Timing, np.array([True])

    assert list(to_frame(Latency)) == list(LATENCY_SAMPLES)  # type: ignore[arg-type]


def test_a_unit_in_the_name_is_the_unit_that_is_stated() -> None:
    for name, column in [*TRIALS.items(), *FRONT.items(), *CONTRASTS.items(), *CURVE.items()]:
        assert column.about.endswith((".", "`")) and "|" not in column.about + column.unit, name
        assert ("_ms" in name) == column.unit.startswith("ms"), name
        assert name.endswith("_seconds") == (column.unit == "s"), name
        assert ("_ratio" in name) == column.unit.startswith("×"), name


def test_the_docs_page_is_made_from_the_code() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "docs/data-dictionary.md is stale: run `python -m harness.record.data_dictionary docs/data-dictionary.md`"
    )
