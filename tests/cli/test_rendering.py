"""What lies in a folder is told by its files, rendered where it lies or elsewhere, and nothing else is written over."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from harness.claims.reproduce import read_findings
from harness.cli.rendering import Kind, check_target, find_all, kind_of, render
from harness.common.errors import UserError
from harness.common.resources import reference_folder
from harness.report import write_report
from tests.report import example
from tests.report.ablated import ablation

LEDGER = reference_folder() / "reproduce"
FIDELITY = reference_folder() / "fidelity" / "default"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies") / "demo"
    write_report(ablation(name="demo"), folder)
    return folder


def test_kinds_are_told_by_their_tables(study: Path, tmp_path: Path) -> None:
    assert (kind_of(study), kind_of(LEDGER), kind_of(FIDELITY)) == (Kind.STUDY, Kind.LEDGER, Kind.FIDELITY)
    assert kind_of(tmp_path) is None and find_all(tmp_path) == []
    assert find_all(study.parent) == [study]


def test_what_is_quoted_is_rendered_before_who_quotes_it() -> None:
    found = [kind_of(folder) for folder in find_all(reference_folder())]
    assert [kind for kind in Kind for each in found if each is kind] == found and set(found) == set(Kind)


def test_a_study_is_rendered_where_it_lies(study: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(study, tmp_path / "copy")
    (folder / "report.md").unlink()
    assert render(folder) == folder / "report.html"
    assert (folder / "report.md").read_bytes() == (study / "report.md").read_bytes()


def test_the_ledgers_verdicts_on_accuracy_are_read_anew_and_the_others_as_found(tmp_path: Path) -> None:
    folder = shutil.copytree(LEDGER, tmp_path / "reproduce")
    found = json.loads((folder / "findings.json").read_text(encoding="utf-8"))
    for claim in ("head-gain", "pooling-cuts-params"):
        found[claim] |= {"sentence": "An old sentence.", "verdict": "reproduced"}
    (folder / "findings.json").write_text(json.dumps(found), encoding="utf-8")
    render(folder)
    anew = read_findings(folder)
    assert anew["head-gain"] == read_findings(LEDGER)["head-gain"] or "An old" not in anew["head-gain"].sentence
    assert anew["pooling-cuts-params"].sentence == "An old sentence."
    typed = json.loads((folder / "from-the-base" / "environment.json").read_text(encoding="utf-8"))["command"]
    assert typed in (folder / "report.md").read_text(encoding="utf-8")


def test_a_ledger_needs_no_training_to_be_rendered(tmp_path: Path) -> None:
    shutil.copy(LEDGER / "findings.json", tmp_path)
    render(tmp_path)
    assert "Nothing has been trained for it yet." in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_the_conclusions_of_a_fidelity_study_are_of_its_plan(tmp_path: Path) -> None:
    folder = shutil.copytree(FIDELITY, tmp_path / "default")
    trainings = pd.read_csv(folder / "trainings.csv")
    foreign = trainings.assign(schedule="of another plan", map50_95=0.0)
    pd.concat([trainings, foreign]).to_csv(folder / "trainings.csv", index=False)
    assert render(folder, tmp_path / "out") == tmp_path / "out" / "README.md"
    assert (tmp_path / "out" / "fidelity.csv").read_bytes() == (folder / "fidelity.csv").read_bytes()
    assert kind_of(tmp_path / "out") is Kind.FIDELITY


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("setting.json", "[1]", "setting.json: holds a list or a single value"),
        ("setting.json", "{", "setting.json: cannot be read as JSON"),
        ("setting.json", '{"plan": {"name": "x"}}', "setting.json: plan.base: Field required"),
        ("trainings.csv", "a,b\n1,2\n", "its columns are not schedule, seed"),
        ("trainings.csv", "", "not a table of trainings"),
    ],
)
def test_a_fidelity_study_that_is_damaged_is_named(name: str, text: str, said: str, tmp_path: Path) -> None:
    folder = shutil.copytree(FIDELITY, tmp_path / "default")
    (folder / name).write_text(text)
    with pytest.raises(UserError, match=said):
        render(folder)


def test_nothing_else_is_written_over(study: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "report.md").write_text("mine")
    other = tmp_path / "other"
    write_report(example.none_gains(), other)
    for out, said in [
        (tmp_path / "file", "is a file; a report is a folder"),
        (tmp_path / "notes", "holds other files, and nothing there is written over"),
        (LEDGER, "holds the ledger of the article's claims, and"),
    ]:
        with pytest.raises(UserError, match=said):
            render(study, out)
    before = (other / "report.md").read_bytes()
    write_report(example.record(example.frame(example.baseline(0)), name="second"), tmp_path / "second")
    with pytest.raises(UserError, match="holds the study demo, and"):
        render(tmp_path / "second", other)
    assert (other / "report.md").read_bytes() == before
    assert (tmp_path / "notes" / "report.md").read_text() == "mine"


def test_a_new_an_empty_and_the_same_studys_folder_may_be_written_to(study: Path, tmp_path: Path) -> None:
    for out in (tmp_path / "new", tmp_path, study):
        check_target(out, Kind.STUDY, "demo")
