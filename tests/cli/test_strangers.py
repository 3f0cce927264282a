"""A study that somebody sends: it is read as data; it writes nowhere but in its folder and runs nothing."""

from __future__ import annotations

import copy
import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
import torch

from harness.ablation.loop import weights_path
from harness.record.study import MODEL_YAML, ROLE, ROW, TRAINING
from harness.storage.records import open_storage
from tests.cli.command_line import Clo, sentence
from tests.export.exportable import IDENTITY, begun_with
from tests.fuzz.loaders import ARCHITECTURES
from tests.fuzz.studies import ATTRIBUTES, ROW_OF, written_by_a_stranger

ESCAPES = ("../../escaped", "/tmp/escaped", "..", "a\\b", "", "x\ny", "x" * 300)


def stranger(folder: Path, name: str = "x", **changed: Any) -> str:
    """The URL of a stranger's study, whose row, architecture or attributes have what was changed."""
    folder.mkdir(parents=True, exist_ok=True)
    parts: dict[str, Any] = {"row": ROW_OF, "architecture": ARCHITECTURES[1], "attributes": ATTRIBUTES}
    parts = {part: {**copy.deepcopy(value), **changed.get(part, {})} for part, value in parts.items()}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return written_by_a_stranger(f"sqlite:///{(folder / 'study.db').as_posix()}", name, **parts)


@pytest.fixture
def nothing_else_is_written(tmp_path: Path) -> Iterator[None]:
    """Whatever appears lies below the results folder."""
    yield
    outside = {path.name for path in tmp_path.iterdir()} - {"results", "outside.db"}
    assert not outside
    assert not list(tmp_path.parent.glob("escaped*"))


@pytest.mark.usefixtures("nothing_else_is_written")
@pytest.mark.parametrize("identity", ESCAPES)
def test_an_identity_that_leads_out_of_the_folder(clo: Clo, identity: str) -> None:
    stranger(Path("results/x"), row={"architecture": identity})
    before = {path for path in Path().rglob("*") if not path.name.startswith("study.db-")}
    for command in (("report", "x"), ("export", "x", identity)):
        assert "cannot name a file" in sentence(clo(*command))
    assert {path for path in Path().rglob("*") if not path.name.startswith("study.db-")} == before


@pytest.mark.usefixtures("nothing_else_is_written")
def test_a_site_that_leads_out_of_the_folder(clo: Clo) -> None:
    architecture = copy.deepcopy(ARCHITECTURES[1])
    architecture["placements"][0]["site"] = "../../escaped"
    stranger(Path("results/x"), architecture=architecture)
    assert "its site '../../escaped' cannot name a file" in sentence(clo("export", "x", "1a2b3c4d"))


@pytest.mark.usefixtures("nothing_else_is_written")
@pytest.mark.parametrize("name", ["../escaped", "..", "/tmp/escaped", "a/b", ""])
def test_a_name_of_a_study_that_leads_out_of_the_results(clo: Clo, tmp_path: Path, name: str) -> None:
    file = tmp_path / "outside.db"
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    written_by_a_stranger(f"sqlite:///{file}", name, row=ROW_OF, architecture=ARCHITECTURES[1], attributes=ATTRIBUTES)
    for command in (("report", name), ("export", name, "1a2b3c4d"), ("report", name, "--terminal")):
        said = sentence(clo(*command, "--storage", f"sqlite:///{file}"))
        refused = ("a study's name is also its folder's", "no such folder", "holds nothing to render")
        assert any(why in said for why in refused), said


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"row": {"seed": "one"}}, "invalid literal for int"),
        ({"row": {"map50_95": [1, 2]}}, "row.map50_95: not a single value"),
        ({"row": {"architecture": None}}, "row.architecture: not a text"),
        ({"row": {"per_class": {"cat": {}}}}, "row.per_class"),
        ({"architecture": {"placements": 3}}, "'placements' (a list of mappings)"),
        ({"attributes": {"settings": {"imgsz": "wide"}}}, "settings.imgsz: Input should be a valid integer"),
        ({"attributes": {"settings": [1]}}, "its 'settings' is no mapping"),
        ({"attributes": {"settings": {"constraints": {"max_params": -1}}}}, "settings.constraints.max_params"),
        ({"attributes": {"space": {"size": []}}}, "space.size"),
        ({"attributes": {"expected_gains": ["much"]}}, "expected_gains.0"),
        ({"attributes": {"ablation": {"arms": 3}}}, "ablation"),
    ],
)
def test_what_is_no_study_of_clo_nas_is_refused_in_a_sentence(clo: Clo, changed: dict[str, Any], why: str) -> None:
    stranger(Path("results/x"), **changed)
    assert why in sentence(clo("report", "x"))


def test_a_report_is_made_without_loading_any_pickle(clo: Clo, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger(Path("results/x"))
    for name in ("checkpoints/1a2b3c4d-3-0.pt", "trained/1a2b3c4d-3epochs-base0-seed0.pt", "latency/1a2b3c4d.parquet"):
        path = Path("results/x") / name
        path.parent.mkdir()
        torch.save(os.system, path)

    def loaded(*_: object, **__: object) -> None:
        raise AssertionError("a pickle was loaded")

    for module, names in ((pickle, ("load", "loads", "Unpickler")), (torch, ("load",))):
        for name in names:
            monkeypatch.setattr(module, name, loaded)
    assert clo("report", "x").code == 0
    assert Path("results/x/report.html").is_file()


class Payload:
    """Touches a file if it is unpickled by whoever trusts it."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> Any:
        return os.system, (f"touch '{self.proof}'",)


def test_trained_weights_in_a_strangers_study_run_nothing(clo: Clo, tmp_path: Path) -> None:
    begun_with(tmp_path / "results")
    path = weights_path(tmp_path / "results" / "x", IDENTITY, 0, 0, 3)
    path.parent.mkdir()
    torch.save({"model": Payload(tmp_path / "ran")}, path)
    said = sentence(clo("export", "x", IDENTITY, "--to", "pt"))
    assert "could run code, so that nothing of it was loaded" in said
    assert not (tmp_path / "ran").exists()


def rewritten(results: Path, old: str, new: str) -> None:
    """The study whose description of the candidate says something else."""
    storage = open_storage(f"sqlite:///{results / 'x' / 'study.db'}")
    study = optuna.load_study(study_name="x", storage=storage)
    for trial in study.get_trials():
        if trial.user_attrs.get(ROLE) == TRAINING and trial.user_attrs[ROW]["architecture"] == IDENTITY:
            text = trial.user_attrs[MODEL_YAML].replace(old, new, 1)
            assert text != trial.user_attrs[MODEL_YAML]
            with storage.engine.begin() as connection:
                connection.execute(
                    sqlalchemy.text("UPDATE trial_user_attributes SET value_json=:v WHERE trial_id=:t AND key=:k"),
                    {"v": json.dumps(text), "t": trial._trial_id, "k": MODEL_YAML},
                )


def test_an_activation_in_a_strangers_study_is_not_evaluated(clo: Clo, tmp_path: Path) -> None:
    begun_with(tmp_path / "results")
    rewritten(tmp_path / "results", "nc: 2", f"activation: \"open('{tmp_path / 'ran'}', 'w')\"\nnc: 2")
    assert "is no torch.nn layer with plain arguments" in sentence(clo("export", "x", IDENTITY))
    assert not (tmp_path / "ran").exists()


def test_python_objects_in_a_strangers_description_are_refused(clo: Clo, tmp_path: Path) -> None:
    begun_with(tmp_path / "results")
    rewritten(tmp_path / "results", "nc: 2", f"nc: !!python/object/apply:os.system ['touch {tmp_path / 'ran'}']")
    assert "could not determine a constructor" in sentence(clo("export", "x", IDENTITY))
    assert not (tmp_path / "ran").exists()


def test_a_study_brings_no_code_in_its_own_folder(clo: Clo, tmp_path: Path) -> None:
    begun_with(tmp_path / "results")
    file = tmp_path / "results" / "x" / "sent_along.py"
    file.write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    for named in (str(file), "results/x/sent_along.py", "results/../results/x/sent_along.py"):
        rewritten(tmp_path / "results", "nc: 2", f"blocks: [{named}]\nnc: 2")
        assert "lies in the study's own folder, and is not run" in sentence(clo("export", "x", IDENTITY))
    assert not (tmp_path / "ran").exists()
